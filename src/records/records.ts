import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { v7 as uuidv7 } from 'uuid';
import { type Clock, elapse } from '../clock.ts';
import type { ChangeFollower } from './change-follower.ts';
import {
  type Commit,
  ConflictError,
  type Expectation,
  type RecordStore,
  type StoredRecord,
  StoreUnavailableError,
} from './record-store.ts';
import { type Sealer, UnsealError } from './sealer.ts';
import { TurnQueue } from './turn-queue.ts';

/** A record, opened. */
export interface Entry<D extends DescMessage> {
  readonly path: string;
  readonly version: string;
  readonly message: MessageShape<D>;
}

/** A record that does not open. */
export interface DamagedEntry {
  readonly path: string;
  readonly version: string;
  readonly message?: undefined;
}

/** One line of a commit. Each names what it found, so that a commit is never applied to anything else. */
export type Change =
  | {
      readonly kind: 'create';
      readonly path: string;
      readonly schema: DescMessage;
      readonly init: MessageInitShape<DescMessage>;
    }
  | {
      readonly kind: 'replace';
      readonly found: Found;
      readonly schema: DescMessage;
      readonly init: MessageInitShape<DescMessage>;
    }
  | { readonly kind: 'remove'; readonly found: Found }
  | { readonly kind: 'keep'; readonly found: Found };

/** A record as it was found: enough to notice that it moved since. */
export type Found = Pick<StoredRecord, 'path' | 'version'>;

/** Puts a record where there is none. */
export function createRecord<D extends DescMessage>(path: string, schema: D, init: MessageInitShape<D>): Change {
  return { kind: 'create', path, schema, init };
}

/** Puts a record in the place of the one that was found. */
export function replaceRecord<D extends DescMessage>(found: Found, schema: D, init: MessageInitShape<D>): Change {
  return { kind: 'replace', found, schema, init };
}

/** Puts a record where one was found, or was not. */
export function putRecord<D extends DescMessage>(
  path: string,
  found: Found | undefined,
  schema: D,
  init: MessageInitShape<D>,
): Change {
  return found === undefined ? createRecord(path, schema, init) : replaceRecord(found, schema, init);
}

/** Removes the record that was found. */
export function removeRecord(found: Found): Change {
  return { kind: 'remove', found };
}

/** Changes nothing, and demands that the record is still as it was found. */
export function keepRecord(found: Found): Change {
  return { kind: 'keep', found };
}

/**
 * Whether a commit only adds to what callers may do, and so needs no waiting, or may take something away. What takes
 * away answers only when no replica can still act on what was before.
 */
export type Effect = 'adds' | 'takes away';

/** How long a commit that always finds another writer ahead of it is tried again, in milliseconds. */
const CONFLICT_PATIENCE = 5_000;

/** The longest pause between two of these tries, in milliseconds: with one at a time in each replica, few contend. */
const LONGEST_PAUSE = 8;

/** How much longer than a lease a commit that takes away waits: clocks of different machines do not run alike. */
const CLOCK_MARGIN = 1.05;

/** The store's records as messages: sealed on the way in, opened on the way out, under paths of one account. */
export class Records {
  readonly #store: RecordStore;
  readonly #sealer: Sealer;
  readonly #follower: ChangeFollower;
  readonly #clock: Clock;
  readonly #onDamage: (error: UnsealError) => void;
  readonly #contenders = new TurnQueue();

  /** @param onDamage told of records that do not open, where that is no failure of a call */
  constructor(
    store: RecordStore,
    sealer: Sealer,
    follower: ChangeFollower,
    clock: Clock,
    onDamage: (error: UnsealError) => void = () => {},
  ) {
    this.#store = store;
    this.#sealer = sealer;
    this.#follower = follower;
    this.#clock = clock;
    this.#onDamage = onDamage;
  }

  /**
   * The record at a path, read from the store.
   *
   * @throws StoreUnavailableError
   * @throws UnsealError when it is damaged
   */
  async get<D extends DescMessage>(schema: D, path: string): Promise<Entry<D> | undefined> {
    const [entry] = await this.getMany([[schema, path]]);
    return entry;
  }

  /** The records at some paths as of one moment, read from the store; throws what `get` throws. */
  async getMany<const Q extends readonly (readonly [DescMessage, string])[]>(
    queries: Q,
  ): Promise<{ [K in keyof Q]: Entry<Q[K][0]> | undefined }> {
    const stored = await this.#store.getMany(queries.map(([, path]) => path));
    return queries.map(([schema], index) => {
      const record = stored[index];
      return record && this.#open(schema, record);
    }) as { [K in keyof Q]: Entry<Q[K][0]> | undefined };
  }

  /** The records that there are at some paths, as of one moment; damaged ones do not keep the others. */
  async find<D extends DescMessage>(schema: D, paths: readonly string[]): Promise<(Entry<D> | DamagedEntry)[]> {
    const stored = await this.#store.getMany(paths);
    return stored.filter((record) => record !== undefined).map((record) => this.#tryToOpen(schema, record));
  }

  /** What there is at some paths, whatever the records hold. */
  async findPaths(paths: readonly string[]): Promise<Found[]> {
    return (await this.#store.getMany(paths)).filter((record) => record !== undefined);
  }

  /** The records of {@link RecordStore.list}; damaged ones do not keep the others. */
  async list<D extends DescMessage>(
    schema: D,
    prefix: string,
    after: string,
    limit: number,
  ): Promise<(Entry<D> | DamagedEntry)[]> {
    return (await this.#store.list(prefix, after, limit)).map((record) => this.#tryToOpen(schema, record));
  }

  /** The paths of {@link RecordStore.list}, whatever the records hold. */
  async listPaths(prefix: string, after: string, limit: number): Promise<Found[]> {
    return await this.#store.list(prefix, after, limit);
  }

  /** The paths of {@link RecordStore.pathsOf}: for walks over many records that look into none. */
  async pathsOf(prefix: string, after: string, limit: number): Promise<string[]> {
    return await this.#store.pathsOf(prefix, after, limit);
  }

  /** How many records there are under a prefix; throws StoreUnavailableError. */
  async count(prefix: string): Promise<number> {
    return await this.#store.count(prefix);
  }

  /**
   * Applies changes, all or none, and answers when they are durable and, if they take something away, when no replica
   * can act on what was before.
   *
   * @param changes at most 499
   * @throws ConflictError when a record is no longer as it was found
   * @throws StoreUnavailableError when it is not known whether they are applied
   * @throws Error with one sentence for the operator, when another root key seals by now and this replica lacks it
   */
  async commit(changes: readonly Change[], effect: Effect): Promise<void> {
    while (!(await this.#isTaken(this.#seal(changes))));
    if (effect === 'takes away') await this.settled();
  }

  /** Whether a commit is applied; it is not where another root key seals by now, and is to be sealed anew then. */
  async #isTaken(commit: Commit): Promise<boolean> {
    const { demand } = this.#sealer;
    try {
      await this.#store.commit(commit);
      return true;
    } catch (error) {
      if (!(error instanceof ConflictError) || error.path !== demand?.path) throw error;
      await this.#sealer.renew?.();
      if (this.#sealer.demand?.version === demand.version) throw error;
      return false;
    } finally {
      // Also after a failure: whether it was applied may be unknown.
      this.#follower.changed([...commit.put.map((record) => record.path), ...commit.remove]);
    }
  }

  /** Answers when no replica can act any more on anything older than what this one has just read. */
  async settled(): Promise<void> {
    // What had to be written is written: others need not wait for this wait.
    this.#contenders.endTurn();
    if (!this.#store.exclusive) await elapse(this.#clock, this.#follower.ttl * CLOCK_MARGIN);
  }

  /**
   * Runs an attempt that reads, decides and commits, again and again while other writers come first. Of the attempts in
   * this process that were overtaken, one at a time is tried again, in the order in which they were: a thousand at once
   * would overtake each other for good, and keep the store from those that could get through.
   *
   * @throws StoreUnavailableError when others still come first 5 seconds after its turn came
   */
  async untilUncontended<T>(attempt: () => Promise<T>): Promise<T> {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
    }
    const insist = (): Promise<T> => this.#insist(attempt);
    return await (this.#contenders.isWithin ? insist() : this.#contenders.run(insist));
  }

  async #insist<T>(attempt: () => Promise<T>): Promise<T> {
    const end = this.#clock.monotonic() + CONFLICT_PATIENCE;
    for (let pause = 1; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof ConflictError)) throw error;
        if (this.#clock.monotonic() >= end) {
          throw new StoreUnavailableError('other writers always came first', { cause: error });
        }
      }
      await elapse(this.#clock, Math.random() * pause);
    }
  }

  #open<D extends DescMessage>(schema: D, record: StoredRecord): Entry<D> {
    const { path, version } = record;
    return { path, version, message: fromBinary(schema, this.#sealer.open(record)) };
  }

  #tryToOpen<D extends DescMessage>(schema: D, record: StoredRecord): Entry<D> | DamagedEntry {
    try {
      return this.#open(schema, record);
    } catch (error) {
      if (!(error instanceof UnsealError)) throw error;
      this.#onDamage(error);
      return { path: record.path, version: record.version };
    }
  }

  #seal(changes: readonly Change[]): Commit {
    const expect: Expectation[] = changes.map((change) =>
      change.kind === 'create'
        ? { path: change.path, version: undefined }
        : { path: change.found.path, version: change.found.version },
    );
    const { demand } = this.#sealer;
    if (demand !== undefined && expect.every(({ path }) => path !== demand.path)) expect.push(demand);
    const put: StoredRecord[] = [];
    const remove: string[] = [];
    for (const change of changes) {
      if (change.kind === 'remove') {
        remove.push(change.found.path);
      } else if (change.kind !== 'keep') {
        const path = change.kind === 'create' ? change.path : change.found.path;
        const version = uuidv7();
        const plaintext = toBinary(change.schema, create(change.schema, change.init));
        put.push({ path, version, value: this.#sealer.seal(path, version, plaintext) });
      }
    }
    return { expect, put, remove };
  }
}
