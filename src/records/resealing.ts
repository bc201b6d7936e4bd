import { setTimeout as delay } from 'node:timers/promises';
import { v7 as uuidv7 } from 'uuid';
import { ConflictError, type RecordStore, type StoredRecord } from './record-store.ts';
import { rootKeyIdOf, type Sealer, UnsealError } from './sealer.ts';
import { everyRecord } from './store-snapshot.ts';

/** How many records are sealed anew in one commit: few, so that the store is not kept from others. */
const BATCH = 50;

/** What a look at all records found. */
export interface Survey {
  readonly recordCount: number;
  /** Records that open, and are not sealed under the root key that was asked for. */
  readonly elsewhere: readonly string[];
  /** Records that do not open. */
  readonly damaged: readonly UnsealError[];
}

/**
 * Seals all records anew that are not sealed under a root key, a few at a time, and leaves those that do not open. Records
 * that others change meanwhile are read again. What was done when it ends in the middle stays done.
 *
 * @param sealer seals under the root key
 * @returns how many it sealed
 * @throws StoreUnavailableError
 */
export async function resealRecords(store: RecordStore, sealer: Sealer, rootKeyId: string): Promise<number> {
  let resealed = 0;
  let batch: StoredRecord[] = [];
  const commit = async (): Promise<void> => {
    const start = performance.now();
    resealed += await resealBatch(store, sealer, rootKeyId, batch);
    batch = [];
    // The store's time belongs to the replicas: this takes no more than half of it.
    await delay(performance.now() - start);
  };
  for await (const record of everyRecord(store)) {
    if (rootKeyIdOf(record.value) !== rootKeyId) batch.push(record);
    if (batch.length === BATCH) await commit();
  }
  if (batch.length > 0) await commit();
  return resealed;
}

/** Looks at all records that there are. */
export async function surveyRecords(store: RecordStore, sealer: Sealer, rootKeyId: string): Promise<Survey> {
  const elsewhere: string[] = [];
  const damaged: UnsealError[] = [];
  let recordCount = 0;
  for await (const record of everyRecord(store)) {
    recordCount++;
    const opened = tryToOpen(sealer, record);
    if (opened instanceof UnsealError) damaged.push(opened);
    else if (rootKeyIdOf(record.value) !== rootKeyId) elsewhere.push(record.path);
  }
  return { recordCount, elsewhere, damaged };
}

async function resealBatch(
  store: RecordStore,
  sealer: Sealer,
  rootKeyId: string,
  found: readonly StoredRecord[],
): Promise<number> {
  for (let records = found; ;) {
    const put = records.flatMap((record) => reseal(sealer, record));
    const replaced = new Set(put.map(({ path }) => path));
    const expect = records.filter(({ path }) => replaced.has(path)).map(({ path, version }) => ({ path, version }));
    try {
      if (put.length > 0) await store.commit({ expect, put, remove: [] });
      return put.length;
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
    }
    // Another writer came first, with one of them at least: it is no loser who ends this.
    const again = await store.getMany(records.map(({ path }) => path));
    records = again.filter(
      (record) => record !== undefined && rootKeyIdOf(record.value) !== rootKeyId,
    ) as StoredRecord[];
  }
}

/** The record in a new version; none of one that does not open. */
function reseal(sealer: Sealer, record: StoredRecord): StoredRecord[] {
  const opened = tryToOpen(sealer, record);
  if (opened instanceof UnsealError) return [];
  const { path } = record;
  const version = uuidv7();
  return [{ path, version, value: sealer.seal(path, version, opened) }];
}

function tryToOpen(sealer: Sealer, record: StoredRecord): Uint8Array | UnsealError {
  try {
    return sealer.open(record);
  } catch (error) {
    if (error instanceof UnsealError) return error;
    throw error;
  }
}
