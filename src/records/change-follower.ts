import type { Clock } from '../clock.ts';
import { type RecordStore, StoreUnavailableError } from './record-store.ts';

/** Something that remembers records, and forgets them when told to. */
export interface ChangeListener {
  /** The records at these paths may have changed. */
  forget(paths: readonly string[]): void;
  /** Any record may have changed. There is no new lease before this has ended, and none if it fails. */
  forgetAll(): void | Promise<void>;
  /**
   * The log says that the records at these paths have changed, and everybody has forgotten them. There is no new lease
   * before this has ended, and none if it fails.
   */
  confirm?(paths: readonly string[]): Promise<void>;
}

/** The longest time between two polls, in milliseconds, however long the lease lasts: they also tell whether the store is there. */
const LONGEST_PAUSE = 1_000;

/**
 * Follows the store's log of changes, for everything that this replica remembers at once.
 *
 * Each successful poll renews a lease, which ends `ttl` after the moment *before* the poll was sent, by the monotonic or
 * the wall clock, whichever comes first (one may stand still while the machine sleeps, the other may be set). While the
 * lease holds, what is remembered and was not told to be forgotten may be acted on: whoever takes something away in the
 * store waits for longer than `ttl` before saying so.
 */
export class ChangeFollower {
  /** How long a lease lasts, in milliseconds. */
  readonly ttl: number;
  readonly #store: RecordStore;
  readonly #clock: Clock;
  readonly #onAvailability: (available: boolean, cause?: unknown) => void;
  readonly #listeners: ChangeListener[] = [];
  #cursor: string | undefined;
  #polling: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #available = true;
  #endMonotonic = -Infinity;
  #endWall = -Infinity;

  /** @param onAvailability told when the store is lost, and when it is back */
  constructor(
    store: RecordStore,
    ttl: number,
    clock: Clock,
    onAvailability: (available: boolean, cause?: unknown) => void,
  ) {
    this.#store = store;
    this.ttl = ttl;
    this.#clock = clock;
    this.#onAvailability = onAvailability;
  }

  /** Whether the last poll reached the store. */
  get available(): boolean {
    return this.#available;
  }

  /** Adds a listener, which must not remember anything yet. */
  listen(listener: ChangeListener): void {
    this.#listeners.push(listener);
  }

  /** Takes the first lease, and keeps it from then on. */
  async start(): Promise<void> {
    await this.held();
    this.#schedule();
  }

  /** Whether what is remembered may be acted on at this moment. */
  holds(): boolean {
    return (
      (this.#store.exclusive && !this.#closed) ||
      (this.#clock.monotonic() < this.#endMonotonic && this.#clock.now() < this.#endWall)
    );
  }

  /**
   * Answers at once while the lease holds, else once it was renewed.
   *
   * @throws StoreUnavailableError when it cannot be renewed.
   */
  async held(): Promise<void> {
    // A poll under way may have been sent too long ago to be worth anything by the time it is answered.
    for (let attempt = 0; attempt < 3 && (!this.holds() || this.#cursor === undefined); attempt++) await this.#poll();
    if (!this.holds()) throw new StoreUnavailableError('the store answers more slowly than the key cache TTL allows');
  }

  /** Makes every listener forget what this replica itself has changed, or tried to. */
  changed(paths: readonly string[]): void {
    for (const listener of this.#listeners) listener.forget(paths);
  }

  /** Gives the lease back, and takes no other. */
  close(): void {
    this.#closed = true;
    this.#endMonotonic = -Infinity;
    clearTimeout(this.#timer);
  }

  #poll(): Promise<void> {
    this.#polling ??= this.#pollOnce().finally(() => (this.#polling = undefined));
    return this.#polling;
  }

  async #pollOnce(): Promise<void> {
    const monotonic = this.#clock.monotonic();
    const wall = this.#clock.now();
    try {
      const { cursor, paths } = await this.#store.changes(this.#cursor);
      for (const listener of this.#listeners) {
        if (paths === undefined) await listener.forgetAll();
        else if (paths.length > 0) listener.forget(paths);
      }
      if (paths !== undefined && paths.length > 0) {
        for (const listener of this.#listeners) await listener.confirm?.(paths);
      }
      if (this.#closed) return;
      this.#cursor = cursor;
      this.#endMonotonic = monotonic + this.ttl;
      this.#endWall = wall + this.ttl;
      this.#report(true);
    } catch (error) {
      this.#report(false, error);
      throw error;
    }
  }

  #report(available: boolean, cause?: unknown): void {
    if (available === this.#available || this.#closed) return;
    this.#available = available;
    this.#onAvailability(available, cause);
  }

  #schedule(): void {
    this.#timer = setTimeout(
      () => {
        this.#poll()
          .catch(() => {}) // Reported already; calls that need the lease see it lapse.
          .finally(() => {
            if (!this.#closed) this.#schedule();
          });
      },
      Math.min(this.ttl / 3, LONGEST_PAUSE),
    );
  }
}
