import { closeSync, openSync, write } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Call } from '../access/call.ts';
import type { Clock } from '../clock.ts';
import { codeOf } from '../system-error.ts';

/** How a call ended: AWS's name of the exception, or `OK`. */
export type Outcome = string;

/** Writes one line for each call: who, what, on which key, how it ended; never a message, MAC, token or material. */
export interface AuditLog {
  /** @param milliseconds how long the call took */
  record(call: Call, outcome: Outcome, milliseconds: number): void;
  /** Writes what is not written yet. */
  close(): Promise<void>;
}

/** For `HMACD_AUDIT_LOG=off`. */
export const noAuditLog: AuditLog = { record() {}, close: () => Promise.resolve() };

/** How long a line may wait for others, in milliseconds. */
const LONGEST_WAIT = 100;
/** How many lines are written at once. */
const BATCH = 256;
/** How many lines, of some 400 bytes, may wait for a destination that does not take them. */
const MOST_WAITING = 100_000;

/**
 * Opens the audit log: a JSON object a line, to standard output or appended to a file.
 *
 * Lines are joined from texts that need no escaping (the service's own names, UUIDs, ARNs that were checked, addresses)
 * and written in batches, at most 100 ms late: a line made and written by itself would cost more than the MAC. Where the
 * destination does not take them, as a full disk does, they are tried again; the newest are lost when too many wait.
 *
 * @param destination `stdout` or a path
 * @param onFailure told when an outage begins, and of lines that are lost
 * @throws Error when the file cannot be opened
 */
export async function openAuditLog(
  destination: string,
  clock: Clock,
  onFailure: (error: Error) => void,
): Promise<AuditLog> {
  return new BatchedAuditLog(await openDestination(destination), clock, onFailure);
}

/** A file descriptor. */
async function openDestination(destination: string): Promise<number> {
  if (destination === 'stdout') return STDOUT;
  try {
    await mkdir(dirname(destination), { recursive: true });
    return openSync(destination, 'a', 0o600);
  } catch (error) {
    throw new Error(`the audit log ${destination} cannot be opened: ${codeOf(error)}`, { cause: error });
  }
}

const STDOUT = 1;
/** How long the end waits for the destination to take the last lines, in milliseconds. */
const PATIENCE = 1_000;
const writeSome = promisify(write);

class BatchedAuditLog implements AuditLog {
  readonly #file: number;
  readonly #time: () => string;
  readonly #onFailure: (error: Error) => void;
  #lines: string[] = [];
  /** Holds a batch, one after the other: a new one for each would be the largest of what a MAC leaves to collect. */
  #batch: Buffer = Buffer.alloc(BATCH * 512);
  /** What of the batch is not written yet. */
  #rest: Buffer = Buffer.alloc(0);
  #writing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Whether the destination did not take all of it the last time; a pipe with a slow reader is no outage. */
  #refusing = false;
  #outage = false;
  #lost = 0;
  #closed = false;

  constructor(file: number, clock: Clock, onFailure: (error: Error) => void) {
    this.#file = file;
    this.#time = timestamps(clock);
    this.#onFailure = onFailure;
  }

  record(call: Call, outcome: Outcome, milliseconds: number): void {
    if (this.#lines.length >= MOST_WAITING) return this.#lose();
    this.#lines.push(
      `{"time":"${this.#time()}","requestId":"${call.requestId}","wire":"${call.wire}","sourceAddress":"${call.sourceAddress}","principal":"${call.principal.arn}","operation":"${call.operation}"${member('keyArn', call.keyArn)}${member('macAlgorithm', call.macAlgorithm)},"outcome":"${outcome}","milliseconds":${Math.round(milliseconds * 1_000) / 1_000}}\n`,
    );
    if (this.#lines.length >= BATCH && !this.#refusing) this.#flush();
    else this.#flushSoon();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    const late = new AbortController();
    const written = this.#writeAll(late.signal).then(() => true);
    const inTime = await Promise.race([written, delay(PATIENCE, false, { signal: late.signal })]);
    late.abort();
    if (!inTime) return this.#onFailure(new Error('the destination did not take the last lines'));
    if (this.#file !== STDOUT) closeSync(this.#file);
  }

  #lose(): void {
    if (this.#lost++ === 0) this.#onFailure(new Error('too many lines wait for the destination; the newest are lost'));
  }

  #flushSoon(): void {
    if (!this.#closed) this.#timer ??= setTimeout(() => this.#flush(), LONGEST_WAIT);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
      if (this.#lines.length > 0 || this.#rest.length > 0) this.#flushSoon();
    });
  }

  /** Tries until there is nothing left to write. */
  async #writeAll(signal: AbortSignal): Promise<void> {
    await this.#writing;
    while (!signal.aborted && (this.#lines.length > 0 || this.#rest.length > 0)) {
      await this.#write();
      if (this.#refusing) await delay(LONGEST_WAIT);
    }
  }

  /** Writes what there is, until the destination refuses; what it did not take is kept. */
  async #write(): Promise<void> {
    try {
      while (this.#lines.length > 0 || this.#rest.length > 0) {
        if (this.#rest.length === 0) {
          this.#rest = this.#encode(this.#lines.join(''));
          this.#lines.length = 0;
        }
        const { bytesWritten } = await writeSome(this.#file, this.#rest);
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
  #encode(lines: string): Buffer {
    if (this.#batch.length < lines.length) this.#batch = Buffer.alloc(lines.length);
    return this.#batch.subarray(0, this.#batch.write(lines, 'latin1'));
  }
}

function member(name: string, value: string | undefined): string {
  return value === undefined ? '' : `,"${name}":"${value}"`;
}

/** The time in ISO 8601, put together once a millisecond. */
function timestamps(clock: Clock): () => string {
  let at = NaN;
  let text = '';
  return () => {
    const now = clock.now();
    if (now !== at) {
      at = now;
      text = new Date(now).toISOString();
    }
    return text;
  };
}
