import { describe, expect, it } from 'vitest';
import { makeCache, TTL } from './make-cache.ts';

describe('what is remembered', () => {
  it('is at hand without another read while the lease holds, and never after', async () => {
    const { cache, clock, write, loads } = makeCache();
    await write('a', 'one');
    expect(cache.peek('a')).toBeUndefined();
    expect(await cache.read('a')).toEqual({ text: 'one' });
    expect(cache.peek('a')).toEqual({ text: 'one' });
    await cache.read('a');
    expect(loads.length).toBe(1);
    clock.advance(TTL - 1);
    expect(cache.peek('a')).toEqual({ text: 'one' });
    clock.advance(1);
    expect(cache.peek('a')).toBeUndefined();
  });

  it('is at hand again when the lease was renewed and nothing was told', async () => {
    const { cache, write, poll, loads } = makeCache();
    await write('a', 'one');
    await cache.read('a');
    await poll();
    expect(cache.peek('a')).toEqual({ text: 'one' });
    expect(loads.length).toBe(1);
  });

  it('is forgotten when its path changed, and nothing else is', async () => {
    const { cache, write, poll } = makeCache();
    await write('a', 'one');
    await write('b', 'two');
    await cache.read('a');
    await cache.read('b');
    await write('a', 'three');
    await poll();
    expect([cache.peek('a'), cache.peek('b')]).toEqual([undefined, { text: 'two' }]);
    expect(await cache.read('a')).toEqual({ text: 'three' });
  });

  it('is all forgotten when the log has a gap', async () => {
    const { cache, write, poll } = makeCache({ logLength: 2 });
    for (const path of ['a', 'b']) {
      await write(path, 'one');
      await cache.read(path);
    }
    for (const path of ['x', 'y', 'z']) await write(path, '');
    await poll();
    expect([cache.peek('a'), cache.peek('b')]).toEqual([undefined, undefined]);
  });

  it('is no absence: what was not there is read again', async () => {
    const { cache, write, loads } = makeCache();
    expect(await cache.read('a')).toBeUndefined();
    await write('a', 'one');
    expect(await cache.read('a')).toEqual({ text: 'one' });
    expect(loads.length).toBe(2);
  });

  it('is as much as the capacity, and what was not used for longest goes first', async () => {
    const { cache, write } = makeCache({ capacity: 3 });
    for (const path of ['a', 'b', 'c', 'd']) await write(path, path);
    for (const path of ['a', 'b', 'c', 'a', 'd']) await cache.read(path);
    expect(['a', 'b', 'c', 'd'].filter((path) => cache.peek(path) !== undefined)).toEqual(['a', 'c', 'd']);
  });
});
