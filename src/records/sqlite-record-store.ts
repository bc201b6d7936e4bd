import { randomUUID } from 'node:crypto';
import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLOutputValue, type StatementSync } from 'node:sqlite';
import {
  ConflictError,
  StoreUnavailableError,
  type Changes,
  type Commit,
  type RecordStore,
  type StoredRecord,
} from './record-store.ts';
import { isRestorationMark, UNFINISHED_RESTORATION } from './restoration.ts';

/** What this code reads and writes; a store with a higher version belongs to a newer program. */
const SCHEMA_VERSION = 1;

const SQLITE_BUSY = 5;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS records (
    path TEXT COLLATE BINARY PRIMARY KEY,
    version TEXT NOT NULL,
    value BLOB NOT NULL
  ) STRICT, WITHOUT ROWID;
  -- Without the values, so that counting records reads little.
  CREATE INDEX IF NOT EXISTS paths ON records (path);
  CREATE TABLE IF NOT EXISTS log (revision INTEGER PRIMARY KEY AUTOINCREMENT, paths TEXT NOT NULL) STRICT;
`;

export interface SqliteRecordStoreOptions {
  /** How many of the newest commits `changes` can tell of. */
  readonly logLength?: number;
}

/**
 * Opens the store in a file, which this process then has for itself until it closes the store or ends, or, at
 * `:memory:`, a new one that is gone when it is closed.
 *
 * @throws Error with one sentence for the operator.
 */
export function openSqliteRecordStore(path: string, options: SqliteRecordStoreOptions = {}): RecordStore {
  return openDatabase(path, (database) => {
    const storeId = storeIdOf(database);
    if (isRestorationMark(storeId)) throw new Error(UNFINISHED_RESTORATION);
    return new SqliteRecordStore(database, path, storeId, options.logLength);
  });
}

/**
 * Opens or makes the database of a store, which this process then has for itself, and hands it on.
 *
 * @throws Error with one sentence for the operator; the database is closed then
 */
export function openDatabase<T>(path: string, use: (database: DatabaseSync) => T): T {
  let database: DatabaseSync | undefined;
  try {
    if (path !== ':memory:') createPrivateFile(path);
    database = new DatabaseSync(path);
    prepareDatabase(database, path);
    return use(database);
  } catch (error) {
    if (database?.isOpen) database.close();
    throw isBusy(error)
      ? new Error(`the SQLite store ${path} is in use by another process`, { cause: error })
      : new Error(`the SQLite store ${path} cannot be opened: ${messageOf(error)}`, { cause: error });
  }
}

/** Its journal gets the same mode from SQLite. */
function createPrivateFile(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    // A file that exists must not be opened here: closing it would let go of the lock that this process may have on it.
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    chmodSync(path, 0o600);
  }
}

/** Locks the database, and makes its tables and an ID of the store where they are missing. */
function prepareDatabase(database: DatabaseSync, path: string): void {
  // The locking mode comes first: a journal that is opened under it needs no memory shared with other processes.
  database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
  database.exec('BEGIN IMMEDIATE');
  database.exec(SCHEMA);
  const meta = database.prepare('INSERT INTO meta VALUES (?, ?) ON CONFLICT DO NOTHING');
  meta.run('schema_version', String(SCHEMA_VERSION));
  meta.run('store_id', randomUUID());
  const valueOf = database.prepare('SELECT value FROM meta WHERE name = ?');
  const version = Number(valueOf.get('schema_version')?.['value']);
  if (version !== SCHEMA_VERSION) {
    database.exec('ROLLBACK');
    throw new Error(`it has schema version ${version}, and this program knows only ${SCHEMA_VERSION}`);
  }
  database.exec('COMMIT');
  if (path !== ':memory:' && database.prepare('PRAGMA journal_mode').get()?.['journal_mode'] !== 'wal') {
    throw new Error('its file system cannot hold a write-ahead log');
  }
}

/** The ID of the store in a database, or what stands in its place. */
export function storeIdOf(database: DatabaseSync): string {
  return String(database.prepare("SELECT value FROM meta WHERE name = 'store_id'").get()?.['value']);
}

/** The store in a database that is open; closing it closes the database. */
export class SqliteRecordStore implements RecordStore {
  readonly storeId: string;
  readonly exclusive = true;
  readonly #database: DatabaseSync;
  readonly #path: string;
  readonly #logLength: number;
  readonly #get: StatementSync;
  readonly #list: StatementSync;
  readonly #pathsOf: StatementSync;
  readonly #count: StatementSync;
  readonly #version: StatementSync;
  readonly #put: StatementSync;
  readonly #remove: StatementSync;
  readonly #append: StatementSync;
  readonly #trim: StatementSync;
  readonly #ends: StatementSync;
  readonly #since: StatementSync;

  constructor(database: DatabaseSync, path: string, storeId: string, logLength = 10_000) {
    this.storeId = storeId;
    this.#database = database;
    this.#path = path;
    this.#logLength = logLength;
    this.#get = database.prepare('SELECT path, version, value FROM records WHERE path = ?');
    this.#list = database.prepare(
      'SELECT path, version, value FROM records WHERE path > ? AND path >= ? AND path < ? ORDER BY path LIMIT ?',
    );
    this.#pathsOf = database.prepare(
      'SELECT path FROM records INDEXED BY paths WHERE path > ? AND path >= ? AND path < ? ORDER BY path LIMIT ?',
    );
    this.#count = database.prepare('SELECT count(*) AS count FROM records WHERE path >= ? AND path < ?');
    this.#version = database.prepare('SELECT version FROM records WHERE path = ?');
    this.#put = database.prepare('INSERT OR REPLACE INTO records (path, version, value) VALUES (?, ?, ?)');
    this.#remove = database.prepare('DELETE FROM records WHERE path = ?');
    this.#append = database.prepare('INSERT INTO log (paths) VALUES (?)');
    this.#trim = database.prepare('DELETE FROM log WHERE revision <= ?');
    this.#ends = database.prepare('SELECT min(revision) AS oldest, max(revision) AS newest FROM log');
    this.#since = database.prepare('SELECT paths FROM log WHERE revision > ?');
  }

  async getMany(paths: readonly string[]): Promise<(StoredRecord | undefined)[]> {
    return this.#attempt(() =>
      paths.map((path) => {
        const row = this.#get.get(path);
        return row && recordOf(row);
      }),
    );
  }

  async list(prefix: string, after: string, limit: number): Promise<StoredRecord[]> {
    return this.#attempt(() => this.#list.all(after, prefix, endOf(prefix), limit).map(recordOf));
  }

  async pathsOf(prefix: string, after: string, limit: number): Promise<string[]> {
    return this.#attempt(() => this.#pathsOf.all(after, prefix, endOf(prefix), limit).map(({ path }) => String(path)));
  }

  async count(prefix: string): Promise<number> {
    return this.#attempt(() => Number(this.#count.get(prefix, endOf(prefix))?.['count']));
  }

  async commit(commit: Commit): Promise<void> {
    this.#attempt(() => {
      this.#database.exec('BEGIN IMMEDIATE');
      try {
        this.#apply(commit);
        this.#database.exec('COMMIT');
      } catch (error) {
        // SQLite rolls back by itself when, for example, the disk is full.
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
        throw error;
      }
    });
  }

  #apply({ expect, put, remove }: Commit): void {
    for (const { path, version } of expect) {
      if (this.#version.get(path)?.['version'] !== version) throw new ConflictError(path);
    }
    for (const { path, version, value } of put) this.#put.run(path, version, value);
    for (const path of remove) this.#remove.run(path);
    const changed = [...put.map(({ path }) => path), ...remove];
    if (changed.length === 0) return;
    const { lastInsertRowid } = this.#append.run(changed.join('\n'));
    this.#trim.run(Number(lastInsertRowid) - this.#logLength);
  }

  async changes(since: string | undefined): Promise<Changes> {
    return this.#attempt(() => {
      // Revisions have no gaps, and the newest commit is always in the log.
      const ends = this.#ends.get();
      const [oldest, newest] = [Number(ends?.['oldest'] ?? 1), Number(ends?.['newest'] ?? 0)];
      const cursor = String(newest);
      if (since === undefined) return { cursor, paths: [] };
      const revision = Number(since);
      if (!(revision >= oldest - 1 && revision <= newest)) return { cursor, paths: undefined };
      const changed = this.#since.all(revision).flatMap((row) => String(row['paths']).split('\n'));
      return { cursor, paths: [...new Set(changed)] };
    });
  }

  async close(): Promise<void> {
    if (this.#database.isOpen) this.#database.close();
  }

  #attempt<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (error instanceof ConflictError) throw error;
      throw new StoreUnavailableError(`the SQLite store ${this.#path} failed: ${messageOf(error)}`, { cause: error });
    }
  }
}

/** Greater than every path with a prefix: paths are ASCII, and so below the prefix with DEL behind it. */
function endOf(prefix: string): string {
  return `${prefix}\x7f`;
}

function recordOf({ path, version, value }: Record<string, SQLOutputValue>): StoredRecord {
  if (typeof path !== 'string' || typeof version !== 'string' || !(value instanceof Uint8Array)) {
    throw new TypeError('a row of the table of records is damaged');
  }
  return { path, version, value };
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
