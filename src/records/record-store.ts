/**
 * A small ordered key-value store with optimistic transactions. It knows nothing of keys, and sees only sealed values.
 *
 * Every method fails with {@link StoreUnavailableError} when the store cannot be reached, fails to answer in time, or is
 * not the store that was opened (it was flushed or replaced). Nothing else is thrown but {@link ConflictError} by
 * `commit`.
 */
export interface RecordStore {
  /** A random UUID, made with the store and never changed; what is sealed for one store opens in no other. */
  readonly storeId: string;

  /**
   * Whether this process alone can reach the store, so that what it has read stays true until it commits something
   * itself. Otherwise others write too, and `changes` tells what.
   */
  readonly exclusive: boolean;

  /**
   * The records at some paths, in their order, `undefined` where there is none; all as of one moment between the call
   * and the answer.
   */
  getMany(paths: readonly string[]): Promise<(StoredRecord | undefined)[]>;

  /**
   * The first `limit` (1 to 1,001: a page, and one to see whether there is more) records whose path begins with `prefix`
   * and is greater than `after`, in ascending order of their paths. A record that is there throughout the call is in the
   * answer, and one that is not there at any time during it is not.
   */
  list(prefix: string, after: string, limit: number): Promise<StoredRecord[]>;

  /**
   * The paths that `list` would answer with, told without reading the records: a value may be a thousand times as long
   * as its path.
   */
  pathsOf(prefix: string, after: string, limit: number): Promise<string[]>;

  /** How many records there are whose path begins with `prefix`. */
  count(prefix: string): Promise<number>;

  /**
   * Applies a commit, all of it or nothing, and answers once it is durable. It logs the paths that it put or removed in
   * the same step.
   *
   * @throws ConflictError when an expectation does not hold; nothing is changed then.
   * @throws StoreUnavailableError when it is not known whether the commit was or will be applied. A reply that is lost
   *   on the way is not yet that: the store sends the same commit again, and applies it once.
   */
  commit(commit: Commit): Promise<void>;

  /**
   * The paths that commits changed after the moment that `since` names, each at least once, in no order.
   *
   * @param since the `cursor` of an earlier answer; `undefined` asks for a cursor only.
   */
  changes(since: string | undefined): Promise<Changes>;

  /** Lets go of the store; calls under way may fail. */
  close(): Promise<void>;
}

/** A record: a value at a path. */
export interface StoredRecord {
  /** 1 to 1,024 printable ASCII characters; paths are ordered by their bytes. */
  readonly path: string;
  /** A UUIDv7 that the writer chose: no two values that were ever at a path have the same. 36 characters. */
  readonly version: string;
  /** At most 1 MiB. */
  readonly value: Uint8Array;
}

/** What must be so for a commit to be applied: the record at `path` has this version, or is absent. */
export interface Expectation {
  readonly path: string;
  readonly version: string | undefined;
}

/** Changes that are applied together: at most 500 expectations and 500 changes. No path is changed twice. */
export interface Commit {
  readonly expect: readonly Expectation[];
  readonly put: readonly StoredRecord[];
  /** Paths whose records go; one that is absent stays so. */
  readonly remove: readonly string[];
}

/** What was committed since a cursor. */
export interface Changes {
  /** Names the moment up to which `paths` tells everything. Opaque. */
  readonly cursor: string;
  /** `undefined` when the log does not reach back to the cursor: anything may have changed. */
  readonly paths: readonly string[] | undefined;
}

/** An expectation of a commit did not hold: another writer came first. Read again, and decide again. */
export class ConflictError extends Error {
  override readonly name = 'ConflictError';
  readonly path: string;

  constructor(path: string) {
    super(`the record at ${path} is not as expected`);
    this.path = path;
  }
}

/** The store did not answer, or not as the store that was opened. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError';
}
