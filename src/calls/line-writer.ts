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
/** How many bytes are worth a write before that. */
const ENOUGH = 128 * 1_024;
/** How many bytes may wait for a destination that does not take them: some 100,000 lines. */
const MOST_WAITING = 32 * 1_024 * 1_024;
/** How long the end waits for the destination to take the last lines, in milliseconds. */
const PATIENCE = 1_000;

/** Lines one after the other. */
interface Batch {
  readonly bytes: Buffer;
  /** How many of the bytes hold lines. */
  filled: number;
  /** How many of these are written. */
  written: number;
}

/**
 * Writes lines in batches, in order, at most 100 ms late. Where the destination does not take them, as a full disk does,
 * they are tried again; the newest are lost when too many wait.
 */
export class LineWriter {
  readonly #destination: Destination;
  readonly #onFailure: (error: Error) => void;
  /**
   * The first is written, the last is filled; mostly there is only one. Lines go into it at once: kept as strings, they
   * would outlive their calls, and with them all that the calls leave to collect.
   */
  readonly #batches: Batch[] = [newBatch(2 * ENOUGH)];
  /** One that was written: a new one each time would be the largest of what a MAC leaves to collect. */
  #spare: Batch | undefined;
  /** Bytes that are not written yet. */
  #waiting = 0;
  #writing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Whether lines have waited long enough that came during a write. */
  #isDue = false;
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
    if (this.#closed || this.#waiting + line.length > MOST_WAITING) return this.#lose();
    let batch = this.#batches.at(-1)!;
    if (batch.filled + line.length > batch.bytes.length) {
      batch = this.#emptyBatch(line.length);
      this.#batches.push(batch);
    }
    batch.filled += batch.bytes.write(line, batch.filled, 'latin1');
    this.#waiting += line.length;
    if (this.#waiting >= ENOUGH && !this.#refusing) this.#flush();
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
    // What is due during a write is written after it.
    this.#isDue = this.#writing !== undefined;
    this.#writing ??= this.#writeWaiting().finally(() => {
      this.#writing = undefined;
      const isDue = this.#isDue || this.#waiting >= ENOUGH;
      if (this.#waiting > 0 && isDue && !this.#refusing) this.#flush();
      else if (this.#waiting > 0) this.#flushSoon();
    });
  }

  /** Tries until there is nothing left to write. */
  async #writeAll(signal: AbortSignal): Promise<void> {
    await this.#writing;
    while (!signal.aborted && this.#waiting > 0) {
      await this.#writeWaiting();
      if (this.#refusing) await delay(LONGEST_WAIT);
    }
  }

  /** Writes what waits by now, until the destination refuses; what it did not take is kept. Never runs twice at a time. */
  async #writeWaiting(): Promise<void> {
    try {
      for (let left = this.#waiting; left > 0;) {
        const written = await this.#writeSome();
        this.#waiting -= written;
        left -= written;
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

  /** Writes of the first batch what the destination takes; lines may be added to it meanwhile. */
  async #writeSome(): Promise<number> {
    const batch = this.#batches[0]!;
    const written = await this.#destination.write(batch.bytes.subarray(batch.written, batch.filled));
    batch.written += written;
    if (batch.written === batch.filled) {
      batch.filled = batch.written = 0;
      if (this.#batches.length > 1) this.#spare = this.#batches.shift();
    }
    return written;
  }

  #emptyBatch(length: number): Batch {
    const spare = this.#spare;
    this.#spare = undefined;
    return spare !== undefined && spare.bytes.length >= length ? spare : newBatch(Math.max(2 * ENOUGH, length));
  }
}

function newBatch(length: number): Batch {
  return { bytes: Buffer.allocUnsafe(length), filled: 0, written: 0 };
}
