import { setImmediate } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { PendingDeletionSchema as Schema } from '../../src/gen/hmacd/store/v1/records_pb.ts';
import { ConflictError, StoreUnavailableError } from '../../src/records/record-store.ts';
import { createRecord } from '../../src/records/records.ts';
import type { FakeClock } from '../support/running-service.ts';
import { makeRecords, TTL } from './make-records.ts';

/** Takes the timers over; turns them together with a clock. */
function turnTimers(clock: FakeClock): (milliseconds: number) => Promise<void> {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  return async (milliseconds) => {
    clock.advance(milliseconds);
    await vi.advanceTimersByTimeAsync(milliseconds);
  };
}

/** Whether a promise has been kept yet. */
function watch(promise: Promise<unknown>): { done: boolean } {
  const state = { done: false };
  promise.then(
    () => (state.done = true),
    () => (state.done = true),
  );
  return state;
}

describe('a commit that takes something away', () => {
  it('is answered 1.05 TTL after the store’s answer, by the clock and not by timers', async () => {
    const { clock, records, store } = makeRecords();
    const turn = turnTimers(clock);
    store.after = () => clock.advance(500);
    const state = watch(records.commit([createRecord('a', Schema, {})], 'takes away'));
    await vi.advanceTimersByTimeAsync(20 * TTL);
    expect(state.done).toBe(false);
    await turn(1.05 * TTL - 1);
    expect(state.done).toBe(false);
    await turn(1);
    expect(state.done).toBe(true);
  });

  it('goes by the clock that nobody sets', async () => {
    const { clock, records } = makeRecords();
    const turn = turnTimers(clock);
    const state = watch(records.commit([createRecord('a', Schema, {})], 'takes away'));
    await vi.advanceTimersByTimeAsync(0);
    clock.set(clock.now() + 100 * TTL);
    await vi.advanceTimersByTimeAsync(100 * TTL);
    expect(state.done).toBe(false);
    await turn(1.05 * TTL);
    expect(state.done).toBe(true);
  });

  it('does not wait where nobody else can act on what was before, or where it failed', async () => {
    const alone = makeRecords({ exclusive: true });
    await alone.records.commit([createRecord('a', Schema, {})], 'takes away');
    await alone.records.settled();
    const shared = makeRecords();
    await shared.add('a');
    await expect(shared.records.commit([createRecord('a', Schema, {})], 'takes away')).rejects.toThrow(ConflictError);
  });

  it('is waited for by whoever finds it done', async () => {
    const { clock, records } = makeRecords();
    const turn = turnTimers(clock);
    const state = watch(records.settled());
    await turn(1.05 * TTL - 1);
    expect(state.done).toBe(false);
    await turn(1);
    expect(state.done).toBe(true);
  });

  it('waits, and one that only adds does not', async () => {
    const { clock, records, add } = makeRecords();
    turnTimers(clock);
    await add('a');
    const state = watch(records.commit([createRecord('b', Schema, {})], 'takes away'));
    await vi.advanceTimersByTimeAsync(0);
    expect(state.done).toBe(false);
  });
});

/** An attempt that another writer comes ahead of once. */
function overtakenOnce<T>(work: () => Promise<T>): () => Promise<T> {
  let attempts = 0;
  return async () => {
    if (++attempts === 1) throw new ConflictError('a');
    return await work();
  };
}

describe('an attempt that other writers come ahead of', () => {
  it('is made again until it succeeds', async () => {
    const { clock, records } = makeRecords();
    const turn = turnTimers(clock);
    let attempts = 0;
    const done = records.untilUncontended(async () => {
      if (++attempts < 20) throw new ConflictError('a');
      return attempts;
    });
    for (let n = 0; n < 20; n++) await turn(64);
    expect(await done).toBe(20);
  });

  it('is given up after 5 seconds, and not before', async () => {
    const { clock, records } = makeRecords();
    const turn = turnTimers(clock);
    let attempts = 0;
    const attempt = records.untilUncontended(async () => {
      attempts++;
      throw new ConflictError('a');
    });
    const state = watch(attempt);
    for (let n = 0; n < 49; n++) await turn(100);
    expect(state.done).toBe(false);
    for (let n = 0; n < 3; n++) await turn(100);
    await expect(attempt).rejects.toThrow(new StoreUnavailableError('other writers always came first'));
    await expect(attempt).rejects.toHaveProperty('cause', expect.any(ConflictError));
    expect(attempts).toBeGreaterThan(40);
  });

  it('waits for its turn, so that a thousand do not overtake each other', async () => {
    const { records } = makeRecords({ exclusive: true });
    let version = 0;
    let attempts = 0;
    const order: number[] = [];
    const change = (n: number) =>
      records.untilUncontended(async () => {
        attempts++;
        const found = version;
        await setImmediate();
        if (version !== found) throw new ConflictError('a');
        version++;
        order.push(n);
      });
    await Promise.all(Array.from({ length: 1_000 }, (_, n) => change(n)));
    expect(attempts).toBe(2 * 1_000 - 1);
    expect(order).toEqual(Array.from({ length: 1_000 }, (_, n) => n));
  });

  it('keeps nobody waiting while it waits for the leases', async () => {
    const { clock, records } = makeRecords();
    const turn = turnTimers(clock);
    let overtaken = 0;
    const work = async () => {
      overtaken++;
      await records.settled();
    };
    const change = () => records.untilUncontended(overtakenOnce(work));
    const state = watch(Promise.all([change(), change(), change()]));
    await turn(0);
    expect(overtaken).toBe(3);
    await turn(1.05 * TTL);
    expect(state.done).toBe(true);
  });

  it('may make another one within its turn', { timeout: 5_000 }, async () => {
    const { records } = makeRecords({ exclusive: true });
    const inner = () => records.untilUncontended(overtakenOnce(async () => 'done'));
    expect(await records.untilUncontended(overtakenOnce(inner))).toBe('done');
  });

  it('is not made again when it failed for another reason', async () => {
    const { records } = makeRecords();
    let attempts = 0;
    const attempt = records.untilUncontended(async () => {
      attempts++;
      throw new StoreUnavailableError('the test says so');
    });
    await expect(attempt).rejects.toThrow('the test says so');
    expect(attempts).toBe(1);
  });
});
