import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { makeRootKey } from '../../src/records/root-keys.ts';
import {
  type Deployment,
  redisDeployment,
  sqliteDeployment,
  startReplica,
  temporaryFolder,
} from '../support/deployment.ts';
import { findFreePort } from '../support/redis-server.ts';

const MAIN = new URL('../../src/main.ts', import.meta.url).pathname;
const withoutRedis = inject('redis') === undefined;

/** Starts a process that is expected to end by itself within 10 seconds. */
async function run(settings: Readonly<Record<string, string>>): Promise<{ code: unknown; stderr: string }> {
  const own = { SEED_FILE: 'none', GRPC_ADDR: '127.0.0.1:0', HTTP_ADDR: '127.0.0.1:0', ADMIN_ADDR: '127.0.0.1:0' };
  const env = Object.entries({ ...own, ...settings }).map(([name, value]) => [`HMACD_${name}`, value]);
  return await new Promise((resolve) => {
    execFile(
      process.execPath,
      [MAIN],
      { env: { PATH: process.env['PATH'], ...Object.fromEntries(env) }, timeout: 10_000, killSignal: 'SIGKILL' },
      (error, _stdout, stderr) => resolve({ code: error === null ? 0 : (error.code ?? error.signal), stderr }),
    );
  });
}

/** The one sentence in which the start ends, with the exit code 1; else all that can be said of how it ended. */
async function refusalOf(settings: Readonly<Record<string, string>>): Promise<string> {
  const { code, stderr } = await run(settings);
  const [, sentence] = /^hmacd: ([^\n]+)\n$/.exec(stderr) ?? [];
  return code === 1 && sentence !== undefined ? sentence : `NO SENTENCE, exit code ${String(code)}: ${stderr}`;
}

/** A deployment that was used once, and stopped. */
async function usedBefore(deployment: Deployment): Promise<Deployment> {
  const service = await startReplica({ SEED_FILE: 'none', ...deployment.settings });
  service.kill('SIGTERM');
  expect(await service.ended).toBe(0);
  return deployment;
}

async function listenSomewhere(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('the start is refused', { timeout: 40_000 }, () => {
  it.each([
    ['GRPC_ADDR', 'gRPC'],
    ['HTTP_ADDR', 'HTTP'],
    ['ADMIN_ADDR', 'admin'],
  ])('when the port of HMACD_%s is in use', async (name, listener) => {
    const address = await listenSomewhere();
    const { settings } = sqliteDeployment();
    expect(await refusalOf({ ...settings, [name]: address })).toMatch(
      new RegExp(`the ${listener} listener cannot listen on ${address}: .*EADDRINUSE`),
    );
  });

  it('when the seed file is damaged, without a word of what is in it', async () => {
    const seedFile = join(temporaryFolder(), 'seed.yaml');
    writeFileSync(seedFile, 'keys:\n  - key_spec: HMAC_256\n  material_base64: "c2VjcmV0');
    const { settings } = sqliteDeployment({ SEED_FILE: seedFile });
    expect(await refusalOf(settings)).toContain(`the seed file ${seedFile} cannot be read: line 3 is not YAML`);
    expect((await run(settings)).stderr).not.toContain('c2VjcmV0');
  });

  it('of a second process on the same SQLite file, and the first goes on', async () => {
    const { settings, folder } = sqliteDeployment();
    const first = await startReplica(settings);
    expect(await refusalOf(settings)).toContain(
      `the SQLite store ${join(folder, 'hmacd.db')} is in use by another process`,
    );
    await first.clients.gRPC.keys.listKeys({});
  });

  it('when the SQLite file is something else', async () => {
    const { settings, folder } = sqliteDeployment();
    writeFileSync(join(folder, 'hmacd.db'), 'something else '.repeat(1_000));
    expect(await refusalOf(settings)).toContain(`the SQLite store ${join(folder, 'hmacd.db')} cannot be opened: `);
  });

  it('when the root key of a SQLite store is another one', async () => {
    const { settings, folder } = await usedBefore(sqliteDeployment());
    rmSync(join(folder, 'root.key'));
    makeRootKey(join(folder, 'root.key'));
    expect(await refusalOf(settings)).toMatch(
      /sealed under the root key [0-9a-f]{16}, and HMACD_ROOT_KEY_FILE has [0-9a-f]{16}/,
    );
  });

  it('when the root key of a SQLite store is gone, and no new one is made', async () => {
    const { settings, folder } = await usedBefore(sqliteDeployment());
    rmSync(join(folder, 'root.key'));
    const sentence = `the root key file ${join(folder, 'root.key')} does not exist`;
    expect(await refusalOf(settings)).toMatch(sentence);
    expect(await refusalOf(settings)).toMatch(sentence);
  });

  it.each([
    ['Region', { REGION: 'eu-west-1' }, 'made for the region us-east-1'],
    ['partition', { PARTITION: 'aws-cn' }, 'made for the partition aws,'],
    ['account', { ACCOUNT_ID: '111122223333' }, /made for the account/],
  ])('when a SQLite store was made for another %s', async (_, other, sentence) => {
    const { settings } = await usedBefore(sqliteDeployment());
    expect(await refusalOf({ ...settings, ...other })).toMatch(sentence);
  });
});

describe('the start on Redis is refused', { timeout: 40_000 }, () => {
  it('when nobody listens', async () => {
    const port = await findFreePort();
    const { settings } = redisDeployment({}, { host: '127.0.0.1', port });
    expect(await refusalOf(settings)).toContain(`the Redis store at 127.0.0.1:${port} cannot be reached: ECONNREFUSED`);
  });

  it('when the server is silent', async () => {
    const { settings } = sqliteDeployment();
    const address = await listenSomewhere();
    expect(await refusalOf({ ...settings, STORE: `redis://${address}` })).toContain(
      `the Redis store at ${address} cannot be reached: `,
    );
  });

  it.skipIf(withoutRedis)('when the root key is another one', async () => {
    const { settings, folder } = await usedBefore(redisDeployment());
    makeRootKey(join(folder, 'other.key'));
    expect(await refusalOf({ ...settings, ROOT_KEY_FILE: join(folder, 'other.key') })).toMatch(
      /sealed under the root key [0-9a-f]{16}, and HMACD_ROOT_KEY_FILE has [0-9a-f]{16}/,
    );
  });

  it.skipIf(withoutRedis)('when there is no root key, and none is made', async () => {
    const { settings, folder } = redisDeployment();
    rmSync(join(folder, 'root.key'));
    const sentence = `the root key file ${join(folder, 'root.key')} does not exist; "hmacd make-root-key`;
    expect(await refusalOf(settings)).toMatch(sentence);
    expect(await refusalOf(settings)).toMatch(sentence);
  });

  it.skipIf(withoutRedis)('when the replicas have another Region or key cache TTL', async () => {
    const { settings } = redisDeployment();
    await startReplica(settings);
    expect(await refusalOf({ ...settings, REGION: 'eu-west-1' })).toContain(
      'the store was made for the region us-east-1',
    );
    expect(await refusalOf({ ...settings, KEY_CACHE_TTL: '2s' })).toContain(
      `the store's key cache TTL is 1000ms, and HMACD_KEY_CACHE_TTL is 2000ms; to change it, stop every replica and run "hmacd set-key-cache-ttl 2000ms"`,
    );
  });
});
