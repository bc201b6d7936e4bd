import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import {
  ConflictError,
  StoreUnavailableError,
  type Commit,
  type RecordStore,
  type StoredRecord,
} from '../../src/records/record-store.ts';

/** Opens a store with nothing in it; `logLength` is how many commits its log keeps. */
export type OpenEmptyStore = (logLength?: number) => Promise<RecordStore>;

export function makeRecord(path: string, value: Uint8Array | string = ''): StoredRecord {
  return { path, version: randomUUID(), value: typeof value === 'string' ? Buffer.from(value) : value };
}

export async function commit(store: RecordStore, changes: Partial<Commit>): Promise<void> {
  await store.commit({ expect: [], put: [], remove: [], ...changes });
}

/** Values compare by their bytes, whatever view of bytes a store answers with. */
function comparable(record: StoredRecord | undefined): unknown {
  return record && { ...record, value: Buffer.from(record.value).toString('hex') };
}

async function read(store: RecordStore, ...paths: string[]): Promise<unknown[]> {
  return (await store.getMany(paths)).map(comparable);
}

/** The paths of the records of a list, which `pathsOf` must tell alike. */
async function listed(store: RecordStore, prefix: string, after: string, limit: number): Promise<string[]> {
  const paths = (await store.list(prefix, after, limit)).map(({ path }) => path);
  expect(await store.pathsOf(prefix, after, limit)).toEqual(paths);
  return paths;
}

async function pathsOfList(store: RecordStore, prefix: string, after: string, limit: number): Promise<string[]> {
  return (await store.list(prefix, after, limit)).map(({ path }) => path);
}

async function listAll(
  store: RecordStore,
  prefix: string,
  limit: number,
  list: typeof listed = listed,
): Promise<string[]> {
  const paths: string[] = [];
  for (let after = ''; ;) {
    const page = await list(store, prefix, after, limit);
    paths.push(...page);
    if (page.length < limit) return paths;
    after = paths.at(-1) ?? '';
  }
}

async function changedSince(store: RecordStore, since: string): Promise<string[] | undefined> {
  const { paths } = await store.changes(since);
  return paths && paths.toSorted();
}

/** What every store must do; each sentence of the interface has its test. */
export function describeRecordStore(name: string, openEmptyStore: OpenEmptyStore): void {
  describe(`${name} as a record store`, () => {
    const opened: RecordStore[] = [];
    const open: OpenEmptyStore = async (logLength) => {
      const store = await openEmptyStore(logLength);
      opened.push(store);
      return store;
    };
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((store) => store.close()));
    });

    describeReading(open);
    describeListing(open);
    describeCommitting(open);
    describeFollowing(open);

    it('fails after it is closed, and can be closed again', async () => {
      const store = await open();
      const { cursor } = await store.changes(undefined);
      await store.close();
      await store.close();
      await expect(store.getMany(['a'])).rejects.toThrow(StoreUnavailableError);
      await expect(store.list('', '', 1)).rejects.toThrow(StoreUnavailableError);
      await expect(store.pathsOf('', '', 1)).rejects.toThrow(StoreUnavailableError);
      await expect(store.count('')).rejects.toThrow(StoreUnavailableError);
      await expect(commit(store, { put: [makeRecord('a')] })).rejects.toThrow(StoreUnavailableError);
      await expect(store.changes(cursor)).rejects.toThrow(StoreUnavailableError);
    });
  });
}

function describeReading(open: OpenEmptyStore): void {
  it('has a UUID of its own', async () => {
    const [one, other] = [await open(), await open()];
    expect(one.storeId).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(one.storeId).not.toBe(other.storeId);
  });

  it('answers in the order of the paths, with undefined where there is no record', async () => {
    const store = await open();
    const [a, b] = [makeRecord('a', 'of a'), makeRecord('b', 'of b')];
    await commit(store, { put: [a, b] });
    expect(await read(store, 'b', 'nothing', 'a', 'b')).toEqual([b, undefined, a, b].map(comparable));
    expect(await store.getMany([])).toEqual([]);
  });

  it.each([
    ['every byte', Uint8Array.from({ length: 512 }, (_, n) => n % 256)],
    ['no byte', new Uint8Array(0)],
    ['1 MiB', new Uint8Array(1024 * 1024).fill(0xff)],
    ['a view of a larger buffer', new Uint8Array([9, 1, 0, 13, 10, 9]).subarray(1, 5)],
  ])('keeps a value of %s', async (_, value) => {
    const store = await open();
    const record = makeRecord('a', value);
    await commit(store, { put: [record] });
    expect(await read(store, 'a')).toEqual([comparable(record)]);
    expect((await store.list('', '', 1)).map(comparable)).toEqual([comparable(record)]);
  });

  it('keeps paths of every printable character, and of 1,024', async () => {
    const store = await open();
    const printable = String.fromCharCode(...Array.from({ length: 95 }, (_, n) => 32 + n));
    const records = [makeRecord(printable, '1'), makeRecord('x'.repeat(1_024), '2')];
    await commit(store, { put: records });
    expect(await read(store, ...records.map(({ path }) => path))).toEqual(records.map(comparable));
  });

  it('reads several records as of one moment', async () => {
    const store = await open();
    const written = new AbortController();
    async function write(): Promise<void> {
      for (let n = 0; n < 200; n++) await commit(store, { put: [makeRecord('a', `${n}`), makeRecord('b', `${n}`)] });
      written.abort();
    }
    const writing = write();
    while (!written.signal.aborted) {
      const [a, b] = await store.getMany(['a', 'b']);
      expect(a && Buffer.from(a.value)).toEqual(b && Buffer.from(b.value));
      await new Promise(setImmediate);
    }
    await writing;
  });
}

function describeListing(open: OpenEmptyStore): void {
  it('lists by the bytes of the paths', async () => {
    const store = await open();
    const paths = ['a', 'A', 'aa', 'a!', 'a/b', 'a0', 'a~', 'Z', 'b', 'a/B', '0', '~', ' '];
    await commit(store, { put: paths.map((path) => makeRecord(path)) });
    expect(await listed(store, '', '', 1_000)).toEqual(paths.toSorted());
  });

  it('lists what begins with the prefix, and nothing beside it', async () => {
    const store = await open();
    const inside = ['k/1/', 'k/1/ ', 'k/1/a', 'k/1/a/b', 'k/1/~', 'k/1/~~'];
    const outside = ['k', 'k/1', 'k/0/z', 'k/1.', 'k/10/a', 'k/1~', 'k/2/a', 'j/1/a', 'l', 'K/1/a'];
    await commit(store, { put: [...inside, ...outside].map((path) => makeRecord(path)) });
    expect(await listed(store, 'k/1/', '', 1_000)).toEqual(inside);
    expect(await listed(store, 'k/3/', '', 1_000)).toEqual([]);
  });

  it('counts what begins with a prefix', async () => {
    const store = await open();
    expect(await store.count('k/1/')).toBe(0);
    const paths = ['k/1/', 'k/1/a', 'k/1/~~', 'k/1', 'k/10/a', 'k/1~', 'k/0/z', 'l'];
    await commit(store, { put: paths.map((path) => makeRecord(path)) });
    expect([await store.count('k/1/'), await store.count('k'), await store.count('')]).toEqual([3, 7, 8]);
    await commit(store, { remove: ['k/1/a'] });
    expect(await store.count('k/1/')).toBe(2);
  });

  it('begins after a path, whether or not it is there or has the prefix', async () => {
    const store = await open();
    await commit(store, { put: ['a/1', 'a/2', 'a/3', 'b/1'].map((path) => makeRecord(path)) });
    const list = async (after: string): Promise<string[]> => await listed(store, 'a/', after, 10);
    expect(await list('a/1')).toEqual(['a/2', 'a/3']);
    expect(await list('a/11')).toEqual(['a/2', 'a/3']);
    expect(await list('a/3')).toEqual([]);
    expect(await list('b')).toEqual([]);
    expect(await list('A')).toEqual(['a/1', 'a/2', 'a/3']);
    expect(await list('a/')).toEqual(['a/1', 'a/2', 'a/3']);
  });

  it('lists in pages of up to 1,001 records', async () => {
    const store = await open();
    const paths = Array.from({ length: 1_200 }, (_, n) => `p/${String(n).padStart(4, '0')}`);
    for (let n = 0; n < 3; n++) {
      await commit(store, { put: paths.slice(n * 400, n * 400 + 400).map((path) => makeRecord(path)) });
    }
    expect(await listed(store, 'p/', '', 1_001)).toHaveLength(1_001);
    expect(await listed(store, 'p/', '', 1)).toHaveLength(1);
    for (const limit of [7, 100, 1_000]) expect(await listAll(store, 'p/', limit)).toEqual(paths);
  });

  it.each<[string, typeof listed]>([
    ['records', pathsOfList],
    ['paths', async (store, prefix, after, limit) => await store.pathsOf(prefix, after, limit)],
  ])('lists all that is there throughout while others come and go (%s)', async (_what, list) => {
    const store = await open();
    const paths = Array.from({ length: 200 }, (_, n) => `p/${String(n).padStart(3, '0')}`);
    const lasting = paths.filter((_, n) => n % 10 === 9);
    const passing = paths.filter((_, n) => n % 10 !== 9);
    await commit(store, { put: paths.map((path) => makeRecord(path)) });
    const done = new AbortController();
    async function comeAndGo(): Promise<void> {
      while (!done.signal.aborted) {
        await commit(store, { remove: passing });
        await commit(store, { put: passing.map((path) => makeRecord(path)) });
        await new Promise(setImmediate);
      }
    }
    const disturbance = comeAndGo();
    for (let n = 0; n < 60; n++) {
      const found = new Set(await listAll(store, 'p/', 10, list));
      expect(lasting.filter((path) => !found.has(path))).toEqual([]);
      await new Promise(setImmediate);
    }
    done.abort();
    await disturbance;
  });
}

function describeCommitting(open: OpenEmptyStore): void {
  it('puts, replaces and removes', async () => {
    const store = await open();
    const [first, second] = [makeRecord('a', '1'), makeRecord('a', '2')];
    await commit(store, { put: [first] });
    await commit(store, { put: [second, makeRecord('b')] });
    expect(await read(store, 'a')).toEqual([comparable(second)]);
    await commit(store, { remove: ['a', 'never there'] });
    expect(await read(store, 'a')).toEqual([undefined]);
    expect(await listAll(store, '', 10)).toEqual(['b']);
    await commit(store, {});
  });

  it('applies a commit whose expectations hold, also those of records that it does not change', async () => {
    const store = await open();
    const [a, b] = [makeRecord('a'), makeRecord('b')];
    await commit(store, { expect: [{ path: 'a', version: undefined }], put: [a, b] });
    const next = makeRecord('a', 'next');
    await commit(store, {
      expect: [
        { path: 'a', version: a.version },
        { path: 'b', version: b.version },
        { path: 'c', version: undefined },
      ],
      put: [next],
    });
    expect(await read(store, 'a', 'b')).toEqual([next, b].map(comparable));
  });

  it.each([
    ['has another version', 'a', randomUUID()],
    ['is absent', 'c', randomUUID()],
    ['is there', 'a', undefined],
  ])('changes nothing when a record %s', async (_, path, version) => {
    const store = await open();
    const [a, b] = [makeRecord('a'), makeRecord('b')];
    await commit(store, { put: [a, b] });
    const { cursor } = await store.changes(undefined);
    const conflicting = store.commit({
      expect: [
        { path: 'b', version: b.version },
        { path, version },
      ],
      put: [makeRecord('a', 'new'), makeRecord('new')],
      remove: ['b'],
    });
    await expect(conflicting).rejects.toThrow(new ConflictError(path));
    await expect(conflicting).rejects.toBeInstanceOf(ConflictError);
    expect(await read(store, 'a', 'b', 'new')).toEqual([a, b, undefined].map(comparable));
    expect(await changedSince(store, cursor)).toEqual([]);
  });

  it('tells the first expectation that does not hold', async () => {
    const store = await open();
    const expectations = ['a', 'b', 'c'].map((path) => ({ path, version: path === 'a' ? undefined : randomUUID() }));
    await expect(commit(store, { expect: expectations })).rejects.toThrow(new ConflictError('b'));
  });

  it('lets one of several racing commits through at a time', async () => {
    const store = await open();
    await commit(store, { put: [makeRecord('count', '0')] });
    async function increment(): Promise<void> {
      for (;;) {
        const [record] = await store.getMany(['count']);
        const next = makeRecord('count', String(Number(Buffer.from(record?.value ?? []).toString()) + 1));
        try {
          return await commit(store, { expect: [{ path: 'count', version: record?.version }], put: [next] });
        } catch (error) {
          if (!(error instanceof ConflictError)) throw error;
        }
      }
    }
    await Promise.all(Array.from({ length: 50 }, increment));
    const [count] = await store.getMany(['count']);
    expect(Buffer.from(count?.value ?? []).toString()).toBe('50');
  });

  it('takes 500 expectations and 500 changes', async () => {
    const store = await open();
    const records = Array.from({ length: 500 }, (_, n) => makeRecord(`${'p'.repeat(1_000)}/${n}`, `${n}`));
    const absent = records.map(({ path }) => ({ path, version: undefined }));
    await commit(store, { expect: absent, put: records });
    expect(await read(store, ...records.map(({ path }) => path))).toEqual(records.map(comparable));
    const { cursor } = await store.changes(undefined);
    await commit(store, {
      expect: records.map(({ path, version }) => ({ path, version })),
      put: records.slice(0, 250).map(({ path }) => makeRecord(path)),
      remove: records.slice(250).map(({ path }) => path),
    });
    expect(await listAll(store, '', 1_000)).toHaveLength(250);
    expect(await changedSince(store, cursor)).toEqual(records.map(({ path }) => path).toSorted());
  });
}

function describeFollowing(open: OpenEmptyStore): void {
  it('tells what was put and removed since a cursor', async () => {
    const store = await open();
    await commit(store, { put: [makeRecord('before')] });
    const start = await store.changes(undefined);
    expect(await store.changes(start.cursor)).toEqual({ cursor: start.cursor, paths: [] });

    await commit(store, { put: [makeRecord('a'), makeRecord('b')] });
    await commit(store, { put: [makeRecord('a')], remove: ['before'] });
    const middle = await store.changes(start.cursor);
    expect(middle.paths?.toSorted()).toEqual(['a', 'b', 'before']);

    await commit(store, { put: [makeRecord('c d')] });
    expect(await changedSince(store, middle.cursor)).toEqual(['c d']);
    expect(await changedSince(store, start.cursor)).toEqual(['a', 'b', 'before', 'c d']);
  });

  it('tells of a store that nothing was committed to', async () => {
    const store = await open();
    const { cursor } = await store.changes(undefined);
    expect(await changedSince(store, cursor)).toEqual([]);
    await commit(store, { put: [makeRecord('a')] });
    // Either answer is right: the path, or that anything may have changed.
    expect([['a'], undefined]).toContainEqual(await changedSince(store, cursor));
  });

  it('says so when the log does not reach back to the cursor', async () => {
    const store = await open(20);
    await commit(store, { put: [makeRecord('0')] });
    const start = await store.changes(undefined);
    for (let n = 1; n <= 19; n++) await commit(store, { put: [makeRecord(`${n}`)] });
    expect((await store.changes(start.cursor)).paths).toHaveLength(19);
    await commit(store, { put: [makeRecord('20')] });
    await commit(store, { put: [makeRecord('21')] });
    const gap = await store.changes(start.cursor);
    expect(gap.paths).toBeUndefined();
    await commit(store, { put: [makeRecord('after')] });
    expect(await changedSince(store, gap.cursor)).toEqual(['after']);
  });

  it('keeps 10,000 commits when it is not told otherwise', { timeout: 120_000 }, async () => {
    const store = await open();
    await commit(store, { put: [makeRecord('0')] });
    const start = await store.changes(undefined);
    const commitMany = async (count: number): Promise<void> => {
      for (let n = 0; n < count; n += 100) {
        await Promise.all(Array.from({ length: 100 }, (_, k) => commit(store, { put: [makeRecord(`${k}`)] })));
      }
    };
    await commitMany(9_900);
    expect((await store.changes(start.cursor)).paths).toHaveLength(100);
    await commitMany(200);
    expect((await store.changes(start.cursor)).paths).toBeUndefined();
  });
}
