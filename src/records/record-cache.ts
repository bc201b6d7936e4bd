import { LRUCache } from 'lru-cache';
import type { ChangeFollower, ChangeListener } from './change-follower.ts';
import { StoreUnavailableError } from './record-store.ts';

/** How often a read is repeated whose record changed while it was under way. */
const ATTEMPTS = 10;

/** How a cache deals with values that are made of several records, or are of different sizes. */
export interface RecordCacheOptions<V> {
  /** The path at which a value is remembered that was made of the record at a path, among others. */
  readonly placeOf?: (path: string) => string;
  /**
   * Takes out of a value what was made of the record at a path, which may have changed, and answers whether what is left
   * may be acted on; otherwise the value is forgotten.
   */
  readonly revise?: (value: V, path: string) => boolean;
  /** Whether nothing was taken out of a value: only then is it what a read answers. */
  readonly isWhole?: (value: V) => boolean;
  /** How much of the capacity a value takes; 1 without. */
  readonly sizeOf?: (value: V) => number;
}

/**
 * Remembers what was read at some paths, for as long as the follower's lease holds and no change was told.
 *
 * What changes while it is read is not remembered as it was read: that may be older than the change.
 */
export class RecordCache<V extends object> implements ChangeListener {
  readonly #follower: ChangeFollower;
  readonly #load: (path: string, known: V | undefined) => Promise<V | undefined>;
  readonly #options: RecordCacheOptions<V>;
  readonly #values: LRUCache<string, V>;
  readonly #reads = new Map<string, Read<V>>();

  /**
   * @param load reads the store, after it was called; `undefined` where there is nothing, which is not remembered. It is
   *   given what is left of a value that is not whole, and may not change it.
   * @param capacity how many values to remember, or how much of them; those unused for longest go first
   */
  constructor(
    follower: ChangeFollower,
    load: (path: string, known: V | undefined) => Promise<V | undefined>,
    capacity: number,
    options: RecordCacheOptions<V> = {},
  ) {
    this.#follower = follower;
    this.#load = load;
    this.#options = options;
    const { sizeOf } = options;
    this.#values = new LRUCache(
      sizeOf === undefined ? { max: capacity } : { maxSize: capacity, sizeCalculation: sizeOf },
    );
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
      if (value !== undefined && this.#isWhole(value)) return value;
      const read = this.#reads.get(path) ?? this.#start(path);
      const loaded = await read.result;
      if (loaded === undefined) return undefined;
      if (!read.stale && this.#isWhole(loaded) && this.#follower.holds()) return loaded;
    }
    throw new StoreUnavailableError('the record changes faster than it can be read');
  }

  forget(paths: readonly string[]): void {
    for (const path of paths) {
      const place = this.#options.placeOf?.(path) ?? path;
      const value = this.#values.peek(place);
      if (value !== undefined && !this.#revise(value, path)) this.#values.delete(place);
      const read = this.#reads.get(place);
      // A value that can be revised is put right when it has been read: read from the start each time, it might never be.
      if (read !== undefined && this.#options.revise !== undefined) read.changed.push(path);
      else this.#abandon(place, read);
    }
  }

  forgetAll(): void {
    this.#values.clear();
    for (const [path, read] of this.#reads) this.#abandon(path, read);
  }

  #start(path: string): Read<V> {
    const read: Read<V> = {
      result: this.#load(path, this.#values.peek(path)),
      stale: false,
      changed: [],
    };
    this.#reads.set(path, read);
    read.result = read.result
      .then((value) => {
        if (value === undefined || read.stale) return value;
        if (read.changed.every((changed) => this.#revise(value, changed))) this.#values.set(path, value);
        else read.stale = true;
        return value;
      })
      .finally(() => {
        if (this.#reads.get(path) === read) this.#reads.delete(path);
      });
    return read;
  }

  #revise(value: V, path: string): boolean {
    return this.#options.revise?.(value, path) === true;
  }

  #isWhole(value: V): boolean {
    return this.#options.isWhole?.(value) ?? true;
  }

  #abandon(path: string, read: Read<V> | undefined): void {
    if (read === undefined) return;
    read.stale = true;
    this.#reads.delete(path);
  }
}

interface Read<V> {
  result: Promise<V | undefined>;
  /** Whether what was read may be older than a change, and is of no use. */
  stale: boolean;
  /** What changed after the read was sent, and is to be taken out of what was read. */
  readonly changed: string[];
}
