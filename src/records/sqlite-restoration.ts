import type { DatabaseSync } from 'node:sqlite';
import { StoreUnavailableError } from './record-store.ts';
import { isRestorationMark, newRestorationMark, NOT_EMPTY, type Restoration } from './restoration.ts';
import { openDatabase, SqliteRecordStore, storeIdOf } from './sqlite-record-store.ts';

/**
 * Begins to restore the store in a file, which is made where there is none.
 *
 * @param storeId what it is to have when it is complete
 * @throws Error with one sentence for the operator, also when the store is not empty; nothing is changed or left open then
 */
export function beginSqliteRestoration(path: string, storeId: string): Restoration {
  const mark = newRestorationMark();
  return openDatabase(path, (database) => {
    begin(database, mark);
    return {
      store: new SqliteRecordStore(database, path, mark),
      async complete() {
        const { changes } = setStoreId(database, mark, storeId);
        if (Number(changes) !== 1) throw new StoreUnavailableError(`the SQLite store ${path} has lost its mark`);
      },
    };
  });
}

function begin(database: DatabaseSync, mark: string): void {
  const current = storeIdOf(database);
  const record = database.prepare('SELECT path FROM records LIMIT 1').get();
  if (!isRestorationMark(current) && record !== undefined) throw new Error(NOT_EMPTY);
  // The process has the database for itself; of a sequence that breaks off here, the next restoration takes the rest.
  setStoreId(database, current, mark);
  database.exec('DELETE FROM records');
  database.exec('DELETE FROM log');
}

function setStoreId(database: DatabaseSync, from: string, to: string) {
  return database.prepare("UPDATE meta SET value = ? WHERE name = 'store_id' AND value = ?").run(to, from);
}
