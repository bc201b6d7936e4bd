import { closeSync, openSync, write } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import type { Call } from '../access/call.ts';
import type { Clock } from '../clock.ts';
import { codeOf } from '../system-error.ts';
import { type Destination, LineWriter } from './line-writer.ts';

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

/**
 * Opens the audit log: a JSON object a line, to standard output or appended to a file.
 *
 * Lines are joined from texts that need no escaping (the service's own names, UUIDs, ARNs that were checked, addresses) and
 * from what allowed or denied a call, which is escaped once. They are written in batches, at most 100 ms late: a line made
 * and written by itself would cost more than the MAC.
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
  return new JsonAuditLog(new LineWriter(await openDestination(destination), onFailure), clock);
}

async function openDestination(destination: string): Promise<Destination> {
  if (destination === 'stdout') return { write: async (bytes) => await writeTo(STDOUT, bytes), close() {} };
  try {
    await mkdir(dirname(destination), { recursive: true });
    const file = openSync(destination, 'a', 0o600);
    return { write: async (bytes) => await writeTo(file, bytes), close: () => closeSync(file) };
  } catch (error) {
    throw new Error(`the audit log ${destination} cannot be opened: ${codeOf(error)}`, { cause: error });
  }
}

const STDOUT = 1;
const writeSome = promisify(write);

async function writeTo(file: number, bytes: Uint8Array): Promise<number> {
  return (await writeSome(file, bytes)).bytesWritten;
}

class JsonAuditLog implements AuditLog {
  readonly #lines: LineWriter;
  readonly #time: () => string;
  #lastDecision = '';
  #lastMember = '';

  constructor(lines: LineWriter, clock: Clock) {
    this.#lines = lines;
    this.#time = timestamps(clock);
  }

  record(call: Call, outcome: Outcome, milliseconds: number): void {
    this.#lines.write(
      `{"time":"${this.#time()}","requestId":"${call.requestId}","wire":"${call.wire}","sourceAddress":"${call.sourceAddress}","principal":"${call.principal.arn}","authentication":"${call.principal.authentication}","operation":"${call.operation}"${member('keyArn', call.keyArn)}${member('macAlgorithm', call.macAlgorithm)}${this.#decision(call.decidedBy)},"outcome":"${outcome}","milliseconds":${Math.round(milliseconds * 1_000) / 1_000}}\n`,
    );
  }

  /** Names of statements may have any characters; the same ones come again and again. */
  #decision(decidedBy: string | undefined): string {
    if (decidedBy === undefined) return '';
    if (decidedBy !== this.#lastDecision) {
      this.#lastDecision = decidedBy;
      this.#lastMember = `,"decidedBy":${asciiJson(decidedBy)}`;
    }
    return this.#lastMember;
  }

  async close(): Promise<void> {
    await this.#lines.close();
  }
}

function member(name: string, value: string | undefined): string {
  return value === undefined ? '' : `,"${name}":"${value}"`;
}

/** A text as JSON writes it in ASCII. */
function asciiJson(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
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
