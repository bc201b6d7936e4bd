import { fromBinary } from '@bufbuild/protobuf';
import type { Clock } from '../../src/clock.ts';
import { KeySpec, KeyUsage } from '../../src/gen/hmacd/v1/key_pb.ts';
import { type Key, KeySchema } from '../../src/gen/hmacd/store/v1/records_pb.ts';
import { MacAlgorithm } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { GrantPaths } from '../../src/grants/grant-paths.ts';
import { GrantRecords } from '../../src/grants/grant-records.ts';
import { KeyDeletion } from '../../src/keys/key-deletion.ts';
import { KeyPaths } from '../../src/keys/key-paths.ts';
import { AWS_QUOTAS } from '../../src/keys/quotas.ts';
import { ChangeFollower } from '../../src/records/change-follower.ts';
import type { RecordStore } from '../../src/records/record-store.ts';
import { Records } from '../../src/records/records.ts';
import { type Sealer, UnsealError } from '../../src/records/sealer.ts';
import type { Clients } from '../support/clients.ts';

export const DAY = 24 * 60 * 60 * 1_000;
export const ACCOUNT = '000000000000';
export const ARN = `arn:aws:kms:us-east-1:${ACCOUNT}:`;
export const paths = new KeyPaths(ACCOUNT);

/** Seals nothing, so that a test reads what is stored. */
export const openSealer: Sealer = { seal: (_path, _version, plaintext) => plaintext, open: ({ value }) => value };

/** The same, except that the records at some paths are damaged. */
export function openSealerWithDamage(damaged: ReadonlySet<string>): Sealer {
  return {
    seal: (path, version, plaintext) => openSealer.seal(path, version, plaintext),
    open(record) {
      if (damaged.has(record.path)) throw new UnsealError(record.path, 'the test says so');
      return openSealer.open(record);
    },
  };
}

/** The records of a store, as another replica sees them. */
export function recordsOf(store: RecordStore, clock: Clock, sealer = openSealer): Records {
  return new Records(store, sealer, new ChangeFollower(store, 1_000, clock, () => {}), clock);
}

/** The worker of another replica, that only a test starts; failures are collected. */
export function deletionOf(
  store: RecordStore,
  clock: Clock,
  sealer = openSealer,
): { deletion: KeyDeletion; failures: unknown[] } {
  const failures: unknown[] = [];
  const records = recordsOf(store, clock, sealer);
  const grants = new GrantRecords(records, new GrantPaths(paths, ACCOUNT), 0, clock, AWS_QUOTAS.grantsPerKey);
  return {
    deletion: new KeyDeletion(
      records,
      paths,
      (keyId) => grants.removeAll(keyId),
      clock,
      (error) => failures.push(error),
    ),
    failures,
  };
}

/** The record of a key in a store that seals nothing. */
export async function storedKey(store: RecordStore, keyId: string): Promise<Key | undefined> {
  const [record] = await store.getMany([paths.key(keyId)]);
  return record && fromBinary(KeySchema, record.value);
}

/** How many turns of the event loop others had during a work. */
export async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let immediate = setImmediate(function turn() {
    turns++;
    immediate = setImmediate(turn);
  });
  await work();
  clearImmediate(immediate);
  return turns;
}

/** A new key's ID and ARN. */
export async function makeKey(
  { keys }: Clients,
  keySpec: KeySpec = KeySpec.HMAC_256,
): Promise<{ keyId: string; arn: string }> {
  const { keyMetadata } = await keys.createKey({ keySpec, keyUsage: KeyUsage.GENERATE_VERIFY_MAC });
  return { keyId: keyMetadata!.keyId, arn: keyMetadata!.arn };
}

/** A request for a MAC by a key of the spec HMAC_256. */
export function macRequest(keyId: string) {
  return { keyId, macAlgorithm: MacAlgorithm.HMAC_SHA_256, message: Buffer.from('message') };
}
