import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { inject, onTestFinished } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { KeyPaths } from '../../src/keys/key-paths.ts';
import { openRedisRecordStore } from '../../src/records/redis-record-store.ts';
import type { RecordStore } from '../../src/records/record-store.ts';
import type { Records } from '../../src/records/records.ts';
import { openSqliteRecordStore } from '../../src/records/sqlite-record-store.ts';
import { openSealer, recordsOf } from '../keys/fixture.ts';
import { alteredStore } from '../support/altered-store.ts';
import { clientsOf, type Clients, failureOf } from '../support/clients.ts';
import { temporaryFolder } from '../support/deployment.ts';
import { redisStoreOptions } from '../support/redis-server.ts';
import { startService } from '../support/running-service.ts';
import type { Observation } from '../support/serial-order.ts';

/** How many callers race. */
export const CALLERS = 1_000;
/** How many calls each of them makes, one after the other. */
const CALLS = 3;
/** The shortest key cache TTL that there is, in milliseconds. */
const TTL = 100;
/** How many connections there are to each service. */
const CONNECTIONS = 4;

/** The stores to race on, and how many services share one. */
export const TRACKS: Readonly<Record<string, () => Promise<Track>>> = {
  'one service on SQLite': async () => {
    const store = openSqliteRecordStore(join(temporaryFolder(), 'hmacd.db'));
    return await startTrack([store], '000000000000');
  },
  ...(inject('redis') !== undefined && {
    'two services on one Redis': async () => {
      const options = redisStoreOptions(inject('redis')!.shared);
      const stores = [await openRedisRecordStore(options), await openRedisRecordStore(options)];
      return await startTrack(stores, options.accountId);
    },
  }),
};

/** Services on one store that seals nothing; they end with the test. */
export interface Track {
  /** Each over a connection of its own. */
  readonly clients: readonly Clients[];
  /** Whether there is another service to wait for. */
  readonly shared: boolean;
  /** What is in the store. */
  readonly records: Records;
  readonly paths: KeyPaths;
}

/** A service on a store that applies every commit, whatever it expects: callers overwrite what others wrote. */
export async function startCarelessTrack(): Promise<Track> {
  const store = openSqliteRecordStore(':memory:');
  const careless = alteredStore(store, {
    // Every answer takes a turn, so that the calls come between each other.
    getMany: async (paths) => await setImmediate(await store.getMany(paths)),
    commit: (commit) => store.commit({ ...commit, expect: [] }),
  });
  return await startTrack([careless], '000000000000');
}

async function startTrack(stores: readonly RecordStore[], accountId: string): Promise<Track> {
  const clients: Clients[][] = [];
  for (const store of stores) {
    const settings = { ACCOUNT_ID: accountId, KEY_CACHE_TTL: `${TTL}ms` };
    const service = await startService(settings, { store, sealer: openSealer });
    onTestFinished(() => service[Symbol.asyncDispose]());
    const connections = Array.from({ length: CONNECTIONS }, () => clientsOf(service.grpcPort, service.httpPort));
    onTestFinished(() => connections.forEach((connection) => connection[Symbol.dispose]()));
    clients.push(connections.map(({ gRPC }) => gRPC));
  }
  return {
    // Of the services in turn.
    clients: Array.from({ length: CONNECTIONS }, (_, n) => clients.map((ofService) => ofService[n]!)).flat(),
    shared: stores.length > 1,
    records: recordsOf(stores[0]!, systemClock),
    paths: new KeyPaths(accountId),
  };
}

/** A call that can be made again and again. */
export interface RacingCall<I> {
  readonly input: I;
  /** Answers what it came to, in words. */
  readonly make: () => Promise<string>;
}

/** Makes a call, and tells when. */
export async function observe<I>({ input, make }: RacingCall<I>): Promise<Observation<I, string>> {
  const begin = performance.now();
  const output = await make();
  return { input, output, begin, end: performance.now() };
}

/**
 * Has callers make their calls, all at the same time.
 *
 * @param callOf the n-th call of all, over a client
 */
export async function race<I>(
  { clients }: Track,
  callOf: (n: number, client: Clients) => RacingCall<I>,
  callers = CALLERS,
): Promise<Observation<I, string>[]> {
  const calls = Array.from({ length: callers }, async (_, caller) => {
    const observations: Observation<I, string>[] = [];
    const client = clients[caller % clients.length]!;
    for (let n = 0; n < CALLS; n++) observations.push(await observe(callOf(caller * CALLS + n, client)));
    return observations;
  });
  return (await Promise.all(calls)).flat();
}

/** What a call came to: what `tell` says of its answer, `OK` without, or its exception and text. */
export async function told<T>(call: Promise<T>, tell: (answer: T) => string = () => 'OK'): Promise<string> {
  return await call.then(tell, async () => {
    const { exception, message } = await failureOf(call);
    return `${exception}: ${message}`;
  });
}

/**
 * A history without the reads that a service would not answer because its lease had lapsed, as it may on a machine that is
 * slow enough: they saw nothing.
 */
export function withoutUnansweredReads<I>(
  history: readonly Observation<I, string>[],
  isRead: (input: I) => boolean,
): Observation<I, string>[] {
  return history.filter(({ input, output }) => !(isRead(input) && output.startsWith('KeyUnavailableException: ')));
}

/** A history with a guess of when calls took effect that have answered only when the leases of all services were over. */
export function withLikelyTimes<I>(
  { shared }: Track,
  history: readonly Observation<I, string>[],
  waited: (observation: Observation<I, string>) => boolean,
): Observation<I, string>[] {
  return history.map((call) => (shared && waited(call) ? { ...call, likely: call.end - 1.05 * TTL } : call));
}

/** A number from 0 to below `limit` that is the same for the same `n` and `use` in every run, and looks like any. */
export function chosen(n: number, use: number, limit: number): number {
  let mixed = Math.imul(n + 1, 0x9e3779b1) ^ Math.imul(use + 1, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
  mixed = Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39);
  return ((mixed ^ (mixed >>> 15)) >>> 0) % limit;
}
