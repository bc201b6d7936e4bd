import { setTimeout as delay } from 'node:timers/promises';
import { v7 as uuidv7 } from 'uuid';
import { ConflictError, type Expectation, type RecordStore, type StoredRecord } from './record-store.ts';
import { RootKeyChangedError } from './root-key-change.ts';
import { rootKeyIdOf, type Sealer, UnsealError } from './sealer.ts';
import { everyRecord } from './store-snapshot.ts';

/** How many records are sealed anew in one commit: few, so that the store is not kept from others. */
const BATCH = 50;

/** What a walk over all records came to. */
export interface Resealing {
  readonly recordCount: number;
  /** How many of them it sealed anew. */
  readonly resealedCount: number;
  /** How many would not open, and stay as they are. */
  readonly damagedCount: number;
}

/**
 * Seals all records anew that are not sealed under a root key, a few at a time. Records that others change meanwhile are
 * read again. What was done when it ends in the middle stays done.
 *
 * @param sealer seals under the root key
 * @param onDamage told of each record that does not open
 * @throws StoreUnavailableError
 * @throws RootKeyChangedError when another one is to seal by now
 */
export async function resealRecords(
  store: RecordStore,
  sealer: Sealer,
  rootKeyId: string,
  onDamage: (error: UnsealError) => void,
): Promise<Resealing> {
  let [recordCount, resealedCount, damagedCount] = [0, 0, 0];
  let batch: StoredRecord[] = [];
  const commit = async (): Promise<void> => {
    const start = performance.now();
    resealedCount += await resealBatch(store, sealer, rootKeyId, batch);
    batch = [];
    // The store's time belongs to the replicas: this takes no more than half of it.
    await delay(performance.now() - start);
  };
  for await (const record of everyRecord(store)) {
    recordCount++;
    const opened = tryToOpen(sealer, record);
    if (opened instanceof UnsealError) {
      damagedCount++;
      onDamage(opened);
    } else if (rootKeyIdOf(record.value) !== rootKeyId) batch.push(record);
    if (batch.length === BATCH) await commit();
  }
  if (batch.length > 0) await commit();
  return { recordCount, resealedCount, damagedCount };
}

/** Answers how many records it sealed anew. */
async function resealBatch(
  store: RecordStore,
  sealer: Sealer,
  rootKeyId: string,
  found: readonly StoredRecord[],
): Promise<number> {
  const { demand } = sealer;
  for (let records = found; ;) {
    const put = records.flatMap((record) => reseal(sealer, record));
    const replaced = new Set(put.map(({ path }) => path));
    const expect: Expectation[] = records.filter(({ path }) => replaced.has(path));
    if (demand !== undefined) expect.push(demand);
    try {
      if (put.length > 0) await store.commit({ expect, put, remove: [] });
      return put.length;
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
      if (error.path === demand?.path) throw new RootKeyChangedError();
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
