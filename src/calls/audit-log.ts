import { createWriteStream, type WriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
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
/** How many bytes may wait for a destination that does not take them; what comes after is lost, and that is logged. */
const MOST_WAITING = 64 * 1_024 * 1_024;

/**
 * Opens the audit log: a JSON object a line, to standard output or appended to a file.
 *
 * Lines are joined from texts that need no escaping (the service's own names, UUIDs, ARNs that were checked, addresses)
 * and written in batches, at most 100 ms late: a line made and written by itself would cost more than the MAC.
 *
 * @param destination `stdout` or a path
 * @param onFailure told when lines are lost
 * @throws Error when the file cannot be opened
 */
export async function openAuditLog(
  destination: string,
  clock: Clock,
  onFailure: (error: Error) => void,
): Promise<AuditLog> {
  return new BatchedAuditLog(await openDestination(destination), clock, onFailure);
}

async function openDestination(destination: string): Promise<WriteStream> {
  if (destination === 'stdout') return createWriteStream('', { fd: 1, autoClose: false });
  try {
    await mkdir(dirname(destination), { recursive: true });
    const stream = createWriteStream(destination, { flags: 'a', mode: 0o600 });
    await once(stream, 'open');
    return stream;
  } catch (error) {
    throw new Error(`the audit log ${destination} cannot be opened: ${codeOf(error)}`, { cause: error });
  }
}

class BatchedAuditLog implements AuditLog {
  readonly #stream: WriteStream;
  readonly #time: () => string;
  readonly #onFailure: (error: Error) => void;
  #lines: string[] = [];
  #timer: NodeJS.Timeout | undefined;
  #losing = false;

  constructor(stream: WriteStream, clock: Clock, onFailure: (error: Error) => void) {
    this.#stream = stream.on('error', onFailure);
    this.#time = timestamps(clock);
    this.#onFailure = onFailure;
  }

  record(call: Call, outcome: Outcome, milliseconds: number): void {
    this.#lines.push(
      `{"time":"${this.#time()}","requestId":"${call.requestId}","wire":"${call.wire}","sourceAddress":"${call.sourceAddress}","principal":"${call.principal.arn}","operation":"${call.operation}"${member('keyArn', call.keyArn)}${member('macAlgorithm', call.macAlgorithm)},"outcome":"${outcome}","milliseconds":${milliseconds.toFixed(3)}}\n`,
    );
    if (this.#lines.length >= BATCH) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), LONGEST_WAIT);
  }

  async close(): Promise<void> {
    this.#flush();
    this.#stream.end();
    await finished(this.#stream).catch(() => {}); // Reported already.
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const lines = this.#lines;
    this.#lines = [];
    const losing = this.#stream.writableLength > MOST_WAITING;
    if (losing && !this.#losing) this.#onFailure(new Error('the destination takes no lines; they are lost'));
    this.#losing = losing;
    if (!losing && lines.length > 0) this.#stream.write(lines.join(''), 'latin1');
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
