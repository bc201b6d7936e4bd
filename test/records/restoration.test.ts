import { mkdtempSync, rmSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, inject, it } from 'vitest';
import { type RecordStore, StoreUnavailableError } from '../../src/records/record-store.ts';
import { openRedisRecordStore } from '../../src/records/redis-record-store.ts';
import { beginRedisRestoration } from '../../src/records/redis-restoration.ts';
import type { Restoration } from '../../src/records/restoration.ts';
import { openSqliteRecordStore } from '../../src/records/sqlite-record-store.ts';
import { beginSqliteRestoration } from '../../src/records/sqlite-restoration.ts';
import { redisStoreOptions } from '../support/redis-server.ts';
import { commit, makeRecord } from './record-store-contract.ts';

const folder = mkdtempSync(join(tmpdir(), 'hmacd-restoration-'));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;

/** A store that is not there yet. */
interface Place {
  open(): Promise<RecordStore>;
  begin(storeId: string): Promise<Restoration>;
}

function sqlitePlace(): Place {
  const path = join(folder, `${++files}.db`);
  return {
    open: async () => openSqliteRecordStore(path),
    begin: async (storeId) => beginSqliteRestoration(path, storeId),
  };
}

function redisPlace(): Place {
  const options = redisStoreOptions(inject('redis')!.shared);
  return { open: () => openRedisRecordStore(options), begin: (storeId) => beginRedisRestoration(options, storeId) };
}

const pathsOf = async (store: RecordStore): Promise<string[]> =>
  (await store.list('', '', 100)).map(({ path }) => path);

describe.each([
  { kind: 'SQLite', newPlace: sqlitePlace, without: false },
  { kind: 'Redis', newPlace: redisPlace, without: inject('redis') === undefined },
])('a restoration on $kind', ({ newPlace, without }) => {
  it.skipIf(without)('gives a new store its ID and its records once it is complete', async () => {
    const place = newPlace();
    const storeId = randomUUID();
    const restoration = await place.begin(storeId);
    await commit(restoration.store, { put: [makeRecord('a'), makeRecord('b')] });
    await restoration.complete();
    await restoration.store.close();
    const store = await place.open();
    expect(store.storeId).toBe(storeId);
    expect(await pathsOf(store)).toEqual(['a', 'b']);
    const { cursor } = await store.changes(undefined);
    await commit(store, { put: [makeRecord('c')] });
    expect((await store.changes(cursor)).paths).toEqual(['c']);
    await store.close();
  });

  it.skipIf(without)('takes a store that was opened and has no records', async () => {
    const place = newPlace();
    const before = await place.open();
    await commit(before, { put: [makeRecord('a')] });
    await commit(before, { remove: ['a'] });
    await before.close();
    const restoration = await place.begin(randomUUID());
    await restoration.complete();
    await restoration.store.close();
    const store = await place.open();
    expect(store.storeId).not.toBe(before.storeId);
    await store.close();
  });

  it.skipIf(without)('refuses a store with records, and leaves it as it is', async () => {
    const place = newPlace();
    const before = await place.open();
    await commit(before, { put: [makeRecord('a')] });
    await before.close();
    await expect(place.begin(randomUUID())).rejects.toThrow(
      /: it has records, and a backup is restored only into an empty store$/,
    );
    const after = await place.open();
    expect(after.storeId).toBe(before.storeId);
    expect(await pathsOf(after)).toEqual(['a']);
    await after.close();
  });

  it.skipIf(without)('that is not complete can be opened by nobody, and is begun anew', async () => {
    const place = newPlace();
    const broken = await place.begin(randomUUID());
    await commit(broken.store, { put: [makeRecord('left')] });
    await broken.store.close();
    await expect(place.open()).rejects.toThrow(
      / cannot be opened: a restore into it has not ended; run "hmacd restore"/,
    );
    const restoration = await place.begin(randomUUID());
    await commit(restoration.store, { put: [makeRecord('a')] });
    await restoration.complete();
    await restoration.store.close();
    const store = await place.open();
    expect(await pathsOf(store)).toEqual(['a']);
    await store.close();
  });
});

describe.skipIf(inject('redis') === undefined)('of two restorations on Redis', () => {
  it('the later one has the store, and the earlier one fails', async () => {
    const place = redisPlace();
    const [first, second] = [await place.begin(randomUUID()), await place.begin(randomUUID())];
    await expect(commit(first.store, { put: [makeRecord('a')] })).rejects.toThrow(StoreUnavailableError);
    await expect(first.complete()).rejects.toThrow(/another restore has taken the Redis store over/);
    await commit(second.store, { put: [makeRecord('b')] });
    await second.complete();
    const store = await place.open();
    expect(await pathsOf(store)).toEqual(['b']);
    for (const one of [first.store, second.store, store]) await one.close();
  });

  it('stops a replica that had the store open', async () => {
    const place = redisPlace();
    const replica = await place.open();
    const restoration = await place.begin(randomUUID());
    await expect(commit(replica, { put: [makeRecord('a')] })).rejects.toThrow(/was flushed or replaced/);
    await restoration.complete();
    await expect(replica.changes(undefined)).rejects.toThrow(/was flushed or replaced/);
    for (const one of [replica, restoration.store]) await one.close();
  });
});
