import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Replacements } from '../../src/service.ts';
import { type RunningService, startService } from '../support/running-service.ts';

/** A line of the audit log. */
export interface AuditLine {
  readonly decidedBy?: string;
  readonly time: string;
  readonly requestId: string;
  readonly wire: string;
  readonly sourceAddress: string;
  readonly principal: string;
  readonly authentication: string;
  readonly operation: string;
  readonly keyArn?: string;
  readonly macAlgorithm?: string;
  readonly outcome: string;
  readonly milliseconds: number;
}

/** A service that writes an audit log into a file of its own. */
export interface AuditedService extends AsyncDisposable {
  readonly running: RunningService;
  /** The path of the audit log. */
  readonly file: string;
  /** All lines so far, as they stand in the file. */
  text(): Promise<string>;
  /** Who may do what with the file. */
  mode(): Promise<number>;
  /** Ends the service; the file stays until the disposal. */
  end(): Promise<void>;
  /** All lines so far, once there are at least this many. */
  lines(atLeast: number): Promise<AuditLine[]>;
}

/** Starts such a service, with the settings and replacements of `startService`. */
export async function startAuditedService(
  settings: Readonly<Record<string, string>> = {},
  replacements: Replacements = {},
): Promise<AuditedService> {
  const folder = await mkdtemp(join(tmpdir(), 'hmacd-audit-'));
  const file = join(folder, 'audit.log');
  const running = await startService({ AUDIT_LOG: file, ...settings }, replacements);
  const text = () => readFile(file, 'utf8');
  const whole = async () => (await text()).split('\n').slice(0, -1);
  let ended: Promise<void> | undefined;
  const end = async () => {
    ended ??= Promise.resolve(running[Symbol.asyncDispose]());
    await ended;
  };
  return {
    running,
    file,
    text,
    mode: async () => (await stat(file)).mode & 0o777,
    end,
    async lines(atLeast) {
      // Lines are written in batches, a tenth of a second late.
      await expect.poll(async () => (await whole()).length, { timeout: 5_000 }).toBeGreaterThanOrEqual(atLeast);
      return (await whole()).map((line) => JSON.parse(line) as AuditLine);
    },
    async [Symbol.asyncDispose]() {
      await end();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
