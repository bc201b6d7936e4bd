import { describe, expect, it } from 'vitest';
import { RecordCache } from '../../src/records/record-cache.ts';
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

describe('a value that is made of several records', () => {
  const parts = new Map<string, string>();
  const options = {
    placeOf: (path: string) => path.split('/')[0]!,
    revise: (value: Parts, path: string) => (value.parts.delete(path), value.unread.add(path), path !== 'a/all'),
    isWhole: ({ unread }: Parts) => unread.size === 0,
    sizeOf: (value: Parts) => value.parts.size + 1,
  };
  interface Parts {
    readonly parts: Map<string, string>;
    readonly unread: Set<string>;
  }

  function makeCacheOfParts(capacity = 100) {
    const { follower } = makeCache();
    const loads: (readonly string[] | undefined)[] = [];
    let during: (() => void) | undefined;
    const load = async (_: string, known: Parts | undefined): Promise<Parts> => {
      loads.push(known && [...known.unread]);
      const read = new Map([...(known?.parts ?? []), ...parts]);
      await Promise.resolve();
      during?.();
      return { parts: read, unread: new Set() };
    };
    const cache = new RecordCache<Parts>(follower, load, capacity, options);
    return { cache, loads, whileLoading: (work?: () => void) => (during = work) };
  }

  it('stays at hand without those that changed, which alone are read anew', async () => {
    const { cache, loads } = makeCacheOfParts();
    parts.set('a/1', 'one').set('a/2', 'two');
    await cache.read('a');
    parts.set('a/2', 'three');
    cache.forget(['a/2', 'b/1']);
    expect([...cache.peek('a')!.parts]).toEqual([['a/1', 'one']]);
    expect((await cache.read('a'))?.parts.get('a/2')).toBe('three');
    expect(loads).toEqual([undefined, ['a/2']]);
    expect(cache.peek('a')?.unread.size).toBe(0);
  });

  it('is forgotten when what is left is of no use', async () => {
    const { cache } = makeCacheOfParts();
    await cache.read('a');
    cache.forget(['a/all']);
    expect(cache.peek('a')).toBeUndefined();
  });

  it('is not put together from a read during which one of them changed', async () => {
    const { cache, loads, whileLoading } = makeCacheOfParts();
    parts.set('a/1', 'one').set('a/2', 'two');
    await cache.read('a');
    cache.forget(['a/2']);
    whileLoading(() => {
      whileLoading(undefined);
      parts.set('a/1', 'revoked');
      cache.forget(['a/1']);
    });
    expect((await cache.read('a'))?.parts.get('a/1')).toBe('revoked');
    expect(loads).toEqual([undefined, ['a/2'], ['a/1']]);
  });

  it('is read in the end, however often one of them changes meanwhile', async () => {
    const { cache, loads, whileLoading } = makeCacheOfParts();
    parts.clear();
    for (let n = 0; n < 5; n++) parts.set(`a/${n}`, 'old');
    let changes = 0;
    whileLoading(() => {
      if (changes === 5) return;
      parts.set(`a/${changes}`, 'new');
      cache.forget([`a/${changes++}`]);
    });
    expect([...new Set((await cache.read('a'))!.parts.values())]).toEqual(['new']);
    // Only the first of them reads everything.
    expect(loads).toEqual([undefined, ['a/0'], ['a/1'], ['a/2'], ['a/3'], ['a/4']]);
  });

  it('is not remembered when what is left of what was read is of no use', async () => {
    const { cache, loads, whileLoading } = makeCacheOfParts();
    whileLoading(() => {
      whileLoading(undefined);
      cache.forget(['a/all']);
    });
    await cache.read('a');
    expect(loads).toEqual([undefined, undefined]);
  });

  it('takes of the capacity what it is made of', async () => {
    const { cache } = makeCacheOfParts(5);
    parts.clear();
    parts.set('a/1', 'one').set('a/2', 'two');
    await cache.read('a');
    expect(cache.peek('a')).toBeDefined();
    await cache.read('b');
    expect([cache.peek('a'), cache.peek('b')].map((value) => value !== undefined)).toEqual([false, true]);
  });
});
