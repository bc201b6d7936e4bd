import { LRUCache } from 'lru-cache';
import type { ChangeFollower, ChangeListener } from './change-follower.ts';
import { StoreUnavailableError } from './record-store.ts';

/** How often a read is repeated whose record changed while it was under way. */
const ATTEMPTS = 10;

/**
 * Remembers what was read at some paths, for as long as the follower's lease holds and no change was told.
 *
 * A read under way whose path changes after it was sent is not remembered: its answer may be older than the change.
 */
export class RecordCache<V extends object> implements ChangeListener {
  readonly #follower: ChangeFollower;
  readonly #load: (path: string) => Promise<V | undefined>;
  readonly #placeOf: (path: string) => string;
  readonly #values: LRUCache<string, V>;
  readonly #reads = new Map<string, Read<V>>();

  /**
   * @param load reads the store, after it was called; `undefined` where there is nothing, which is not remembered
   * @param capacity how many values to remember; those unused for longest go first
   * @param placeOf the path at which a value is remembered that was made of the record at a path, among others
   */
  constructor(
    follower: ChangeFollower,
    load: (path: string) => Promise<V | undefined>,
    capacity: number,
    placeOf = (path: string): string => path,
  ) {
    this.#follower = follower;
    this.#load = load;
    this.#placeOf = placeOf;
    this.#values = new LRUCache({ max: capacity });
    follower.listen(this);
  }

  /** The value, if it is remembered and may be acted on now. */
  peek(path: string): V | undefined {
    return this.#follower.holds() ? this.#values.get(path) : undefined;
  }

  /**
   * The value, which may be acted on now, from the store if need be.
   *
   * @throws StoreUnavailableError when the store cannot be reached, or changes faster than it can be read.
   */
  async read(path: string): Promise<V | undefined> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      await this.#follower.held();
      const value = this.#values.get(path);
      if (value !== undefined) return value;
      const read = this.#reads.get(path) ?? this.#start(path);
      const loaded = await read.result;
      if (loaded === undefined) return undefined;
      if (!read.stale && this.#follower.holds()) return loaded;
    }
    throw new StoreUnavailableError('the record changes faster than it can be read');
  }

  forget(paths: readonly string[]): void {
    for (const path of paths) {
      const place = this.#placeOf(path);
      this.#values.delete(place);
      this.#abandon(place, this.#reads.get(place));
    }
  }

  forgetAll(): void {
    this.#values.clear();
    for (const [path, read] of this.#reads) this.#abandon(path, read);
  }

  #start(path: string): Read<V> {
    const read: Read<V> = { result: this.#load(path), stale: false };
    this.#reads.set(path, read);
    read.result = read.result
      .then((value) => {
        if (value !== undefined && !read.stale) this.#values.set(path, value);
        return value;
      })
      .finally(() => {
        if (this.#reads.get(path) === read) this.#reads.delete(path);
      });
    return read;
  }

  #abandon(path: string, read: Read<V> | undefined): void {
    if (read === undefined) return;
    read.stale = true;
    this.#reads.delete(path);
  }
}

interface Read<V> {
  result: Promise<V | undefined>;
  /** Whether the path changed after the read was sent. */
  stale: boolean;
}
