import { randomUUID } from 'node:crypto';
import { expect, it, onTestFinished } from 'vitest';
import type { Authorizer } from '../../src/access/authorizer.ts';
import type { Call } from '../../src/access/call.ts';
import { KeySchema } from '../../src/gen/hmacd/store/v1/records_pb.ts';
import { HMAC_ALGORITHMS } from '../../src/keys/algorithms.ts';
import { newKey } from '../../src/keys/key.ts';
import { KeyCache } from '../../src/keys/key-cache.ts';
import { KeyPolicies } from '../../src/keys/protected-key.ts';
import { ChangeFollower } from '../../src/records/change-follower.ts';
import { createRecord, Records } from '../../src/records/records.ts';
import { ControlledStore } from '../records/controlled-store.ts';
import { FakeClock } from '../support/running-service.ts';
import { ACCOUNT, openSealer, paths } from './fixture.ts';

const DEPLOYMENT = { partition: 'aws', region: 'us-east-1', accountId: ACCOUNT };
const KEYS = 20;

type Init = Partial<Parameters<typeof newKey>[0]>;

/** How many of some keys alike are at hand, when all have been used. */
async function countAtHand(init: Init): Promise<number> {
  const [clock, store] = [new FakeClock(), new ControlledStore({ exclusive: true })];
  onTestFinished(() => store[Symbol.asyncDispose]());
  const follower = new ChangeFollower(store, 1_000, clock, () => {});
  const records = new Records(store, openSealer, follower, clock);
  const keyIds = Array.from({ length: KEYS }, () => randomUUID());
  for (const keyId of keyIds) {
    const key = newKey({ algorithm: HMAC_ALGORITHMS[0]!, description: '', ...init, keyId }, 0);
    await records.commit([createRecord(paths.key(keyId), KeySchema, key)], 'adds');
  }
  let hits = 0;
  const observer = { cacheHit: () => void hits++, cacheMiss() {} };
  const authorizer = { isAtHome: () => true } as unknown as Authorizer;
  const policies = new KeyPolicies(DEPLOYMENT);
  const cache = new KeyCache(records, follower, authorizer, policies, DEPLOYMENT, paths, clock, observer, KEYS);
  for (const keyId of keyIds) await cache.resolve(keyId, {} as Call);
  // The last one used is the last to go.
  for (const keyId of keyIds.toReversed()) await cache.resolve(keyId, {} as Call);
  return hits;
}

const policyOf = (statements: number): string => {
  const statement = { Effect: 'Allow', Principal: '*', Action: 'kms:a', Resource: '*' };
  return JSON.stringify({ Statement: Array.from({ length: statements }, () => statement) });
};
const tagsOf = (count: number) =>
  Array.from({ length: count }, (_, n) => ({ tagKey: `${n}`.padEnd(128, '-'), tagValue: 'x'.repeat(256) }) as never);

it('As many usual keys are at hand as the capacity says', async () => {
  expect(await countAtHand({})).toBe(KEYS);
  expect(
    await countAtHand({
      tags: [
        { tagKey: 'team', tagValue: 'orders' },
        { tagKey: 'stage', tagValue: '' },
      ] as never[],
    }),
  ).toBe(KEYS);
});

it.each<[string, Init]>([
  ['a long policy', { policy: policyOf(20) }],
  ['many long tags', { tags: tagsOf(50) }],
])('Fewer are at hand where each has %s, so that they take no more memory', async (_, init) => {
  expect(await countAtHand(init)).toBeLessThan(KEYS / 4);
});
