import { once } from 'node:events';
import sonicBoom from 'sonic-boom';
import type { Call } from '../access/call.ts';
import type { Clock } from '../clock.ts';

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
/** How many bytes of lines wait for others, and are written at once, at the most. */
const BATCH = 16_384;
const WRITE = 65_536;

/**
 * Opens the audit log: a JSON object a line, to standard output or appended to a file.
 *
 * Lines are written in batches, at most 100 ms late. They are joined from texts that need no escaping (the service's own
 * names, UUIDs, ARNs that were checked, addresses), because making JSON of an object would cost as much as the MAC.
 *
 * @param destination `stdout` or a path
 * @param onFailure told when lines could not be written, which are lost then
 * @throws Error when the file cannot be opened
 */
export async function openAuditLog(
  destination: string,
  clock: Clock,
  onFailure: (error: Error) => void,
): Promise<AuditLog> {
  const sink = new sonicBoom.SonicBoom({
    ...(destination === 'stdout' ? { fd: 1 } : { dest: destination, mkdir: true, mode: 0o600 }),
    minLength: BATCH,
    maxWrite: WRITE,
    periodicFlush: LONGEST_WAIT,
    sync: false,
  });
  if (destination !== 'stdout') await once(sink, 'ready');
  sink.on('error', onFailure);
  const time = timestamps(clock);
  return {
    record(call, outcome, milliseconds) {
      sink.write(
        `{"time":"${time()}","requestId":"${call.requestId}","wire":"${call.wire}","sourceAddress":"${call.sourceAddress}","principal":"${call.principal.arn}","operation":"${call.operation}"${member('keyArn', call.keyArn)}${member('macAlgorithm', call.macAlgorithm)},"outcome":"${outcome}","milliseconds":${milliseconds.toFixed(3)}}\n`,
      );
    },
    async close() {
      if (destination === 'stdout') {
        sink.flushSync();
        return;
      }
      sink.end();
      await once(sink, 'close');
    },
  };
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
