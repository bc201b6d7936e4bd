import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, inject, it, onTestFinished, vi } from 'vitest';
import { ConflictError, StoreUnavailableError, type RecordStore } from '../../src/records/record-store.ts';
import { openRedisRecordStore, type RedisRecordStoreOptions } from '../../src/records/redis-record-store.ts';
import { parseRedisTarget } from '../../src/records/redis-target.ts';
import { findFreePort, redisStoreOptions, startRedisServer } from '../support/redis-server.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { commit, describeRecordStore, makeRecord } from './record-store-contract.ts';

const redis = inject('redis');
const shared = redis?.shared ?? { host: '127.0.0.1', port: 0 };

async function open(options: RedisRecordStoreOptions): Promise<RecordStore> {
  const store = await openRedisRecordStore(options);
  onTestFinished(() => store.close());
  return store;
}

async function startServer(...args: string[]) {
  const server = await startRedisServer(...args);
  onTestFinished(() => server.stop());
  const admin = new Redis({ host: server.host, port: server.port });
  admin.on('error', () => {});
  onTestFinished(() => admin.disconnect());
  return { server, admin };
}

const startNode = (busPort: number) => startServer('--cluster-enabled', 'yes', '--cluster-port', String(busPort));

async function untilClusterIsUp(admin: Redis): Promise<void> {
  await vi.waitFor(async () => expect(await admin.cluster('INFO')).toContain('cluster_state:ok'), 20_000);
}

describe.skipIf(redis === undefined)('the Redis store', () => {
  describeRecordStore('Redis', (logLength) =>
    openRedisRecordStore(redisStoreOptions(shared, logLength === undefined ? {} : { logLength })),
  );

  it('is shared by all that open it', async () => {
    const options = redisStoreOptions(shared);
    const [one, other] = await Promise.all([open(options), open(options)]);
    expect(one.exclusive).toBe(false);
    expect(one.storeId).toBe(other.storeId);
    await commit(one, { put: [makeRecord('a', 'seen')] });
    expect(Buffer.from((await other.getMany(['a']))[0]?.value ?? []).toString()).toBe('seen');
  });

  it('keeps all keys of an account in one slot of a cluster', async () => {
    const options = redisStoreOptions(shared);
    await commit(await open(options), { put: [makeRecord('a')] });
    const admin = new Redis(shared);
    onTestFinished(() => admin.disconnect());
    const keys = await admin.keys(`*${options.accountId}*`);
    expect(keys.map((key) => key.replace(/[0-9a-f-]{36}$/, 'ID')).toSorted()).toEqual(
      ['commit:ID', 'log', 'paths', 'records', 'store'].map((name) => `hmacd:{${options.accountId}}:${name}`),
    );
    const commitKey = keys.find((key) => key.includes(':commit:')) ?? '';
    expect(await admin.ttl(commitKey)).toBeGreaterThan(590);
  });

  it('commits also when the server has forgotten the script', async () => {
    const { server, admin } = await startServer();
    const store = await open(redisStoreOptions(server));
    await commit(store, { put: [makeRecord('a')] });
    await admin.script('FLUSH');
    await commit(store, { put: [makeRecord('b')] });
    expect(await store.list('', '', 10)).toHaveLength(2);
  });

  it.each(['is flushed', 'is flushed and made again'])('is lost for ever when it %s', async (how) => {
    const { server, admin } = await startServer();
    const options = redisStoreOptions(server);
    const store = await open(options);
    const record = makeRecord('a');
    await commit(store, { put: [record] });
    const { cursor } = await store.changes(undefined);
    await admin.flushall();
    if (how === 'is flushed and made again') await commit(await open(options), { put: [record] });
    const sentence = 'the Redis store was flushed or replaced: it is not the one that was opened';
    await expect(commit(store, { put: [record] })).rejects.toThrow(new StoreUnavailableError(sentence));
    await admin.set(`hmacd:{${options.accountId}}:store`, store.storeId);
    await expect(store.getMany(['a'])).rejects.toThrow(new StoreUnavailableError(sentence));
    await expect(store.list('', '', 1)).rejects.toThrow(new StoreUnavailableError(sentence));
    await expect(store.changes(cursor)).rejects.toThrow(new StoreUnavailableError(sentence));
    expect(options.lines).toEqual([`error ${sentence}`]);
  });

  it.each<[string, (store: RecordStore) => Promise<unknown>]>([
    ['getMany', (store) => store.getMany(['a'])],
    ['list', (store) => store.list('', '', 1)],
    ['changes', (store) => store.changes(undefined)],
    ['changes since the start', (store) => store.changes('0-0')],
  ])('does not take a flushed store for an empty one (%s)', async (_, ask) => {
    const { server, admin } = await startServer();
    const store = await open(redisStoreOptions(server));
    await admin.flushall();
    await expect(ask(store)).rejects.toThrow(StoreUnavailableError);
  });

  it('fails at once while the server is down, and works again when it is back', async () => {
    const { server } = await startServer();
    const options = redisStoreOptions(server);
    const store = await open(options);
    await commit(store, { put: [makeRecord('a')] });
    await server.kill();
    await vi.waitFor(() => expect(options.lines).toContain('warn the connection to the Redis store was lost'));
    const start = performance.now();
    await expect(store.getMany(['a'])).rejects.toThrow(StoreUnavailableError);
    await expect(store.list('', '', 1)).rejects.toThrow(StoreUnavailableError);
    await expect(store.changes(undefined)).rejects.toThrow(StoreUnavailableError);
    await expect(commit(store, { put: [makeRecord('b')] })).rejects.toThrow(StoreUnavailableError);
    expect(performance.now() - start).toBeLessThan(100);
    await server.start();
    await vi.waitFor(() => store.getMany(['a']), 5_000);
    await commit(store, { put: [makeRecord('c')] });
    expect((await store.list('', '', 10)).map(({ path }) => path)).toEqual(['a', 'c']);
    const refused = options.lines.filter((line) => line.endsWith('cannot be reached: ECONNREFUSED'));
    expect(refused.length).toBeLessThanOrEqual(1);
  });

  it('does not wait for a server that is silent', async () => {
    const { server, admin } = await startServer();
    const store = await open(redisStoreOptions(server, { commandTimeoutMs: 200 }));
    await admin.call('CLIENT', 'PAUSE', '1500', 'ALL');
    const start = performance.now();
    await expect(store.getMany(['a'])).rejects.toThrow(/^the Redis store failed: Command timed out$/);
    expect(performance.now() - start).toBeLessThan(600);
    await vi.waitFor(() => store.getMany(['a']), 5_000);
  });

  it('follows a cluster to the node that has its slot', async () => {
    const busPort = await findFreePort();
    const owner = await startNode(busPort);
    await owner.admin.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    const nodes = [`127.0.0.1:${await findFreePort()}`];
    // The nodes know one another by loopback addresses, which containers do not share: there, the owner is asked itself.
    if (redis?.source.kind === 'program') {
      const other = await startNode(await findFreePort());
      await other.admin.call('CLUSTER', 'MEET', '127.0.0.1', String(owner.server.port), String(busPort));
      await untilClusterIsUp(other.admin);
      nodes.push(`127.0.0.1:${other.server.port}`);
    } else {
      nodes.push(`127.0.0.1:${owner.server.port}`);
    }
    await untilClusterIsUp(owner.admin);
    const url = parseRedisTarget(`redis+cluster://${nodes.join(',')}`);
    const store = await open(redisStoreOptions(owner.server, { url }));
    const record = makeRecord('a');
    await commit(store, { put: [record], expect: [{ path: 'a', version: undefined }] });
    expect((await store.getMany(['a']))[0]?.version).toBe(record.version);
  });
});

describe.skipIf(redis === undefined)('a commit to Redis whose reply is lost', () => {
  let proxy: TcpProxy;
  afterEach(() => proxy.stop());

  async function openThroughProxy(): Promise<{ store: RecordStore; direct: RecordStore; accountId: string }> {
    proxy = await startTcpProxy(shared);
    const options = redisStoreOptions(proxy);
    const store = await open(options);
    const direct = await open({ ...options, url: redisStoreOptions(shared).url });
    // From here on the server knows the script.
    await commit(direct, { put: [makeRecord('first')] });
    return { store, direct, accountId: options.accountId };
  }

  it('is applied once, and answers that it was', async () => {
    const { store, direct, accountId } = await openThroughProxy();
    const { cursor } = await direct.changes(undefined);
    proxy.cutReplyTo('evalsha');
    await commit(store, { expect: [{ path: 'a', version: undefined }], put: [makeRecord('a', '1')] });
    expect((await direct.changes(cursor)).paths).toEqual(['a']);
    const admin = new Redis(shared);
    onTestFinished(() => admin.disconnect());
    // The one of the warm-up, and this one.
    expect(await admin.xlen(`hmacd:{${accountId}}:log`)).toBe(2);
  });

  it('is not applied a second time when its first copy comes late', async () => {
    const { store, direct } = await openThroughProxy();
    const request = proxy.holdRequest('evalsha');
    const committed = commit(store, { put: [makeRecord('a', 'older')] });
    await request.held;
    await request.breakConnection();
    await committed;
    await commit(direct, { put: [makeRecord('a', 'newer')] });
    await request.release();
    expect(Buffer.from((await direct.getMany(['a']))[0]?.value ?? []).toString()).toBe('newer');
  });

  it('is not applied after it was refused, when its first copy comes late', async () => {
    const { store, direct } = await openThroughProxy();
    const request = proxy.holdRequest('evalsha');
    const late = { expect: [{ path: 'a', version: undefined }], put: [makeRecord('a', 'late')] };
    const outcome = commit(store, late).catch((error: unknown) => error);
    await request.held;
    // Another writer's record is there when the second copy comes, and gone again when the first one does.
    await commit(direct, { put: [makeRecord('a')] });
    await request.breakConnection();
    expect(await outcome).toEqual(new ConflictError('a'));
    await commit(direct, { remove: ['a'] });
    await request.release();
    expect(await direct.getMany(['a'])).toEqual([undefined]);
  });

  it('says within 5 s that its outcome is not known', async () => {
    const { store } = await openThroughProxy();
    const { held } = proxy.holdRequest('evalsha');
    const start = performance.now();
    const outcome = commit(store, { put: [makeRecord('a')] }).catch((error: unknown) => error);
    await held;
    await proxy.stop();
    expect(await outcome).toBeInstanceOf(StoreUnavailableError);
    expect(String(await outcome)).toMatch(/: it is not known whether the commit was applied: /);
    expect(performance.now() - start).toBeGreaterThan(4_500);
    expect(performance.now() - start).toBeLessThan(6_000);
    proxy = await startTcpProxy(shared);
  });
});

describe('the address of a Redis store', () => {
  const standalone = { kind: 'standalone', masterName: '', database: 0, username: undefined, tls: false };
  it.each([
    ['redis://localhost', { ...standalone, hosts: [{ host: 'localhost', port: 6379 }] }],
    ['redis://r:1234/2', { ...standalone, hosts: [{ host: 'r', port: 1234 }], database: 2 }],
    ['redis://a%40b@[::1]:1', { ...standalone, hosts: [{ host: '::1', port: 1 }], username: 'a@b' }],
    ['rediss://u@r', { ...standalone, hosts: [{ host: 'r', port: 6379 }], username: 'u', tls: true }],
    [
      'redis+sentinel://a:1,b/main?db=3&tls=true',
      {
        kind: 'sentinel',
        hosts: [
          { host: 'a', port: 1 },
          { host: 'b', port: 26379 },
        ],
        masterName: 'main',
        database: 3,
        username: undefined,
        tls: true,
      },
    ],
    [
      'redis+cluster://u@a:1,b:2',
      {
        kind: 'cluster',
        hosts: [
          { host: 'a', port: 1 },
          { host: 'b', port: 2 },
        ],
        masterName: '',
        database: 0,
        username: 'u',
        tls: false,
      },
    ],
  ])('%s is understood', (text, target) => expect(parseRedisTarget(text)).toEqual(target));

  it.each([
    ['http://r', /begins with one of redis:\/\/, rediss:\/\/, redis\+sentinel:\/\/, redis\+cluster:\/\/$/],
    ['redis', /begins with one of/],
    ['redis://', /written HOST:PORT/],
    ['redis://r:0', /written HOST:PORT/],
    ['redis://r:70000', /written HOST:PORT/],
    ['redis://a,b', /takes one host/],
    ['redis://r/x', /database of a Redis store is a number/],
    ['redis://r?db=1', /redis:\/\/ takes no parameter db/],
    ['redis+sentinel://a', /needs the name of the master/],
    ['redis+sentinel://a/m?role=slave', /takes no parameter role/],
    ['redis+sentinel://a/m?tls=yes', /true or false/],
    ['redis+cluster://a/1', /takes no path/],
    ['redis+cluster://a?db=1', /takes no parameter db/],
  ])('%s is refused', (text, sentence) => expect(() => parseRedisTarget(text)).toThrow(sentence));

  it.each([
    'redis://u:s3cret@r',
    'redis://:s3cret@r',
    'redis://u:s3c/r@et@r',
    'redis+cluster://u:s3cret@a,b',
    'x://:s3cret@r',
  ])('%s is refused for its password, which is not repeated', (text) => {
    expect(() => parseRedisTarget(text)).toThrow(/HMACD_REDIS_PASSWORD_FILE/);
    expect(() => parseRedisTarget(text)).not.toThrow(/s3c/);
  });
});

describe('a Redis store that cannot be opened', () => {
  it('says that nobody listens', async () => {
    const port = await findFreePort();
    const opening = openRedisRecordStore(redisStoreOptions({ host: '127.0.0.1', port }));
    await expect(opening).rejects.toThrow(
      new Error(`the Redis store at 127.0.0.1:${port} cannot be reached: ECONNREFUSED`),
    );
  });

  it('gives up a server that is silent, and lets go of it', async () => {
    const silent = createServer((socket) => void socket.resume()).listen(0, '127.0.0.1');
    onTestFinished(() => void silent.close());
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const start = performance.now();
    await expect(openRedisRecordStore(redisStoreOptions({ host: '127.0.0.1', port }))).rejects.toThrow(
      `the Redis store at 127.0.0.1:${port} cannot be reached: `,
    );
    expect(performance.now() - start).toBeLessThan(5_500);
    await vi.waitFor(() =>
      expect(new Promise((resolve) => silent.getConnections((_, count) => resolve(count)))).resolves.toBe(0),
    );
  });
});
