import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { inject, onTestFinished } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { KeyPaths } from '../../src/keys/key-paths.ts';
import { openRedisRecordStore } from '../../src/records/redis-record-store.ts';
import type { Commit, RecordStore } from '../../src/records/record-store.ts';
import type { Records } from '../../src/records/records.ts';
import { openSqliteRecordStore } from '../../src/records/sqlite-record-store.ts';
import { openSealer, recordsOf } from '../keys/fixture.ts';
import { alteredStore } from '../support/altered-store.ts';
import { clientsOf, type Clients, failureOf } from '../support/clients.ts';
import { temporaryFolder } from '../support/deployment.ts';
import { redisStoreOptions } from '../support/redis-server.ts';
import { startService } from '../support/running-service.ts';
import type { Observation, SerialObject } from '../support/serial-order.ts';

/** How many callers race. */
export const CALLERS = 1_000;
/** How many calls each of them makes, one after the other. */
const CALLS = 3;
/** The shortest key cache TTL that there is, in milliseconds. */
const TTL = 100;
/** How many connections there are to each service. */
const CONNECTIONS = 4;

/** A time after which something has just happened, in milliseconds. */
const MOMENT = 1e-3;

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

/** What something became, and when, in milliseconds by the clock of the observations. */
export interface Moment<S> {
  readonly at: number;
  readonly state: S;
}

/** Services on one store that seals nothing; they end with the test. */
export interface Track {
  /** Each over a connection of its own. */
  readonly clients: readonly Clients[];
  /** Each version of a record that was committed since the start, in their order. */
  readonly committed: <D extends DescMessage>(schema: D, path: string) => Moment<MessageShape<D> | undefined>[];
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
  const commits: { at: number; commit: Commit }[] = [];
  for (const stored of stores) {
    const store = alteredStore(stored, {
      async commit(commit) {
        // In the order in which they are sent; whoever commits upon another one has seen that before it sends its own.
        const sent = { at: performance.now(), commit };
        await stored.commit(commit);
        commits.push(sent);
      },
    });
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
    committed(schema, path) {
      const inOrder = commits.toSorted((a, b) => a.at - b.at);
      return inOrder.flatMap(({ at, commit: { put, remove } }) => {
        const record = put.find((candidate) => candidate.path === path);
        if (record !== undefined) return { at, state: fromBinary(schema, openSealer.open(record)) };
        return remove.includes(path) ? { at, state: undefined } : [];
      });
    },
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

/**
 * A history of calls on one thing with the moments at which they took effect, found by what was committed meanwhile: a
 * call that did what a commit did is taken for its maker, and one that left things as they were took effect while they
 * were so. Calls that are alike may be taken for one another; the search for an order sorts that out.
 *
 * @param became what commits made of the thing, in their order, the first of them as it was in the beginning
 */
export function withLikelyTimes<S, I>(
  history: readonly Observation<I, string>[],
  object: SerialObject<S, I, string>,
  became: readonly Moment<S>[],
): Observation<I, string>[] {
  const likely = new Map<Observation<I, string>, number>();
  const states = became.filter(({ state }, n) => !isDeepStrictEqual(state, became[n - 1]?.state));
  const left = new Set(history.filter(({ input, output }) => object.changes(input, output)));
  const leadsTo = (from: S, { input, output }: Observation<I, string>, to: S) =>
    isDeepStrictEqual(object.next(from, input, output), to);
  states.slice(1).forEach(({ at, state }, n) => {
    const makers = [...left].filter((call) => call.begin <= at && at <= call.end);
    const [maker] = makers.filter((call) => leadsTo(states[n]!.state, call, state)).toSorted((a, b) => a.end - b.end);
    if (maker === undefined) return;
    likely.set(maker, at);
    left.delete(maker);
  });
  for (const call of left) {
    const as = states.find(({ state, at }, n) => {
      const until = states[n + 1]?.at ?? Infinity;
      return at <= call.end && call.begin <= until && leadsTo(state, call, state);
    });
    if (as !== undefined) likely.set(call, Math.max(as.at + MOMENT, call.begin));
  }
  return history.map((call) => (likely.has(call) ? { ...call, likely: likely.get(call)! } : call));
}

/** A number from 0 to below `limit` that is the same for the same `n` and `use` in every run, and looks like any. */
export function chosen(n: number, use: number, limit: number): number {
  let mixed = Math.imul(n + 1, 0x9e3779b1) ^ Math.imul(use + 1, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
  mixed = Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39);
  return ((mixed ^ (mixed >>> 15)) >>> 0) % limit;
}
