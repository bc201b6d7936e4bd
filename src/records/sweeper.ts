import { ConflictError, StoreUnavailableError } from './record-store.ts';

/** How long after the end of a sweep the next one begins, in milliseconds, unless it is told otherwise. */
const INTERVAL = 10_000;

/** Work in the background that is done again and again, a sweep at a time. */
export abstract class Sweeper {
  protected readonly onFailure: (error: unknown) => void;
  readonly #interval: number;
  #timer: NodeJS.Timeout | undefined;
  #sweeping: Promise<unknown> = Promise.resolve();
  #closed = false;

  /** @param onFailure told when a part of a sweep failed, or all of it; the next sweep tries again */
  constructor(onFailure: (error: unknown) => void, interval = INTERVAL) {
    this.onFailure = onFailure;
    this.#interval = interval;
  }

  /** Does all that there is to do now, unless it is closed meanwhile. */
  abstract sweep(): Promise<unknown>;

  /** Sweeps now and from then on. */
  start(): void {
    this.#sweeping = this.sweep()
      .catch(this.onFailure)
      .finally(() => {
        if (!this.#closed) this.#timer = setTimeout(() => this.start(), this.#interval);
      });
  }

  /** Ends when the sweep under way has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#sweeping;
  }

  /** Tells of a part of a sweep that failed. Throws the failure again when the store is away: then all parts would fail. */
  protected partFailed(error: unknown): void {
    if (error instanceof StoreUnavailableError) throw error;
    // Another replica may be at the same work.
    if (!(error instanceof ConflictError)) this.onFailure(error);
  }

  protected get closed(): boolean {
    return this.#closed;
  }
}
