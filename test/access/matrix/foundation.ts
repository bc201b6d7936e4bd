import type { KeyObject } from 'node:crypto';
import type { Clock } from '../../../src/clock.ts';
import { GrantPaths } from '../../../src/grants/grant-paths.ts';
import { grantTokenKey } from '../../../src/grants/grant-token-key.ts';
import { KeyPaths } from '../../../src/keys/key-paths.ts';
import { ChangeFollower } from '../../../src/records/change-follower.ts';
import { Records } from '../../../src/records/records.ts';
import { RootKey } from '../../../src/records/root-keys.ts';
import { RootKeySealer } from '../../../src/records/sealer.ts';
import { openSqliteRecordStore } from '../../../src/records/sqlite-record-store.ts';
import { HOME } from './people.ts';

export const DEPLOYMENT = { partition: 'aws', region: 'us-east-1', accountId: HOME };
/** How long it takes until a grant counts without its token, in milliseconds. */
export const GRANT_DELAY = 5 * 60_000;

/** A key that cells are about. */
export interface Subject {
  readonly keyId: string;
  readonly arn: string;
  /** Its key policy. */
  readonly policy: string;
  readonly mac: Uint8Array;
  readonly grantId?: string | undefined;
  readonly grantToken?: string | undefined;
}

/** What services are wired over: a store in memory. */
export interface Foundation {
  readonly records: Records;
  readonly follower: ChangeFollower;
  readonly paths: KeyPaths;
  readonly grantPaths: GrantPaths;
  readonly tokenKey: KeyObject;
  readonly clock: Clock;
  close(): Promise<void>;
}

export async function makeFoundation(clock: Clock): Promise<Foundation> {
  const store = openSqliteRecordStore(':memory:');
  const follower = new ChangeFollower(store, 60_000, clock, () => {});
  const sealer = new RootKeySealer(store.storeId, [new RootKey(Buffer.alloc(32, 1))]);
  const records = new Records(store, sealer, follower, impatient(clock));
  const paths = new KeyPaths(HOME);
  const grantPaths = new GrantPaths(paths, HOME);
  const tokenKey = await grantTokenKey(records, grantPaths);
  await follower.start();
  return {
    records,
    follower,
    paths,
    grantPaths,
    tokenKey,
    clock,
    async close() {
      follower.close();
      await store.close();
    },
  };
}

/** The same clock for somebody who waits for nothing: with each look, a second has passed. */
function impatient(clock: Clock): Clock {
  let monotonic = 0;
  return { now: () => clock.now(), monotonic: () => (monotonic += 1_000) };
}
