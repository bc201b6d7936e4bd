import type { BackupHeader } from '../gen/hmacd/store/v1/backup_pb.ts';
import { codeOf } from '../system-error.ts';
import { BackupReader } from './backup-reader.ts';
import { BackupWriter } from './backup-writer.ts';
import { NewFile } from './new-file.ts';
import type { RecordStore, StoredRecord } from './record-store.ts';
import type { RootKey } from './root-keys.ts';
import { changedSince, everyRecord } from './store-snapshot.ts';

/** How often a store is read that changes more while it is read than its log of changes can tell. */
const ATTEMPTS = 3;

/**
 * Writes all records of a store, as of one moment and as they are, into a new file, and reads it back. Others may write to
 * the store meanwhile.
 *
 * @param header its root key ID names the root key
 * @param look is shown every record that was read back
 * @returns how many records there are
 * @throws Error with one sentence for the operator; there is no file then
 */
export async function backUp(
  store: RecordStore,
  header: BackupHeader,
  rootKey: RootKey,
  path: string,
  look: (record: StoredRecord) => void,
): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const { cursor } = await store.changes(undefined);
    using base = open(path);
    const writer = new BackupWriter(base, header, rootKey);
    for await (const record of everyRecord(store)) writing(path, () => writer.append(record));
    writing(path, () => writer.finish());
    const changed = await changedSince(store, cursor);
    if (changed === undefined) continue;
    if (changed.size === 0) return publish(base, path, rootKey, look);
    using merged = open(path);
    merge(base, changed, new BackupWriter(merged, header, rootKey), path, rootKey);
    return publish(merged, path, rootKey, look);
  }
  throw new Error('the store changes faster than it can be backed up');
}

/** Writes what is in a file that was written before, as far as it has not changed, and what has. */
function merge(
  base: NewFile,
  changed: ReadonlyMap<string, StoredRecord | undefined>,
  writer: BackupWriter,
  path: string,
  rootKey: RootKey,
): void {
  using reader = new BackupReader(base.unfinishedPath, [rootKey]);
  reader.verify(() => {});
  const pending = [...changed.values()]
    .filter((record) => record !== undefined)
    .toSorted((one, other) => (one.path < other.path ? -1 : 1));
  let next = 0;
  const append = (record: StoredRecord): void => writing(path, () => writer.append(record));
  for (const record of reader.records()) {
    for (; next < pending.length && pending[next]!.path <= record.path; next++) append(pending[next]!);
    if (!changed.has(record.path)) append(record);
  }
  for (const record of pending.slice(next)) append(record);
  writing(path, () => writer.finish());
}

function publish(file: NewFile, path: string, rootKey: RootKey, look: (record: StoredRecord) => void): number {
  using reader = new BackupReader(file.unfinishedPath, [rootKey]);
  const { recordCount } = reader.verify(look);
  writing(path, () => file.publish());
  return recordCount;
}

function open(path: string): NewFile {
  return writing(path, () => new NewFile(path));
}

function writing<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const code = codeOf(error);
    if (code === 'EEXIST')
      throw new Error(`${path} exists; a backup takes the place of no other file`, { cause: error });
    throw new Error(`${path} cannot be written: ${code}`, { cause: error });
  }
}
