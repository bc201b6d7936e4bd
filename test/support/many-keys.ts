import { randomUUID } from 'node:crypto';
import { timestampDate, timestampFromMs } from '@bufbuild/protobuf/wkt';
import { type Clock, systemClock } from '../../src/clock.ts';
import {
  AliasSchema,
  KeyAliasesSchema,
  KeySchema,
  PendingDeletionSchema,
} from '../../src/gen/hmacd/store/v1/records_pb.ts';
import type { Tag } from '../../src/gen/hmacd/v1/key_pb.ts';
import { HMAC_ALGORITHMS } from '../../src/keys/algorithms.ts';
import { newKey, withScheduledDeletion } from '../../src/keys/key.ts';
import { KeyPaths } from '../../src/keys/key-paths.ts';
import { ChangeFollower } from '../../src/records/change-follower.ts';
import { openRedisRecordStore } from '../../src/records/redis-record-store.ts';
import { type Change, createRecord, Records } from '../../src/records/records.ts';
import { parseRedisTarget } from '../../src/records/redis-target.ts';
import { readRootKeys } from '../../src/records/root-keys.ts';
import { RootKeySealer } from '../../src/records/sealer.ts';

/** How many keys go in one commit, with their aliases: not more than 500 records. */
const BATCH = 120;

/** A key that was made with an alias and tags. */
export interface MadeKey {
  readonly keyId: string;
  readonly aliasName: string;
}

/** The tags of every key that is made here. */
export const MANY_TAGS: readonly Tag[] = ['cost-center', 'environment', 'owner', 'service', 'tier'].map((tagKey) => ({
  $typeName: 'hmacd.v1.Tag',
  tagKey,
  tagValue: `the ${tagKey} of a key`,
}));

/**
 * The records of an account on Redis, beside the services that use them, until they are disposed of.
 *
 * @param url such as `redis://127.0.0.1:6379`
 * @param rootKeyFile that of the services
 */
export async function openRecords(
  url: string,
  accountId: string,
  rootKeyFile: string,
  clock: Clock = systemClock,
): Promise<{ records: Records; paths: KeyPaths } & AsyncDisposable> {
  const log = { info() {}, warn() {}, error() {} };
  const store = await openRedisRecordStore({ url: parseRedisTarget(url), accountId, allowVolatile: false, log });
  const [rootKey] = readRootKeys([rootKeyFile]);
  const sealer = new RootKeySealer(store.storeId, [rootKey]);
  // It remembers nothing, and so follows nothing.
  const follower = new ChangeFollower(store, 1_000, clock, () => {});
  return {
    records: new Records(store, sealer, follower, clock),
    paths: new KeyPaths(accountId),
    [Symbol.asyncDispose]: () => store.close(),
  };
}

/**
 * Makes keys, each with an alias and five tags, a hundred or so in a commit: by calls it would take an hour.
 *
 * @param endOf when the n-th key is to be destroyed, in milliseconds since 1970; it is pending deletion until then
 * @param first the number of the first alias
 */
export async function makeManyKeys(
  { records, paths }: { records: Records; paths: KeyPaths },
  count: number,
  endOf: (n: number) => number | undefined = () => undefined,
  first = 0,
): Promise<MadeKey[]> {
  const now = Date.now();
  const made: MadeKey[] = [];
  while (made.length < count) {
    const batch = Array.from({ length: Math.min(BATCH, count - made.length) }, (_, n) => ({
      keyId: randomUUID(),
      aliasName: `alias/many/${String(first + made.length + n).padStart(6, '0')}`,
      end: endOf(made.length + n),
    }));
    await records.commit(
      batch.flatMap((key) => recordsOf(key, paths, now)),
      'adds',
    );
    made.push(...batch.map(({ keyId, aliasName }) => ({ keyId, aliasName })));
  }
  return made;
}

function recordsOf(
  { keyId, aliasName, end }: MadeKey & { end: number | undefined },
  paths: KeyPaths,
  now: number,
): Change[] {
  const date = timestampFromMs(now);
  const deletionDate = end === undefined ? undefined : timestampFromMs(end);
  const [algorithm] = HMAC_ALGORITHMS.filter(({ keySpecName }) => keySpecName === 'HMAC_256');
  const key = newKey({ keyId, algorithm: algorithm!, description: 'one of many', tags: MANY_TAGS }, now);
  return [
    createRecord(
      paths.key(keyId),
      KeySchema,
      deletionDate === undefined ? key : withScheduledDeletion(key, deletionDate, keyId),
    ),
    createRecord(paths.alias(aliasName), AliasSchema, {
      aliasName,
      targetKeyId: keyId,
      creationDate: date,
      lastUpdatedDate: date,
    }),
    createRecord(paths.keyAliases(keyId), KeyAliasesSchema, { aliasNames: [aliasName] }),
    ...(deletionDate === undefined
      ? []
      : [createRecord(paths.pendingDeletion(timestampDate(deletionDate), keyId), PendingDeletionSchema, { keyId })]),
  ];
}
