import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { StoreUnavailableError } from '../../src/records/record-store.ts';
import type { Hook } from '../records/controlled-store.ts';
import { DeletionWorld, remains } from './deletion-world.ts';
import { ACCOUNT, DAY, deletionOf, storedKey } from './fixture.ts';

/** Fails the commit of this number. */
function failAt(wanted: number): Hook {
  let commits = 0;
  return (method) => {
    if (method === 'commit' && ++commits === wanted) throw new StoreUnavailableError('the test says so');
  };
}

describe('a sweep that breaks off', () => {
  it.each(
    [1, 2, 3, 4, 5].flatMap((wanted) => [{ when: 'before', wanted } as const, { when: 'after', wanted } as const]),
  )('$when commit $wanted is ended by the next one', async ({ when, wanted }) => {
    await using world = await DeletionWorld.start();
    const { keyId } = await world.doomKey(450);
    world.clock.advance(7 * DAY);
    const commits = world.store.counts.commit;
    world.store[when] = failAt(wanted);
    await expect(world.sweep()).rejects.toThrow('the test says so');
    world.store[when] = () => {};
    expect(world.store.counts.commit).toBe(commits + wanted);
    await world.sweep();
    expect(world.failures).toEqual([]);
    expect(await world.store.paths()).toEqual(remains(keyId));
  });

  it('for a store that is away tries no other key, and for any other reason does', async () => {
    await using world = await DeletionWorld.start();
    for (let n = 0; n < 3; n++) await world.doomKey();
    world.clock.advance(7 * DAY);
    let commits = 0;
    let failure: Error = new StoreUnavailableError('the test says so');
    world.store.before = (method) => {
      if (method !== 'commit') return;
      commits++;
      throw failure;
    };
    await expect(world.sweep()).rejects.toThrow(failure);
    expect(commits).toBe(1);
    failure = new Error('a test');
    expect(await world.sweep()).toBe(0);
    expect([commits, world.failures]).toEqual([4, [failure, failure, failure]]);
  });

  it('takes five commits when nothing breaks it off', async () => {
    await using world = await DeletionWorld.start();
    await world.doomKey(450);
    world.clock.advance(7 * DAY);
    const commits = world.store.counts.commit;
    await world.sweep();
    expect(world.store.counts.commit).toBe(commits + 5);
  });

  it('that another replica runs at the same time is no failure', async () => {
    await using world = await DeletionWorld.start();
    const doomed = await Promise.all(Array.from({ length: 5 }, () => world.doomKey(3)));
    world.clock.advance(7 * DAY);
    const ticking = setInterval(() => world.clock.advance(10), 1);
    // Every answer takes a turn, so that the two of them come between each other.
    world.store.after = () => new Promise((resolve) => setImmediate(resolve));
    const destroyed = await Promise.all([world.sweep(), world.sweep()]);
    clearInterval(ticking);
    expect(destroyed[0] + destroyed[1]).toBe(doomed.length);
    expect((await world.store.paths()).filter((path) => !path.startsWith(`${ACCOUNT}/destroyed/`))).toEqual([
      `${ACCOUNT}/deployment`,
      `${ACCOUNT}/grant-token-key`,
    ]);
    expect(world.failures).toEqual([]);
  });

  it('because the store fails is reported, and comes again after 10 seconds', async () => {
    await using world = await DeletionWorld.start();
    const { keyId } = await world.doomKey();
    world.clock.advance(7 * DAY);
    world.store.before = (method) => {
      if (method === 'list') throw new StoreUnavailableError('the test says so');
    };
    const { deletion, failures } = deletionOf(world.store, world.clock, world.sealer);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    deletion.start();
    await vi.advanceTimersByTimeAsync(0);
    expect(failures).toMatchObject([{ message: 'the test says so' }]);
    world.store.before = () => {};
    await vi.advanceTimersByTimeAsync(9_999);
    expect(await storedKey(world.store, keyId)).toBeDefined();
    await vi.advanceTimersByTimeAsync(1);
    await deletion.close();
    vi.useRealTimers();
    expect(await world.store.paths()).toEqual(remains(keyId));
    expect(failures.length).toBe(1);
  });
});
