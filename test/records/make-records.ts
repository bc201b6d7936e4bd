import { onTestFinished } from 'vitest';
import { PendingDeletionSchema as Schema } from '../../src/gen/hmacd/store/v1/records_pb.ts';
import { ChangeFollower } from '../../src/records/change-follower.ts';
import { createRecord, Records } from '../../src/records/records.ts';
import { RootKey } from '../../src/records/root-keys.ts';
import { RootKeySealer } from '../../src/records/sealer.ts';
import { FakeClock } from '../support/running-service.ts';
import { ControlledStore } from './controlled-store.ts';

export const TTL = 1_000;

/** Records of a new store, until the test ends, and what they told to be forgotten. */
export function makeRecords({ exclusive = false } = {}) {
  const clock = new FakeClock();
  const store = new ControlledStore({ exclusive });
  onTestFinished(() => store[Symbol.asyncDispose]());
  const follower = new ChangeFollower(store, TTL, clock, () => {});
  const forgotten: string[][] = [];
  follower.listen({ forget: (paths) => forgotten.push([...paths]), forgetAll: () => {} });
  const sealer = new RootKeySealer(store.storeId, [new RootKey(Buffer.alloc(32, 1))]);
  const records = new Records(store, sealer, follower, clock);
  const add = async (path: string, keyId = path): Promise<void> =>
    await records.commit([createRecord(path, Schema, { keyId })], 'adds');
  const read = async (path: string): Promise<string | undefined> => (await records.get(Schema, path))?.message.keyId;
  return { clock, store, records, forgotten, add, read };
}
