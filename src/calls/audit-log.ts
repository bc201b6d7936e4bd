import { closeSync, openSync, write } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
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
const BATCH = 64;
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
 * @param onFailure told when an outage begins
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
const writeSome = promisify(write);

class BatchedAuditLog implements AuditLog {
  readonly #file: number;
  readonly #time: () => string;
  readonly #onFailure: (error: Error) => void;
  #lines: string[] = [];
  /** What is being written. */
  #rest: Buffer = Buffer.alloc(0);
  #writing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failing = false;

  constructor(file: number, clock: Clock, onFailure: (error: Error) => void) {
    this.#file = file;
    this.#time = timestamps(clock);
    this.#onFailure = onFailure;
  }

  record(call: Call, outcome: Outcome, milliseconds: number): void {
    if (this.#lines.length >= MOST_WAITING) return;
    this.#lines.push(
      `{"time":"${this.#time()}","requestId":"${call.requestId}","wire":"${call.wire}","sourceAddress":"${call.sourceAddress}","principal":"${call.principal.arn}","operation":"${call.operation}"${member('keyArn', call.keyArn)}${member('macAlgorithm', call.macAlgorithm)},"outcome":"${outcome}","milliseconds":${milliseconds.toFixed(3)}}\n`,
    );
    if (this.#lines.length >= BATCH && !this.#failing) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), LONGEST_WAIT);
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#writing;
    await this.#write();
    if (this.#file !== STDOUT) closeSync(this.#file);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
      if (this.#lines.length > 0 || this.#rest.length > 0)
        this.#timer ??= setTimeout(() => this.#flush(), LONGEST_WAIT);
    });
  }

  /** Writes all there is, unless the destination fails; then what it did not take is kept. */
  async #write(): Promise<void> {
    try {
      for (;;) {
        if (this.#rest.length === 0) {
          if (this.#lines.length === 0) break;
          this.#rest = Buffer.from(this.#lines.join(''), 'latin1');
          this.#lines = [];
        }
        const { bytesWritten } = await writeSome(this.#file, this.#rest);
        this.#rest = this.#rest.subarray(bytesWritten);
      }
      this.#failing = false;
    } catch (error) {
      // A pipe whose reader is slow is no outage.
      if (!this.#failing && codeOf(error) !== 'EAGAIN') this.#onFailure(error as Error);
      this.#failing = true;
    }
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
