import { describe, expect, inject, it, onTestFinished, vi } from 'vitest';
import { KeySpec, KeyUsage } from '../../src/gen/hmacd/v1/key_pb.ts';
import type { RecordStore } from '../../src/records/record-store.ts';
import { openRedisRecordStore } from '../../src/records/redis-record-store.ts';
import { alteredStore } from '../support/altered-store.ts';
import { type Deployment, redisDeployment, sqliteDeployment, startReplica } from '../support/deployment.ts';
import { readinessOf } from '../support/health.ts';
import { runHmacd } from '../support/hmacd-process.ts';
import { redisStoreOptions } from '../support/redis-server.ts';
import { type RunningService, startService } from '../support/running-service.ts';

/** How a replica says that it must not go on. */
const CHANGED = /the deployment was changed|the store's key cache TTL is 300ms, and HMACD_KEY_CACHE_TTL is 1000ms/;

async function setKeyCacheTtl({ settings }: Deployment, duration: string) {
  const { KEY_CACHE_TTL: _, AUDIT_LOG: __, ...others } = settings;
  const env = Object.fromEntries(Object.entries(others).map(([name, value]) => [`HMACD_${name}`, value]));
  return await runHmacd(['set-key-cache-ttl', duration], env);
}

describe('on SQLite, set-key-cache-ttl', { timeout: 30_000 }, () => {
  it('is refused while the service runs, and obeyed at the next start', async () => {
    const deployment = sqliteDeployment();
    const { settings } = deployment;
    const service = await startReplica(settings);
    const refused = await setKeyCacheTtl(deployment, '2s');
    expect(refused.stderr).toMatch(/^hmacd: the SQLite store \S+ is in use by another process\n$/);
    expect(refused.code).toBe(1);
    service.kill('SIGTERM');
    await service.ended;
    const changed = await setKeyCacheTtl(deployment, '2s');
    const stdout = 'start every replica with HMACD_KEY_CACHE_TTL=2s from now on\n';
    expect(changed).toMatchObject({ code: 0, stdout, stderr: '' });
    await startReplica({ ...settings, KEY_CACHE_TTL: '2s' });
  });
});

describe.skipIf(inject('redis') === undefined)('on Redis, set-key-cache-ttl', { timeout: 30_000 }, () => {
  it('stops a replica that runs, and answers when its lease is over', async () => {
    const deployment = redisDeployment({ KEY_CACHE_TTL: '1s' });
    const { settings } = deployment;
    const replica = await startReplica(settings);
    const start = performance.now();
    expect(await setKeyCacheTtl(deployment, '300ms')).toMatchObject({ code: 0, stderr: '' });
    expect(performance.now() - start).toBeGreaterThan(1_000);
    expect(await replica.ended).toBe(1);
    expect(replica.stderr()).toMatch(CHANGED);
    const again = await startReplica({ ...settings, KEY_CACHE_TTL: '300ms' });
    expect(await readinessOf(again.adminPort)).toBe(200);
  });

  it('stops a replica also when the log of changes no longer tells of it', async () => {
    const deployment = redisDeployment({ KEY_CACHE_TTL: '1s' });
    let reachable = true;
    const service = await startOn(deployment, async (store) =>
      alteredStore(store, {
        changes: async (since) => {
          if (!reachable) throw new Error('out of reach');
          return await store.changes(since);
        },
      }),
    );
    reachable = false;
    expect(await setKeyCacheTtl(deployment, '300ms')).toMatchObject({ code: 0 });
    const other = await startOn({ ...deployment, settings: { ...deployment.settings, KEY_CACHE_TTL: '300ms' } });
    // More than the log is long.
    for (let n = 0; n < 5; n++) await createKey(other);
    reachable = true;
    await vi.waitFor(() => expect(service.fatal.join()).toMatch(CHANGED), 5_000);
  });

  it('stops a replica also when it starts at that moment', async () => {
    const deployment = redisDeployment({ KEY_CACHE_TTL: '1s' });
    const first = await startOn(deployment);
    const starting = startOn(deployment, async (store) => {
      let changed: Promise<unknown> | undefined;
      return alteredStore(store, {
        // Just before it begins to follow the log of changes.
        changes: async (since) => {
          if (since === undefined) await (changed ??= setKeyCacheTtl(deployment, '300ms'));
          return await store.changes(since);
        },
      });
    });
    const sentences = await starting.then(
      ({ fatal }) => fatal,
      (error: unknown) => [String(error)],
    );
    expect(first.fatal.join()).toMatch(CHANGED);
    await vi.waitFor(() => expect(sentences.join()).toMatch(CHANGED), 5_000);
  });
});

/** A service in this process, whose log of changes is short. */
async function startOn(
  { settings, accountId }: Deployment,
  alter: (store: RecordStore) => Promise<RecordStore> = async (store) => store,
): Promise<RunningService> {
  const options = redisStoreOptions(inject('redis')!.shared, { accountId, logLength: 3 });
  const store = await alter(await openRedisRecordStore(options));
  const service = await startService(settings, { store });
  onTestFinished(() => service[Symbol.asyncDispose]());
  return service;
}

async function createKey({ clients }: RunningService): Promise<void> {
  await clients.gRPC.keys.createKey({ keySpec: KeySpec.HMAC_256, keyUsage: KeyUsage.GENERATE_VERIFY_MAC });
}
