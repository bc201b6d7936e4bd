import { describe, expect, inject, it, onTestFinished } from 'vitest';
import type { RecordStore } from '../../src/records/record-store.ts';
import { openRedisRecordStore } from '../../src/records/redis-record-store.ts';
import { writePrincipals } from '../grants/world.ts';
import { ACCOUNT } from '../keys/fixture.ts';
import { takenForExclusive, withSilentLog } from '../support/altered-store.ts';
import { redisDeployment, startReplica } from '../support/deployment.ts';
import { redisStoreOptions, startRedisServer } from '../support/redis-server.ts';
import { startService } from '../support/running-service.ts';
import { takeAwayAgainAndAgain, Tally, WAYS } from './removed-permission.ts';

const TTL = 150;
const CALLS = 100_000;
const ROUNDS = 5;
const ALL_WAYS = Object.keys(WAYS);

async function startStore() {
  const server = await startRedisServer();
  onTestFinished(() => server.stop());
  const settings = { ACCOUNT_ID: ACCOUNT, PRINCIPALS_FILE: writePrincipals(), KEY_CACHE_TTL: `${TTL}ms` };
  return { server, settings: redisDeployment(settings, server).settings };
}

const asItIs = (store: RecordStore): RecordStore => store;

/**
 * What is seen, until something is too late, with three replicas in this process: one that takes permissions away, and
 * two others that are asked as well.
 */
async function tallyOf(way: string, alterTaker: typeof asItIs, alterOthers: typeof asItIs): Promise<Tally> {
  const { server, settings } = await startStore();
  const services = await Promise.all(
    [alterTaker, alterOthers, alterOthers].map(async (alter) => {
      const store = await openRedisRecordStore(redisStoreOptions(server, { accountId: ACCOUNT }));
      const service = await startService(settings, { store: alter(store) });
      onTestFinished(() => service[Symbol.asyncDispose]());
      return service;
    }),
  );
  const tally = new Tally();
  // A key of its own each time: one that is given again would not get past a log that is silent.
  while (tally.rounds < ROUNDS && tally.late.length === 0) {
    await takeAwayAgainAndAgain(way, services, server, TTL, tally, () => true);
  }
  return tally;
}

describe.skipIf(inject('redis') === undefined)('with three replicas on one Redis', () => {
  it('a removed permission is not used after its removal has answered', { timeout: 150_000 }, async () => {
    const { server, settings } = await startStore();
    const replicas = [await startReplica(settings), await startReplica(settings), await startReplica(settings)];
    const tallies = new Map(ALL_WAYS.map((way) => [way, new Tally()]));
    const total = () => [...tallies.values()].reduce((sum, { calls }) => sum + calls, 0);
    const start = performance.now();
    await Promise.all(
      [...tallies].map(([way, tally]) =>
        takeAwayAgainAndAgain(way, replicas, server, TTL, tally, () => total() >= CALLS),
      ),
    );
    const seconds = Math.round((performance.now() - start) / 1_000);
    const lines = [...tallies].map(([way, tally]) => {
      const [p50, p99, most] = [0.5, 0.99, 1].map((share) => tally.lag(share));
      const after = [...tally.after].map(([outcome, count]) => `${count} ${outcome}`).join(', ');
      return `${way}: ${tally.calls} calls, ${tally.rounds} removals; from the commit to the last call allowed p50 ${p50} ms, p99 ${p99} ms, at most ${most} ms; after the answer ${after}`;
    });
    console.log([`${total()} calls in ${seconds} s, with a key cache TTL of ${TTL} ms`, ...lines].join('\n'));
    expect(total()).toBeGreaterThanOrEqual(CALLS);
    for (const [way, tally] of tallies) {
      expect([way, tally.late]).toEqual([way, []]);
      expect(tally.rounds).toBeGreaterThan(50);
      const denied = way === 'DisableKey' ? 'DisabledException' : 'AccessDeniedException';
      // On a machine that is slow enough, a lease may lapse.
      const outcomes = [...tally.after.keys()].filter((outcome) => outcome !== 'KeyUnavailableException');
      expect([way, outcomes]).toEqual([way, [denied]]);
      expect(tally.after.get(denied)).toBeGreaterThan(1_000);
    }
  });
});

// What says that the test above would notice.
describe.skipIf(inject('redis') === undefined)('the test of removed permissions', { timeout: 30_000 }, () => {
  it.each(ALL_WAYS)('passes with everything in its place, by %s', async (way) => {
    const { late, rounds } = await tallyOf(way, asItIs, asItIs);
    expect([rounds, late]).toEqual([ROUNDS, []]);
  });

  it.each(ALL_WAYS)('fails when nobody waits and the log of changes is cut, by %s', async (way) => {
    expect((await tallyOf(way, takenForExclusive, withSilentLog)).late.length).toBeGreaterThan(0);
  });

  it.each(ALL_WAYS)('fails when nobody waits, by %s', async (way) => {
    expect((await tallyOf(way, takenForExclusive, asItIs)).late.length).toBeGreaterThan(0);
  });

  it.each(ALL_WAYS)('fails when the log of changes is cut, by %s', async (way) => {
    expect((await tallyOf(way, asItIs, withSilentLog)).late.length).toBeGreaterThan(0);
  });
});
