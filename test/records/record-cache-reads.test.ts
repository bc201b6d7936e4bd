import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { StoreUnavailableError } from '../../src/records/record-store.ts';
import { makeCache, TTL } from './make-cache.ts';

describe('a read under way', () => {
  it('is shared by all who ask for the path', async () => {
    const { cache, write, hold, loads } = makeCache();
    await write('a', 'one');
    hold(true);
    const readers = [cache.read('a'), cache.read('a'), cache.read('a')];
    await setImmediate();
    expect(loads.length).toBe(1);
    await loads[0]!.answer();
    const answers = await Promise.all(readers);
    expect(answers).toEqual([{ text: 'one' }, { text: 'one' }, { text: 'one' }]);
    expect(answers[1]).toBe(answers[0]);
  });

  it.each([
    ['changed', 10],
    ['may have changed, as the log has a gap,', 1],
  ])('whose path %s after it was sent is neither remembered nor answered', async (_, logLength) => {
    const { cache, write, hold, poll, loads } = makeCache({ logLength });
    await write('a', 'old');
    hold(true);
    const reader = cache.read('a');
    await setImmediate();
    // The store has read, and its answer is on the way.
    await write('a', 'new');
    await write('b', 'another');
    await poll();
    hold(false);
    await loads[0]!.answer();
    expect(await reader).toEqual({ text: 'new' });
    expect(cache.peek('a')).toEqual({ text: 'new' });
    expect(loads.length).toBe(2);
  });

  it('that is too old is not shared with those who ask after the change', async () => {
    const { cache, write, hold, poll, loads } = makeCache();
    await write('a', 'old');
    hold(true);
    const early = cache.read('a');
    await setImmediate();
    await write('a', 'new');
    await poll();
    const late = cache.read('a');
    await setImmediate();
    expect(loads.length).toBe(2);
    await loads[0]!.answer();
    // The end of the old read does not end the new one.
    const later = cache.read('a');
    await setImmediate();
    expect(loads.length).toBe(2);
    await loads[1]!.answer();
    expect(await Promise.all([early, late, later])).toEqual([{ text: 'new' }, { text: 'new' }, { text: 'new' }]);
  });

  it('that took longer than the lease answers only what is true under the next one', async () => {
    const { cache, clock, write, hold, loads, store } = makeCache();
    await write('a', 'old');
    hold(true);
    const reader = cache.read('a');
    await setImmediate();
    await write('a', 'new');
    clock.advance(TTL);
    hold(false);
    await loads[0]!.answer();
    expect(await reader).toEqual({ text: 'new' });
    expect(store.counts.changes).toBe(2);
  });

  it('that fails fails for all who share it, and is not remembered', async () => {
    const { cache, write, store } = makeCache();
    await write('a', 'one');
    store.after = (method) => {
      if (method === 'getMany') throw new StoreUnavailableError('the test says so');
    };
    const readers = await Promise.allSettled([cache.read('a'), cache.read('a')]);
    expect(readers.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(store.counts.getMany).toBe(1);
    store.after = () => {};
    expect(await cache.read('a')).toEqual({ text: 'one' });
  });

  it('is given up when the path always changes meanwhile', async () => {
    const { cache, write, store, follower } = makeCache();
    await write('a', 'one');
    store.after = (method) => {
      if (method === 'getMany') follower.changed(['a']);
    };
    await expect(cache.read('a')).rejects.toThrow(
      new StoreUnavailableError('the record changes faster than it can be read'),
    );
    expect(store.counts.getMany).toBe(10);
  });

  it('is not begun without a lease', async () => {
    const { cache, store } = makeCache();
    store.before = (method) => {
      if (method === 'changes') throw new StoreUnavailableError('the test says so');
    };
    await expect(cache.read('a')).rejects.toThrow('the test says so');
    expect(store.counts.getMany).toBe(0);
  });
});
