import { describe, expect, inject, it, onTestFinished } from 'vitest';
import type { RecordStore } from '../../src/records/record-store.ts';
import { openRedisRecordStore } from '../../src/records/redis-record-store.ts';
import { takenForExclusive, withSilentLog } from '../support/altered-store.ts';
import { redisDeployment } from '../support/deployment.ts';
import { redisStoreOptions } from '../support/redis-server.ts';
import { startService } from '../support/running-service.ts';
import { createNamedKey, takeAwayUnderLoad, useKey } from './revocation.ts';

const TTL = 300;
const ROUNDS = 5;

const asItIs = (store: RecordStore): RecordStore => store;

/** How many calls too many were answered in the first round in which some were, with one replica that takes the key away and another whose cache is asked. */
async function countLateAnswers(
  alterTaker: (store: RecordStore) => RecordStore,
  alterUser: (store: RecordStore) => RecordStore,
): Promise<number> {
  const { settings, accountId } = redisDeployment({ KEY_CACHE_TTL: `${TTL}ms` });
  const [taker, user] = await Promise.all(
    [alterTaker, alterUser].map(async (alter) => {
      const store = await openRedisRecordStore(redisStoreOptions(inject('redis')!.shared, { accountId }));
      const service = await startService(settings, { store: alter(store) });
      onTestFinished(() => service[Symbol.asyncDispose]());
      return service;
    }),
  );
  const { keys } = taker!.clients.gRPC;
  let late = 0;
  for (let n = 0; n < ROUNDS && late === 0; n++) {
    // A key of its own each time: one that was enabled again would not get past a log that is silent.
    const key = await createNamedKey(taker!.clients.gRPC, `alias/used-${n}`);
    await using load = useKey([taker!, user!], [key.keyId, key.alias], key.mac);
    await load.until(({ keyArn }) => keyArn === key.arn);
    const disable = () => keys.disableKey({ keyId: key.keyId });
    late += (await takeAwayUnderLoad(load, key.arn, disable, TTL)).late.length;
  }
  return late;
}

describe.skipIf(inject('redis') === undefined)('the test of DisableKey', { timeout: 60_000 }, () => {
  it('passes with everything in its place', async () => {
    expect(await countLateAnswers(asItIs, asItIs)).toBe(0);
  });

  it('fails when nobody waits and the log of changes is silent', async () => {
    expect(await countLateAnswers(takenForExclusive, withSilentLog)).toBeGreaterThan(0);
  });

  it('fails when nobody waits', async () => {
    expect(await countLateAnswers(takenForExclusive, asItIs)).toBeGreaterThan(0);
  });

  it('fails when the log of changes is silent', async () => {
    expect(await countLateAnswers(asItIs, withSilentLog)).toBeGreaterThan(0);
  });
});
