import { inspect } from 'node:util';
import { Redis } from 'ioredis';
import { describe, expect, inject, it, onTestFinished, vi } from 'vitest';
import { StoreUnavailableError, type RecordStore } from '../../src/records/record-store.ts';
import { openRedisRecordStore, type RedisRecordStoreOptions } from '../../src/records/redis-record-store.ts';
import { parseRedisTarget } from '../../src/records/redis-target.ts';
import { redisStoreOptions, startRedisServer } from '../support/redis-server.ts';
import { commit, makeRecord } from './record-store-contract.ts';

/** The settings of `startRedisServer` keep every key; each of these loses some. */
const VOLATILE: [setting: string, value: string, wanted: string][] = [
  ['appendonly', 'no', 'yes'],
  ['appendfsync', 'everysec', 'always'],
  ['maxmemory-policy', 'allkeys-lru', 'noeviction'],
  ['no-appendfsync-on-rewrite', 'yes', 'no'],
];

async function startServer(...args: string[]) {
  const server = await startRedisServer(...args);
  onTestFinished(() => server.stop());
  const admin = new Redis({ host: server.host, port: server.port });
  admin.on('error', () => {});
  onTestFinished(() => admin.disconnect());
  return { server, admin };
}

async function open(options: RedisRecordStoreOptions): Promise<RecordStore> {
  const store = await openRedisRecordStore(options);
  onTestFinished(() => store.close());
  return store;
}

/** Breaks every connection but the one that asks for it. */
async function breakConnections(admin: Redis): Promise<void> {
  await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
}

describe.skipIf(inject('redis') === undefined)('a Redis server that can lose what it acknowledged', () => {
  it.each(VOLATILE)('is refused at the start for %s %s', async (setting, value, wanted) => {
    const { server } = await startServer(`--${setting}`, value);
    await expect(openRedisRecordStore(redisStoreOptions(server))).rejects.toThrow(
      new Error(
        `the Redis store at 127.0.0.1:${server.port} can lose acknowledged keys: ` +
          `${setting} is ${value} (set it to ${wanted}); HMACD_REDIS_ALLOW_VOLATILE=true accepts that`,
      ),
    );
  });

  it('is refused with all of its settings named, and nothing is left behind', async () => {
    const { server, admin } = await startServer(...VOLATILE.flatMap(([setting, value]) => [`--${setting}`, value]));
    const refusal = String(await openRedisRecordStore(redisStoreOptions(server)).catch((error: unknown) => error));
    for (const [setting, value] of VOLATILE) expect(refusal).toContain(`${setting} is ${value}`);
    await vi.waitFor(async () => expect(String(await admin.call('CLIENT', 'LIST'))).not.toContain('name=hmacd'));
    expect(await admin.dbsize()).toBe(0);
  });

  it('is accepted with a warning where that is allowed', async () => {
    const { server } = await startServer('--appendonly', 'no');
    const options = redisStoreOptions(server, { allowVolatile: true });
    await commit(await open(options), { put: [makeRecord('a')] });
    expect(options.lines).toEqual([
      `warn the Redis store at 127.0.0.1:${server.port} can lose acknowledged keys, and is used all the same`,
    ]);
  });

  it('is refused when it does not tell its settings', async () => {
    const { server, admin } = await startServer();
    await admin.call('ACL', 'SETUSER', 'hmacd', 'on', '>pass', '~hmacd:*', '+@all', '-config');
    const url = parseRedisTarget(`redis://hmacd@127.0.0.1:${server.port}`);
    const options = redisStoreOptions(server, { url, password: 'pass' });
    await expect(openRedisRecordStore(options)).rejects.toThrow(
      /appendfsync is not told \(set it to always, and let the user run CONFIG GET\): NOPERM/,
    );
    await admin.call('ACL', 'SETUSER', 'hmacd', '+config|get');
    await commit(await open(options), { put: [makeRecord('a')] });
  });

  it.each([false, true])('is refused as a replica (volatile servers allowed: %s)', async (allowVolatile) => {
    const { server, admin } = await startServer();
    await admin.replicaof('127.0.0.1', 1);
    await expect(openRedisRecordStore(redisStoreOptions(server, { allowVolatile }))).rejects.toThrow(
      `the Redis store at 127.0.0.1:${server.port} is no primary: its role is slave`,
    );
  });

  it.each(VOLATILE)('gets no command over a new connection until %s is %s no more', async (setting, value, wanted) => {
    const { server, admin } = await startServer();
    const options = redisStoreOptions(server);
    const store = await open(options);
    await commit(store, { put: [makeRecord('a')] });
    await admin.config('SET', setting, value);
    await breakConnections(admin);
    const sentence = new RegExp(`can lose acknowledged keys: ${setting} is ${value}`);
    await vi.waitFor(() => expect(store.getMany(['a'])).rejects.toThrow(sentence), 2_000);
    // Long enough for several checks; what a server answers in between must be refused each time.
    const end = performance.now() + 2_500;
    while (performance.now() < end) {
      await expect(store.getMany(['a'])).rejects.toThrow(sentence);
      await expect(commit(store, { put: [makeRecord('b')] })).rejects.toThrow(StoreUnavailableError);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await admin.config('SET', setting, wanted);
    await vi.waitFor(() => store.getMany(['a']), 3_000);
    expect((await store.list('', '', 10)).map(({ path }) => path)).toEqual(['a']);
    expect(options.lines.filter((line) => line.startsWith('error '))).toHaveLength(1);
  });

  it('gets no command over a new connection while it is a replica', async () => {
    const { server, admin } = await startServer();
    const store = await open(redisStoreOptions(server, { allowVolatile: true }));
    await admin.replicaof('127.0.0.1', 1);
    // The connection is still there: the server itself refuses to write, and is given up.
    await expect(commit(store, { put: [makeRecord('a')] })).rejects.toThrow(StoreUnavailableError);
    await expect(store.getMany(['a'])).rejects.toThrow(/is no primary: its role is slave/);
    await admin.replicaof('NO', 'ONE');
    await vi.waitFor(() => commit(store, { put: [makeRecord('a')] }), 3_000);
  });
});

describe.skipIf(inject('redis') === undefined)('a Redis server that ends suddenly', () => {
  it('has all that was acknowledged when it is started again', { timeout: 120_000 }, async () => {
    const { server } = await startServer();
    const store = await open(redisStoreOptions(server));
    const acknowledged: string[] = [];
    for (let round = 1; round <= 3; round++) {
      const stopped = new AbortController();
      const write = async (writer: number): Promise<void> => {
        for (let n = 0; !stopped.signal.aborted; n++) {
          const path = `${round}/${writer}/${n}`;
          try {
            await commit(store, { put: [makeRecord(path, path)] });
            acknowledged.push(path);
          } catch {
            return;
          }
        }
      };
      const writers = Array.from({ length: 20 }, (_, writer) => write(writer));
      const before = acknowledged.length;
      await vi.waitFor(() => expect(acknowledged.length).toBeGreaterThan(before + 500), 20_000);
      await server.kill();
      await server.start();
      await vi.waitFor(() => store.getMany(['a']), 10_000);
      stopped.abort();
      await Promise.all(writers);
      const found = await store.getMany(acknowledged);
      expect(acknowledged.filter((_, n) => found[n] === undefined)).toEqual([]);
    }
  });
});

describe.skipIf(inject('redis') === undefined)('the password of a Redis server', () => {
  it('is in no error and no line of the log', async () => {
    const { server } = await startServer('--requirepass', 'right-s3cret');
    const wrong = redisStoreOptions(server, { password: 'wrong-s3cret' });
    const failure: unknown = await openRedisRecordStore(wrong).catch((error: unknown) => error);
    expect(String(failure)).toBe(
      `Error: the Redis store at 127.0.0.1:${server.port} cannot be reached: ` +
        'WRONGPASS invalid username-password pair or user is disabled.',
    );
    expect(inspect(failure, { depth: null, showHidden: true })).not.toContain('s3cret');
    const none: unknown = await openRedisRecordStore(redisStoreOptions(server)).catch((error: unknown) => error);
    expect(String(none)).toContain('NOAUTH');

    const right = redisStoreOptions(server, { password: 'right-s3cret' });
    const store = await open(right);
    await commit(store, { put: [makeRecord('a')] });
    const admin = new Redis({ host: server.host, port: server.port, password: 'right-s3cret' });
    onTestFinished(() => admin.disconnect());
    await admin.config('SET', 'requirepass', 'other-s3cret');
    await breakConnections(admin);
    await vi.waitFor(() => expect(store.getMany(['a'])).rejects.toThrow(/WRONGPASS/), 3_000);
    const later: unknown = await store.getMany(['a']).catch((error: unknown) => error);
    expect(inspect([later, right.lines], { depth: null, showHidden: true })).not.toContain('s3cret');
  });
});
