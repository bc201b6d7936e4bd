import { type DestinationStream, type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/**
 * The service's log: JSON lines on standard error, which leaves standard output to the audit log.
 *
 * Of an error it writes what says where it came from and no other property: those of a Redis error hold the command that
 * failed, and with it a password or a record.
 */
export function openLog(level: string, destination: DestinationStream = standardError()): Logger {
  return pino({ level, base: { pid: process.pid }, serializers: { err: describeError } }, destination);
}

/** A log that cannot be written, as on a full disk, must not end the service. */
function standardError(): DestinationStream {
  const destination = pino.destination({ fd: 2, sync: true });
  destination.on('error', () => {});
  return destination;
}

interface ErrorDescription {
  type: string;
  message: string;
  stack: string | undefined;
  cause?: ErrorDescription;
}

function describeError(error: unknown): ErrorDescription {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error), stack: undefined };
  const { name, message, stack, cause } = error;
  return { type: name, message, stack, ...(cause !== undefined && { cause: describeError(cause) }) };
}
