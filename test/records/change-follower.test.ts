import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { ChangeFollower } from '../../src/records/change-follower.ts';
import { StoreUnavailableError } from '../../src/records/record-store.ts';
import { FakeClock } from '../support/running-service.ts';
import { ControlledStore } from './controlled-store.ts';

const TTL = 1_000;

/** A follower of a store that others write to, and what it has told. */
function follow({ ttl = TTL, logLength = 10, exclusive = false } = {}) {
  const clock = new FakeClock();
  const store = new ControlledStore({ exclusive, logLength });
  const told: (readonly string[] | 'all')[] = [];
  const availability: boolean[] = [];
  const follower = new ChangeFollower(store, ttl, clock, (available) => availability.push(available));
  follower.listen({ forget: (paths) => void told.push(paths), forgetAll: () => void told.push('all') });
  onTestFinished(async () => {
    follower.close();
    await store[Symbol.asyncDispose]();
  });
  const write = async (...paths: string[]): Promise<void> =>
    await store.commit({
      expect: [],
      put: paths.map((path) => ({ path, version: crypto.randomUUID(), value: Buffer.alloc(0) })),
      remove: [],
    });
  return { clock, store, told, availability, follower, write };
}

/** Renews the lease of a follower whose lease has lapsed, however it stands. */
async function renew({ clock, follower }: ReturnType<typeof follow>): Promise<void> {
  clock.advance(follower.ttl);
  await follower.held();
}

describe('the lease', () => {
  it('is not held before the first poll', async () => {
    const { follower } = follow();
    expect(follower.holds()).toBe(false);
    await follower.held();
    expect(follower.holds()).toBe(true);
  });

  it('ends TTL after the moment before its poll was sent, not after the answer', async () => {
    const { clock, store, follower } = follow();
    store.before = () => clock.advance(300);
    store.after = () => clock.advance(300);
    await follower.held();
    clock.advance(TTL - 600 - 1);
    expect(follower.holds()).toBe(true);
    clock.advance(1);
    expect(follower.holds()).toBe(false);
  });

  it.each([
    [
      'the monotonic clock stands still, as while the machine sleeps',
      (clock: FakeClock) => clock.set(clock.now() + TTL),
      false,
    ],
    ['the wall clock was set forward a little', (clock: FakeClock) => clock.set(clock.now() + TTL - 1), true],
    [
      'the wall clock was set back',
      (clock: FakeClock) => {
        clock.advance(TTL);
        clock.set(0);
      },
      false,
    ],
    [
      'the wall clock was set back, and it has not lapsed',
      (clock: FakeClock) => {
        clock.advance(TTL - 1);
        clock.set(0);
      },
      true,
    ],
  ])('goes by the earlier of both clocks: %s', async (_, turn, holds) => {
    const { clock, follower } = follow();
    await follower.held();
    turn(clock);
    expect(follower.holds()).toBe(holds);
  });

  it('is renewed when it has lapsed, by one poll for all who wait for it', async () => {
    const { clock, store, follower } = follow();
    await follower.held();
    await follower.held();
    expect(store.counts.changes).toBe(1);
    clock.advance(TTL);
    await Promise.all(Array.from({ length: 10 }, () => follower.held()));
    expect(store.counts.changes).toBe(2);
    expect(follower.holds()).toBe(true);
  });

  it('that lapses again before the answer is there, three times, is no lease', async () => {
    const { clock, store, follower } = follow();
    store.after = () => clock.advance(TTL);
    await expect(follower.held()).rejects.toThrow(StoreUnavailableError);
    expect(store.counts.changes).toBe(3);
    expect(follower.holds()).toBe(false);
  });

  it('is not renewed by a poll that fails', async () => {
    const world = follow();
    await world.follower.held();
    world.clock.advance(TTL);
    world.store.before = () => Promise.reject(new StoreUnavailableError('the test says so'));
    await expect(world.follower.held()).rejects.toThrow('the test says so');
    expect(world.follower.holds()).toBe(false);
  });

  it('is always held where nobody else can write', async () => {
    const { clock, follower } = follow({ exclusive: true });
    await follower.held();
    clock.advance(100 * TTL);
    expect(follower.holds()).toBe(true);
  });
});

describe('the log of changes', () => {
  it('is told from the first poll on, each change once', async () => {
    const world = follow();
    await world.write('before');
    await world.follower.held();
    expect(world.told).toEqual([]);
    await world.write('a', 'b');
    await renew(world);
    await renew(world);
    expect(world.told.map((paths) => (paths === 'all' ? paths : paths.toSorted()))).toEqual([['a', 'b']]);
  });

  it('that has a gap tells that anything may have changed, and goes on from there', async () => {
    const world = follow({ logLength: 3 });
    await world.follower.held();
    for (const path of ['a', 'b', 'c', 'd']) await world.write(path);
    await renew(world);
    expect(world.told).toEqual(['all']);
    await world.write('e');
    await renew(world);
    expect(world.told).toEqual(['all', ['e']]);
  });

  it('is told before the lease that it stands for', async () => {
    const world = follow();
    await world.follower.held();
    world.clock.advance(TTL);
    const held: boolean[] = [];
    world.follower.listen({ forget: () => held.push(world.follower.holds()), forgetAll: () => {} });
    await world.write('a');
    await world.follower.held();
    expect(held).toEqual([false]);
  });

  it('is asked again from where it was when a poll failed', async () => {
    const world = follow();
    await world.follower.held();
    await world.write('a');
    world.store.after = (method) => {
      if (method === 'changes') throw new StoreUnavailableError('the answer was lost');
    };
    await expect(renew(world)).rejects.toThrow('the answer was lost');
    world.store.after = () => {};
    await world.follower.held();
    expect(world.told).toEqual([['a']]);
  });
});

describe('a follower', () => {
  it('says once that the store is lost, and once that it is back', async () => {
    const world = follow();
    await world.follower.held();
    world.store.before = () => Promise.reject(new StoreUnavailableError('the test says so'));
    for (let n = 0; n < 3; n++) await expect(renew(world)).rejects.toThrow(StoreUnavailableError);
    expect([world.availability, world.follower.available]).toEqual([[false], false]);
    world.store.before = () => {};
    await renew(world);
    await renew(world);
    expect([world.availability, world.follower.available]).toEqual([[false, true], true]);
  });

  it.each([
    [300, 100],
    [1_000, 1_000 / 3],
    [300_000, 1_000],
  ])('with a TTL of %i ms polls at least every %i ms, also while the store fails', async (ttl, pause) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const { store, follower } = follow({ ttl });
    await follower.start();
    for (let polls = 2; polls < 12; polls++) {
      store.before = polls % 2 === 0 ? () => Promise.reject(new StoreUnavailableError('the test says so')) : () => {};
      await vi.advanceTimersByTimeAsync(Math.ceil(pause));
      expect(store.counts.changes).toBe(polls);
    }
    follower.close();
    await vi.advanceTimersByTimeAsync(10 * pause);
    expect(store.counts.changes).toBe(11);
  });
});
