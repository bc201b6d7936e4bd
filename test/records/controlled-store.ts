import type { Changes, Commit, RecordStore, StoredRecord } from '../../src/records/record-store.ts';
import { openSqliteRecordStore, type SqliteRecordStoreOptions } from '../../src/records/sqlite-record-store.ts';

/** What a store is asked for. */
export type Method = 'getMany' | 'list' | 'pathsOf' | 'count' | 'commit' | 'changes';

/** Runs at some point of a call; the call waits for it, and fails with what it throws. */
export type Hook = (method: Method, argument: unknown) => void | Promise<void>;

/**
 * A new store in memory that a test watches, delays, and makes fail. Others than the process at hand are said to use it,
 * unless it is made exclusive, and it outlives the services that close it.
 */
export class ControlledStore implements RecordStore, AsyncDisposable {
  readonly exclusive: boolean;
  readonly counts: Record<Method, number> = { getMany: 0, list: 0, pathsOf: 0, count: 0, commit: 0, changes: 0 };
  /** Runs before the store sees a call. */
  before: Hook = () => {};
  /** Runs when the store has done its part, before that is answered. */
  after: Hook = () => {};
  readonly #store: RecordStore;

  constructor({ exclusive = false, ...options }: SqliteRecordStoreOptions & { readonly exclusive?: boolean } = {}) {
    this.exclusive = exclusive;
    this.#store = openSqliteRecordStore(':memory:', options);
  }

  get storeId(): string {
    return this.#store.storeId;
  }

  async getMany(paths: readonly string[]): Promise<(StoredRecord | undefined)[]> {
    return await this.#call('getMany', paths, () => this.#store.getMany(paths));
  }

  async list(prefix: string, after: string, limit: number): Promise<StoredRecord[]> {
    return await this.#call('list', prefix, () => this.#store.list(prefix, after, limit));
  }

  async pathsOf(prefix: string, after: string, limit: number): Promise<string[]> {
    return await this.#call('pathsOf', prefix, () => this.#store.pathsOf(prefix, after, limit));
  }

  async count(prefix: string): Promise<number> {
    return await this.#call('count', prefix, () => this.#store.count(prefix));
  }

  async commit(commit: Commit): Promise<void> {
    await this.#call('commit', commit, () => this.#store.commit(commit));
  }

  async changes(since: string | undefined): Promise<Changes> {
    return await this.#call('changes', since, () => this.#store.changes(since));
  }

  async close(): Promise<void> {}

  /** Everything that is in it, in the order of the paths, around the hooks. */
  async everything(): Promise<StoredRecord[]> {
    return await this.#store.list('', '', 1_001);
  }

  /** The paths of everything that is in it. */
  async paths(): Promise<string[]> {
    return (await this.everything()).map(({ path }) => path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store.close();
  }

  async #call<T>(method: Method, argument: unknown, work: () => Promise<T>): Promise<T> {
    this.counts[method]++;
    await this.before(method, argument);
    const answer = await work();
    await this.after(method, argument);
    return answer;
  }
}
