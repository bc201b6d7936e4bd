import type { BackupReader } from './backup-reader.ts';
import type { StoredRecord } from './record-store.ts';
import type { Restoration } from './restoration.ts';

/** How much is committed at once: so many records, and so many bytes of their values, or a single one that has more. */
const BATCH = 200;
const BATCH_BYTES = 512 * 1024;

/**
 * Puts the records of a backup that was verified into a store that is being restored, as they are, and completes it.
 *
 * @param look is shown every record
 * @throws Error with one sentence for the operator; the store is not complete then, or it is not known whether it is
 */
export async function restore(
  backup: BackupReader,
  restoration: Restoration,
  look: (record: StoredRecord) => void,
): Promise<void> {
  let batch: StoredRecord[] = [];
  let bytes = 0;
  const commit = async (): Promise<void> => {
    if (batch.length > 0) await restoration.store.commit({ expect: [], put: batch, remove: [] });
    batch = [];
    bytes = 0;
  };
  for (const record of backup.records()) {
    if (batch.length === BATCH || bytes + record.value.length > BATCH_BYTES) await commit();
    look(record);
    batch.push(record);
    bytes += record.value.length;
  }
  await commit();
  await restoration.complete();
}
