import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { DeploymentSchema } from '../../src/gen/hmacd/store/v1/records_pb.ts';
import { deploymentPath } from '../../src/records/deployment-record.ts';
import { BackupReader } from '../../src/records/backup-reader.ts';
import type { RecordStore, StoredRecord } from '../../src/records/record-store.ts';
import { openRedisRecordStore } from '../../src/records/redis-record-store.ts';
import { replaceRecord } from '../../src/records/records.ts';
import { readRootKeys } from '../../src/records/root-keys.ts';
import { RootKeySealer } from '../../src/records/sealer.ts';
import { openSqliteRecordStore } from '../../src/records/sqlite-record-store.ts';
import { recordsOf } from '../keys/fixture.ts';
import { makeEverything, tellEverything, verifyAll } from '../support/backed-up-service.ts';
import { redisDeployment, sqliteDeployment, startReplica, temporaryFolder } from '../support/deployment.ts';
import { runHmacd } from '../support/hmacd-process.ts';
import { redisStoreOptions } from '../support/redis-server.ts';

type Settings = Readonly<Record<string, string>>;

const envOf = (settings: Settings): Record<string, string> =>
  Object.fromEntries(Object.entries(settings).map(([name, value]) => [`HMACD_${name}`, value]));

const run = async (command: string, path: string, settings: Settings) =>
  await runHmacd([command, path], envOf(settings));

/** Runs a service for as long as some work takes. */
async function withService<T>(
  settings: Settings,
  work: (service: Awaited<ReturnType<typeof startReplica>>) => Promise<T>,
): Promise<T> {
  const service = await startReplica(settings);
  const result = await work(service);
  service.kill('SIGTERM');
  expect(await service.ended).toBe(0);
  return result;
}

async function contentOf(store: RecordStore): Promise<{ storeId: string; records: StoredRecord[] }> {
  try {
    const records = await store.list('', '', 1_001);
    return {
      storeId: store.storeId,
      records: records.map(({ path, version, value }) => ({ path, version, value: Buffer.from(value) })),
    };
  } finally {
    await store.close();
  }
}

const contentOfSqlite = (folder: string) => contentOf(openSqliteRecordStore(join(folder, 'hmacd.db')));
const contentOfRedis = async (accountId: string) =>
  contentOf(await openRedisRecordStore(redisStoreOptions(inject('redis')!.shared, { accountId })));

describe.skipIf(inject('redis') === undefined)('a backup', { timeout: 60_000 }, () => {
  it('goes from SQLite to Redis and back with every key, alias, tag, policy and grant', async () => {
    const redis = redisDeployment();
    const { accountId } = redis;
    const { ROOT_KEY_FILE } = redis.settings as { ROOT_KEY_FILE: string };
    const shared = { ACCOUNT_ID: accountId, ROOT_KEY_FILE };
    const [first, last] = [sqliteDeployment(shared), sqliteDeployment(shared)];
    const [there, back] = [join(first.folder, 'there.backup'), join(first.folder, 'back.backup')];
    const { made, told } = await withService(first.settings, async ({ clients: { gRPC } }) => ({
      made: await makeEverything(gRPC, accountId),
      told: await tellEverything(gRPC),
    }));
    const content = await contentOfSqlite(first.folder);
    expect(content.records.length).toBeGreaterThan(40);
    const count = content.records.length;

    expect(await run('backup', there, first.settings)).toEqual({
      code: 0,
      stdout: `${count} records of the SQLite store ${join(first.folder, 'hmacd.db')} are in ${there}\n`,
      stderr: '',
    });
    const restored = await run('restore', there, redis.settings);
    expect(restored).toMatchObject({ code: 0, stderr: '' });
    expect(restored.stdout).toMatch(new RegExp(`^${count} records of ${there} are in the Redis store at [^ ]+\\n$`));
    expect(await contentOfRedis(accountId)).toEqual(content);
    const replica = await startReplica(redis.settings);
    expect(await tellEverything(replica.clients.gRPC)).toEqual(told);
    await verifyAll(replica.clients.gRPC, made);

    // While the replica serves.
    expect(await run('backup', back, redis.settings)).toMatchObject({ code: 0, stderr: '' });
    expect(await run('restore', back, last.settings)).toMatchObject({ code: 0, stderr: '' });
    expect(await contentOfSqlite(last.folder)).toEqual(content);
    await withService(last.settings, async ({ clients: { gRPC } }) => {
      expect(await tellEverything(gRPC)).toEqual(told);
      await verifyAll(gRPC, made);
    });
  });

  it('that is cut short or was edited is refused whole, and nothing is written', async () => {
    const source = sqliteDeployment();
    await withService(source.settings, ({ clients: { gRPC } }) => makeEverything(gRPC, source.accountId));
    const whole = join(source.folder, 'whole.backup');
    expect(await run('backup', whole, source.settings)).toMatchObject({ code: 0 });
    const bytes = readFileSync(whole);
    const edited = Buffer.from(bytes);
    edited[Math.floor(bytes.length / 2)]! ^= 1;
    const damages: [string, Buffer, RegExp][] = [
      ['cut', bytes.subarray(0, -1), / is cut short\n$/],
      ['half', bytes.subarray(0, bytes.length / 2), / is cut short\n$/],
      ['edited', edited, / is damaged, or was changed after it was made\n$/],
      ['longer', Buffer.concat([bytes, Buffer.of(0)]), / is damaged, or was changed after it was made\n$/],
    ];
    const redis = redisDeployment({ ACCOUNT_ID: source.accountId, ROOT_KEY_FILE: source.settings['ROOT_KEY_FILE']! });
    const client = new Redis(inject('redis')!.shared);
    onTestFinished(() => client.disconnect());
    for (const [name, content, sentence] of damages) {
      const path = join(source.folder, name);
      writeFileSync(path, content);
      const sqlite = sqliteDeployment({ ROOT_KEY_FILE: source.settings['ROOT_KEY_FILE']! });
      for (const { settings } of [redis, sqlite]) {
        const refused = await run('restore', path, settings);
        expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(sentence) });
      }
      expect(existsSync(join(sqlite.folder, 'hmacd.db'))).toBe(false);
      expect(await client.keys(`hmacd:{${source.accountId}}:*`)).toEqual([]);
    }
  });

  it('is as of one moment, also of a Redis store that others write to', async () => {
    const { settings, accountId, folder } = redisDeployment();
    await withService(settings, async () => {});
    const store = await openRedisRecordStore(redisStoreOptions(inject('redis')!.shared, { accountId }));
    await fill(store, accountId, 5_000);
    // The first and the last record of all are always put together.
    const ends = [`${accountId}/!`, `${accountId}/~`];
    const ended = new AbortController();
    const writing = (async () => {
      let count = 0;
      for (; !ended.signal.aborted; count++) {
        const put = ends.map((path) => ({ path, version: crypto.randomUUID(), value: Buffer.from(String(count)) }));
        await store.commit({ expect: [], put, remove: [] });
        await delay(2);
      }
      await store.close();
      return count;
    })();
    const seen = new Set<string>();
    for (let n = 0; n < 3; n++) {
      const path = join(folder, `${n}.backup`);
      expect(await run('backup', path, settings)).toMatchObject({ code: 0 });
      using backup = new BackupReader(path, readRootKeys([settings['ROOT_KEY_FILE']!]));
      const values: string[] = [];
      backup.verify((record) => {
        if (ends.includes(record.path)) values.push(Buffer.from(record.value).toString());
      });
      expect(values).toEqual([values[0], values[0]]);
      seen.add(values[0]!);
    }
    ended.abort();
    expect(await writing).toBeGreaterThan(100);
    expect(seen.size).toBe(3);
  });

  it('is refused when what the replicas agree on changes meanwhile', async () => {
    const { settings, accountId, folder } = redisDeployment();
    await withService(settings, async () => {});
    const store = await openRedisRecordStore(redisStoreOptions(inject('redis')!.shared, { accountId }));
    const sealer = new RootKeySealer(store.storeId, readRootKeys([settings['ROOT_KEY_FILE']!]));
    const records = recordsOf(store, systemClock, sealer);
    const ended = new AbortController();
    const changing = (async () => {
      while (!ended.signal.aborted) {
        const found = (await records.get(DeploymentSchema, deploymentPath({ accountId })))!;
        await records.commit([replaceRecord(found, DeploymentSchema, found.message)], 'adds');
        await delay(2);
      }
      await store.close();
    })();
    const path = join(folder, 'a.backup');
    const refused = await run('backup', path, settings);
    ended.abort();
    await changing;
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/^hmacd: .*was changed meanwhile; run this again\n$/);
    expect(readdirSync(folder)).toEqual(['root.key']);
    expect(await run('backup', path, settings)).toMatchObject({ code: 0 });
  });

  it('whose restore is killed is not served, and is restored when that is run again', async () => {
    const redis = redisDeployment();
    const { accountId } = redis;
    const source = sqliteDeployment({ ACCOUNT_ID: accountId, ROOT_KEY_FILE: redis.settings['ROOT_KEY_FILE']! });
    const made = await withService(source.settings, ({ clients: { gRPC } }) => makeEverything(gRPC, accountId));
    const filled = openSqliteRecordStore(join(source.folder, 'hmacd.db'));
    await fill(filled, accountId, 20_000);
    await filled.close();
    const path = join(temporaryFolder(), 'a.backup');
    expect(await run('backup', path, source.settings)).toMatchObject({ code: 0 });

    const client = new Redis(inject('redis')!.shared);
    onTestFinished(() => client.disconnect());
    const records = `hmacd:{${accountId}}:records`;
    const main = new URL('../../src/main.ts', import.meta.url).pathname;
    const restore = spawn(process.execPath, [main, 'restore', path], {
      env: { PATH: process.env['PATH'], ...envOf(redis.settings) },
      stdio: 'ignore',
    });
    while ((await client.hlen(records)) === 0) await delay(1);
    restore.kill('SIGKILL');
    await once(restore, 'close');
    const left = await client.hlen(records);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(20_000);

    await expect(startReplica(redis.settings)).rejects.toThrow(/cannot be opened: a restore into it has not ended; /);
    expect(await run('backup', `${path}.2`, redis.settings)).toMatchObject({ code: 1 });
    expect(await run('restore', path, redis.settings)).toMatchObject({ code: 0, stderr: expect.any(String) });
    expect(await client.hlen(records)).toBeGreaterThan(20_000);
    const replica = await startReplica(redis.settings);
    await verifyAll(replica.clients.gRPC, made);
  });
});

/** Puts records into a store that nobody ever opens. */
async function fill(store: RecordStore, accountId: string, count: number): Promise<void> {
  for (let n = 0; n < count; n += 500) {
    const put = Array.from({ length: 500 }, (_, index) => ({
      path: `${accountId}/filler/${String(n + index).padStart(6, '0')}`,
      version: crypto.randomUUID(),
      value: Buffer.alloc(200),
    }));
    await store.commit({ expect: [], put, remove: [] });
  }
}
