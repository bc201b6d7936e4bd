import { setTimeout as delay } from 'node:timers/promises';
import { codeOf } from '../system-error.ts';

/** Where lines go. */
export interface Destination {
  /** Takes some of the bytes, and answers how many; they stay as they are until it has. */
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

/** How long a line may wait for others, in milliseconds. */
const LONGEST_WAIT = 100;
/** How many lines are written at once, at most. */
const BATCH = 256;
/** How many lines may wait for a destination that does not take them. */
const MOST_WAITING = 100_000;
/** How long the end waits for the destination to take the last lines, in milliseconds. */
const PATIENCE = 1_000;

/**
 * Writes lines in batches, in order, at most 100 ms late. Where the destination does not take them, as a full disk does,
 * they are tried again; the newest are lost when too many wait.
 */
export class LineWriter {
  readonly #destination: Destination;
  readonly #onFailure: (error: Error) => void;
  readonly #lines: string[] = [];
  /** Holds one batch after the other: a new buffer for each would be the largest of what a MAC leaves to collect. */
  #batch: Buffer = Buffer.alloc(BATCH * 512);
  /** What of the batch is not written yet. */
  #rest: Uint8Array = new Uint8Array();
  #writing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Whether the destination did not take all of it the last time; a pipe with a slow reader is no outage. */
  #refusing = false;
  #outage = false;
  #lost = 0;
  #closing = false;
  #closed = false;

  /** @param onFailure told when an outage begins, and of lines that are lost */
  constructor(destination: Destination, onFailure: (error: Error) => void) {
    this.#destination = destination;
    this.#onFailure = onFailure;
  }

  /** @param line in characters of ISO 8859-1, with its end of line */
  write(line: string): void {
    if (this.#closed || this.#lines.length >= MOST_WAITING) return this.#lose();
    this.#lines.push(line);
    if (this.#lines.length >= BATCH && !this.#refusing) this.#flush();
    else this.#flushSoon();
  }

  /** Writes what waits, also what comes meanwhile, and closes the destination; what comes later is lost. */
  async close(): Promise<void> {
    this.#closing = true;
    clearTimeout(this.#timer);
    const late = new AbortController();
    const written = this.#writeAll(late.signal).then(() => true);
    const inTime = await Promise.race([written, delay(PATIENCE, false, { signal: late.signal })]);
    late.abort();
    this.#closed = true;
    // A write under way keeps the destination: closed, it could become somebody else's.
    if (inTime) this.#destination.close();
    else this.#onFailure(new Error('the destination did not take the last lines'));
  }

  #lose(): void {
    if (this.#lost++ > 0) return;
    const reason = this.#closed
      ? 'the log is closed; later lines are lost'
      : 'too many lines wait for the destination; the newest are lost';
    this.#onFailure(new Error(reason));
  }

  #flushSoon(): void {
    if (!this.#closing) this.#timer ??= setTimeout(() => this.#flush(), LONGEST_WAIT);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#closing) return; // The end writes everything itself.
    this.#writing ??= this.#writeSome().finally(() => {
      this.#writing = undefined;
      if (this.#waits()) this.#flushSoon();
    });
  }

  #waits(): boolean {
    return this.#lines.length > 0 || this.#rest.length > 0;
  }

  /** Tries until there is nothing left to write. */
  async #writeAll(signal: AbortSignal): Promise<void> {
    await this.#writing;
    while (!signal.aborted && this.#waits()) {
      await this.#writeSome();
      if (this.#refusing) await delay(LONGEST_WAIT);
    }
  }

  /** Writes what there is, until the destination refuses; what it did not take is kept. Never runs twice at a time. */
  async #writeSome(): Promise<void> {
    try {
      while (this.#waits()) {
        if (this.#rest.length === 0) this.#rest = this.#encode(this.#lines.splice(0, BATCH).join(''));
        const bytesWritten = await this.#destination.write(this.#rest);
        this.#rest = this.#rest.subarray(bytesWritten);
      }
      if (this.#lost > 0) this.#onFailure(new Error(`${this.#lost} lines were lost`));
      this.#lost = 0;
      this.#refusing = false;
      this.#outage = false;
    } catch (error) {
      this.#refusing = true;
      if (this.#outage || codeOf(error) === 'EAGAIN') return;
      this.#outage = true;
      this.#onFailure(error as Error);
    }
  }

  /** The next batch; the one before is overwritten. */
  #encode(lines: string): Uint8Array {
    if (this.#batch.length < lines.length) this.#batch = Buffer.alloc(lines.length);
    return this.#batch.subarray(0, this.#batch.write(lines, 'latin1'));
  }
}
