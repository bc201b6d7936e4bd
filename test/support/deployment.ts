import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject, onTestFinished } from 'vitest';
import { makeRootKey } from '../../src/records/root-keys.ts';
import { type HmacdProcess, startHmacd } from './hmacd-process.ts';

/** What the replicas of one deployment share. */
export interface Deployment {
  /** Variables by their names, without `HMACD_`. */
  readonly settings: Readonly<Record<string, string>>;
  readonly accountId: string;
  /** Where its files are; it goes with the test. */
  readonly folder: string;
}

/** The settings that say which deployment this is; more in `settings` win. */
export function redisDeployment(
  settings: Readonly<Record<string, string>> = {},
  server: { host: string; port: number } = inject('redis')!.shared,
): Deployment {
  const folder = temporaryFolder();
  const accountId = String(randomInt(1e11, 1e12));
  const rootKeyFile = join(folder, 'root.key');
  makeRootKey(rootKeyFile);
  return {
    folder,
    accountId,
    settings: {
      STORE: storeAt(server),
      ACCOUNT_ID: accountId,
      ROOT_KEY_FILE: rootKeyFile,
      AUDIT_LOG: 'off',
      ...settings,
    },
  };
}

/** A deployment of one process on a file, which makes its own root key. */
export function sqliteDeployment(settings: Readonly<Record<string, string>> = {}): Deployment {
  const folder = temporaryFolder();
  return {
    folder,
    accountId: '000000000000',
    settings: {
      STORE: `sqlite:${join(folder, 'hmacd.db')}`,
      ROOT_KEY_FILE: join(folder, 'root.key'),
      AUDIT_LOG: 'off',
      ...settings,
    },
  };
}

/** The setting that names the store on a Redis server. */
export function storeAt({ host, port }: { host: string; port: number }): string {
  return `redis://${host}:${port}`;
}

/** A folder that goes with the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'hmacd-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts a process of the service that ends with the test. */
export async function startReplica(settings: Readonly<Record<string, string>>): Promise<HmacdProcess> {
  const replica = await startHmacd(settings);
  onTestFinished(() => replica[Symbol.asyncDispose]());
  return replica;
}
