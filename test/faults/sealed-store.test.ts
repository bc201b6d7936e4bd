import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { openRedisRecordStore } from '../../src/records/redis-record-store.ts';
import { readRootKeys } from '../../src/records/root-keys.ts';
import { RootKeySealer, type Sealer } from '../../src/records/sealer.ts';
import { openSqliteRecordStore } from '../../src/records/sqlite-record-store.ts';
import { type Deployment, redisDeployment, sqliteDeployment } from '../support/deployment.ts';
import { readAppendOnlyFiles, readDatabase } from '../support/redis-contents.ts';
import { redisStoreOptions, startRedisServer } from '../support/redis-server.ts';
import { type RunningService, startService } from '../support/running-service.ts';
import { findSecrets, makeAndUseKeys, noSealer, readMaterials, writeSeed } from './key-material.ts';

/** Of the four keys of the seed, four more, one that is imported and two versions of another; and one that wraps. */
const SECRETS = 12;
const SEALING = [
  { sealing: 'sealed', sealer: undefined, found: 0 },
  { sealing: 'not sealed, for comparison', sealer: noSealer, found: SECRETS },
];

/** What seals in a deployment, unless something else was put in its place. */
function sealerOf({ settings }: Deployment, storeId: string, replacement: Sealer | undefined): Sealer {
  const [rootKey] = readRootKeys([settings['ROOT_KEY_FILE']!]);
  return replacement ?? new RootKeySealer(storeId, [rootKey]);
}

async function fill(deployment: Deployment, sealer: Sealer | undefined) {
  const seed = writeSeed(deployment);
  const replacements = sealer === undefined ? {} : { sealer };
  const service: RunningService = await startService({ ...deployment.settings, ...seed.settings }, replacements);
  let stopped: PromiseLike<void> | undefined;
  const stop = () => (stopped ??= service[Symbol.asyncDispose]());
  onTestFinished(stop);
  await makeAndUseKeys(service.clients.gRPC);
  return { seeded: seed.materials, logged: Buffer.from(service.logged.join('')), stop };
}

function rootKeyOf({ settings }: Deployment): Buffer {
  return Buffer.from(readFileSync(settings['ROOT_KEY_FILE']!, 'latin1'), 'base64');
}

describe.skipIf(inject('redis') === undefined)('a Redis store', { timeout: 60_000 }, () => {
  it.each(SEALING)('that is $sealing gives $found secrets to who reads all of it', async ({ sealer, found }) => {
    const server = await startRedisServer();
    onTestFinished(() => server.stop());
    const deployment = redisDeployment({ KEY_CACHE_TTL: '300ms' }, server);
    const { seeded, logged } = await fill(deployment, sealer);
    const { accountId } = deployment;
    const store = await openRedisRecordStore(redisStoreOptions(server, { accountId }));
    onTestFinished(() => store.close());
    const secrets = await readMaterials(store, accountId, sealerOf(deployment, store.storeId, sealer));
    expect(secrets).toHaveLength(SECRETS);
    expect(secrets).toEqual(expect.arrayContaining(seeded));

    const redis = new Redis({ host: server.host, port: server.port });
    onTestFinished(() => redis.disconnect());
    const database = await readDatabase(redis);
    expect(database.includes(`${accountId}/alias/made-0`)).toBe(true);
    expect(findSecrets(database, secrets)).toHaveLength(found);
    const files = await readAppendOnlyFiles(redis, server.port);
    expect(files.includes(`${accountId}/alias/made-0`)).toBe(true);
    expect(findSecrets(files, secrets)).toHaveLength(found);
    expect(findSecrets(Buffer.concat([database, files, logged]), [rootKeyOf(deployment)])).toEqual([]);
    expect(findSecrets(logged, secrets)).toEqual([]);
  });
});

describe('a SQLite store', { timeout: 60_000 }, () => {
  it.each(SEALING)('that is $sealing gives $found secrets to who reads all of it', async ({ sealer, found }) => {
    const deployment = sqliteDeployment();
    const { seeded, logged, stop } = await fill(deployment, sealer);
    const path = join(deployment.folder, 'hmacd.db');
    // By another process: this one would let go of its lock on the file when it closed it.
    const running = execFileSync('cat', [path, `${path}-wal`], { maxBuffer: Infinity });
    await stop();
    const stopped = readFileSync(path);
    const store = openSqliteRecordStore(path);
    onTestFinished(() => store.close());
    const { accountId } = deployment;
    const secrets = await readMaterials(store, accountId, sealerOf(deployment, store.storeId, sealer));
    expect(secrets).toHaveLength(SECRETS);
    expect(secrets).toEqual(expect.arrayContaining(seeded));

    for (const contents of [running, stopped]) {
      expect(contents.includes(`${accountId}/alias/made-0`)).toBe(true);
      expect(findSecrets(contents, secrets)).toHaveLength(found);
      expect(findSecrets(contents, [rootKeyOf(deployment)])).toEqual([]);
    }
    expect(findSecrets(logged, secrets)).toEqual([]);
  });
});

describe('the search', () => {
  const secret = Buffer.from('00f0f1fbff3e3f0102030405060708090a0b0c0d0e0f1011121314151617181f', 'hex');
  it.each([
    ['raw', secret],
    ['in hex', Buffer.from(secret.toString('hex'))],
    ['in HEX', Buffer.from(secret.toString('hex').toUpperCase())],
    ['in base64', Buffer.from(secret.toString('base64'))],
    ['in base64 behind 1 byte', Buffer.from(Buffer.concat([Buffer.alloc(1), secret]).toString('base64'))],
    ['in base64 behind 2 bytes', Buffer.from(Buffer.concat([Buffer.alloc(2), secret]).toString('base64'))],
    ['in base64url', Buffer.from(secret.toString('base64url'))],
    ['without its end', secret.subarray(0, 20)],
    ['without its beginning', secret.subarray(12)],
  ])('finds key material %s', (_, text) => {
    expect(findSecrets(Buffer.concat([Buffer.from('before '), text, Buffer.from(' behind')]), [secret])).toEqual([
      secret,
    ]);
  });
});
