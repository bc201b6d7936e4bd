import { describe, expect, it } from 'vitest';
import { PendingDeletionSchema as Schema } from '../../src/gen/hmacd/store/v1/records_pb.ts';
import { ConflictError, StoreUnavailableError } from '../../src/records/record-store.ts';
import { createRecord, keepRecord, putRecord, removeRecord, replaceRecord } from '../../src/records/records.ts';
import { UnsealError } from '../../src/records/sealer.ts';
import { makeRecords } from './make-records.ts';

describe('a commit', () => {
  it('puts, replaces, keeps and removes records, each in a new version, sealed', async () => {
    const { records, store, add, read } = makeRecords();
    for (const path of ['a', 'b', 'c']) await add(path, 'readable');
    const [a, b, c] = await records.getMany([
      [Schema, 'a'],
      [Schema, 'b'],
      [Schema, 'c'],
    ]);
    await records.commit(
      [
        replaceRecord(a!, Schema, { keyId: 'replaced' }),
        keepRecord(b!),
        removeRecord(c!),
        putRecord('d', undefined, Schema, {}),
      ],
      'adds',
    );
    expect(await Promise.all(['a', 'b', 'c', 'd'].map(read))).toEqual(['replaced', 'readable', undefined, '']);
    const stored = await store.everything();
    expect(stored.map(({ version }) => version).includes(a!.version)).toBe(false);
    for (const { version } of stored) expect(version).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/);
    expect(stored.some(({ value }) => Buffer.from(value).includes('readable'))).toBe(false);
  });

  it('is refused, all of it, when any record is not as it was found', async () => {
    const { records, store, add } = makeRecords();
    await add('a');
    await add('b');
    const [a, b] = [(await records.get(Schema, 'a'))!, (await records.get(Schema, 'b'))!];
    await records.commit([replaceRecord(a, Schema, { keyId: 'by another writer' })], 'adds');
    const before = await store.everything();
    const other = replaceRecord(b, Schema, { keyId: 'x' });
    for (const change of [
      createRecord('b', Schema, {}),
      replaceRecord(a, Schema, {}),
      keepRecord(a),
      removeRecord(a),
      putRecord('a', a, Schema, {}),
      putRecord('a', undefined, Schema, {}),
    ]) {
      const changes = change.kind === 'create' && change.path === 'b' ? [change] : [other, change];
      await expect(records.commit(changes, 'adds')).rejects.toThrow(ConflictError);
    }
    expect(await store.everything()).toEqual(before);
  });

  it.each([
    ['succeeds', () => {}, undefined],
    [
      'fails, and may have been applied,',
      () => Promise.reject(new StoreUnavailableError('the test says so')),
      'StoreUnavailableError',
    ],
  ])('that %s makes this replica forget what it changed, before it is answered', async (_, after, name) => {
    const { records, store, forgotten, add } = makeRecords();
    await add('a');
    await add('b');
    await add('kept');
    const [a, b, kept] = await records.getMany([
      [Schema, 'a'],
      [Schema, 'b'],
      [Schema, 'kept'],
    ]);
    forgotten.length = 0;
    const seen: number[] = [];
    store.after = () => {
      seen.push(forgotten.length);
      return after();
    };
    const commit = records.commit(
      [replaceRecord(a!, Schema, {}), removeRecord(b!), keepRecord(kept!), createRecord('c', Schema, {})],
      'adds',
    );
    const failure: unknown = await commit.catch((error: unknown) => error);
    expect((failure as Error | undefined)?.name).toBe(name);
    // Not before the store has it, or a read in between would bring the old one back.
    expect(seen).toEqual([0]);
    expect(forgotten).toEqual([['a', 'c', 'b']]);
  });
});

describe('a record that is damaged', () => {
  it('is an error to whoever opens it, and to nobody else', async () => {
    const { records, store, add, read } = makeRecords();
    await add('a');
    await add('b');
    const [a] = await store.getMany(['a']);
    await store.commit({ expect: [], put: [{ ...a!, version: crypto.randomUUID() }], remove: [] });
    await expect(records.get(Schema, 'a')).rejects.toThrow(UnsealError);
    const listed = await records.list(Schema, '', '', 10);
    expect(listed.map(({ path, message }) => [path, message !== undefined])).toEqual([
      ['a', false],
      ['b', true],
    ]);
    expect(await read('b')).toBe('b');
    expect((await records.listPaths('', '', 10)).map(({ path }) => path)).toEqual(['a', 'b']);
  });
});
