import { StoreUnavailableError, type RecordStore, type StoredRecord } from './record-store.ts';

/** How many records are read at once. */
const PAGE = 200;

/** How often the changes that were made while changes were read are read in turn. */
const ROUNDS = 1_000;

/**
 * All records, in the order of their paths, a page at a time. They are not as of one moment: what {@link changedSince}
 * tells of the time since before the first of them makes them so.
 *
 * @throws StoreUnavailableError
 */
export async function* everyRecord(store: RecordStore): AsyncGenerator<StoredRecord, void> {
  for (let after = ''; ;) {
    const page = await store.list('', after, PAGE);
    yield* page;
    if (page.length < PAGE) return;
    after = page.at(-1)!.path;
  }
}

/**
 * The records that were changed since a cursor, by their paths, `undefined` for those that are gone: as of one moment,
 * later than the call. What has not changed since the cursor is the same at that moment, whenever it was read.
 *
 * @returns `undefined` when the log does not reach back to the cursor
 * @throws StoreUnavailableError also when the store changes faster than it can be read
 */
export async function changedSince(
  store: RecordStore,
  since: string,
): Promise<ReadonlyMap<string, StoredRecord | undefined> | undefined> {
  const changed = new Map<string, StoredRecord | undefined>();
  for (let round = 0; round < ROUNDS; round++) {
    const { cursor, paths } = await store.changes(since);
    if (paths === undefined) return undefined;
    // What was read in the round before has not changed while it was read: all of it was so at the cursor.
    if (paths.length === 0) return changed;
    for (let start = 0; start < paths.length; start += PAGE) {
      const some = paths.slice(start, start + PAGE);
      const records = await store.getMany(some);
      for (const [index, path] of some.entries()) changed.set(path, records[index]);
    }
    since = cursor;
  }
  throw new StoreUnavailableError('the store changes faster than it can be read');
}
