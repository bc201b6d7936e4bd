import { setImmediate } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { ChangeFollower } from '../../src/records/change-follower.ts';
import { RecordCache } from '../../src/records/record-cache.ts';
import { FakeClock } from '../support/running-service.ts';
import { ControlledStore } from './controlled-store.ts';

export const TTL = 1_000;

interface Value {
  readonly text: string;
}

/** A cache of a store that others write to. Its reads end when the test lets them. */
export function makeCache({ capacity = 100, logLength = 10 } = {}) {
  const clock = new FakeClock();
  const store = new ControlledStore({ logLength });
  const follower = new ChangeFollower(store, TTL, clock, () => {});
  onTestFinished(() => store[Symbol.asyncDispose]());
  const loads: { path: string; answer: () => Promise<void> }[] = [];
  let held = false;
  const load = async (path: string): Promise<Value | undefined> => {
    const [record] = await store.getMany([path]);
    const value = record && { text: Buffer.from(record.value).toString() };
    const gate = Promise.withResolvers<void>();
    loads.push({ path, answer: async () => (gate.resolve(), await setImmediate()) });
    if (held) await gate.promise;
    return value;
  };
  const cache = new RecordCache<Value>(follower, load, capacity);
  return {
    clock,
    store,
    follower,
    cache,
    loads,
    /** From now on the store has done its part of a read before the answer is let through. */
    hold: (hold: boolean) => (held = hold),
    write: async (path: string, text: string): Promise<void> =>
      await store.commit({
        expect: [],
        put: [{ path, version: crypto.randomUUID(), value: Buffer.from(text) }],
        remove: [],
      }),
    /** Lets the lease lapse, and renews it: what was changed is told. */
    poll: async (): Promise<void> => {
      clock.advance(TTL);
      await follower.held();
    },
  };
}
