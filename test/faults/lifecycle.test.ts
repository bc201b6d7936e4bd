import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, inject, it } from 'vitest';
import { KeySpec, KeyUsage } from '../../src/gen/hmacd/v1/key_pb.ts';
import { failureOf, type WireName } from '../support/clients.ts';
import { redisDeployment, sqliteDeployment, startReplica } from '../support/deployment.ts';
import { readinessOf } from '../support/health.ts';
import type { HmacdProcess } from '../support/hmacd-process.ts';
import { connectTo, generateMacs } from '../support/mac-connections.ts';
import { MacLoad } from '../support/mac-load.ts';
import { createNamedKey } from './revocation.ts';

/** How long DisableKey takes, at least. */
const SLOW = 1_500;

/** A service with a call under way that takes some time. */
async function startWithSlowCall(wire: WireName, settings: Readonly<Record<string, string>> = {}) {
  const service = await startReplica(redisDeployment({ KEY_CACHE_TTL: `${SLOW}ms`, ...settings }).settings);
  const { keys } = service.clients[wire];
  const made = await keys.createKey({ keySpec: KeySpec.HMAC_256, keyUsage: KeyUsage.GENERATE_VERIFY_MAC });
  const { keyId } = made.keyMetadata!;
  const call = keys.disableKey({ keyId });
  call.catch(() => {}); // Each test looks at how it ended.
  await expect.poll(async () => (await keys.describeKey({ keyId })).keyMetadata!.enabled).toBe(false);
  return { service, call };
}

async function isReady({ adminPort }: HmacdProcess): Promise<boolean> {
  return await readinessOf(adminPort).then(
    (status) => status === 200,
    () => false,
  );
}

describe.skipIf(inject('redis') === undefined)('a service with a slow call under way', { timeout: 40_000 }, () => {
  it.each([
    ['SIGTERM', 'gRPC'],
    ['SIGINT', 'gRPC'],
    ['SIGTERM', 'Connect JSON'],
    ['SIGINT', 'Connect binary'],
  ] as const)('is not ready any more at %s, answers the call by %s, and exits with 0', async (signal, wire) => {
    const { service, call } = await startWithSlowCall(wire);
    expect(await readinessOf(service.adminPort)).toBe(200);
    service.kill(signal);
    await expect.poll(() => readinessOf(service.adminPort), { timeout: 1_000, interval: 20 }).toBe(503);
    expect(await Promise.race([call.then(() => 'answered'), delay(100, 'under way')])).toBe('under way');
    await call;
    expect(await service.ended).toBe(0);
    expect(service.stderr()).not.toContain('broken off');
  });

  it('takes no new calls while it stops', async () => {
    const { service, call } = await startWithSlowCall('gRPC');
    service.kill('SIGTERM');
    await expect.poll(() => isReady(service)).toBe(false);
    const { gRPC, 'Connect JSON': connect } = service.clients;
    expect((await failureOf(gRPC.keys.listKeys({}))).code).toBe('Unavailable');
    expect((await failureOf(connect.keys.listKeys({}))).code).toMatch(/^(Unavailable|Aborted|Internal)$/);
    await call;
    expect(await service.ended).toBe(0);
  });

  it.each([
    ['the same signal', 'SIGTERM', 400],
    ['another signal', 'SIGINT', 0],
  ] as const)('ends at once, as killed, at %s after SIGTERM', async (_, second, pause) => {
    const { service, call } = await startWithSlowCall('gRPC', { KEY_CACHE_TTL: '20s', SHUTDOWN_GRACE: '1m' });
    service.kill('SIGTERM');
    await expect.poll(() => isReady(service)).toBe(false);
    await delay(pause);
    service.kill(second);
    const signalled = performance.now();
    expect(await service.ended).toBe('SIGKILL');
    expect(performance.now() - signalled).toBeLessThan(2_000);
    expect(await Promise.allSettled([call])).toMatchObject([{ status: 'rejected' }]);
  });

  it('takes the same signal right behind the first one for its echo', async () => {
    const { service, call } = await startWithSlowCall('gRPC');
    service.kill('SIGINT');
    await delay(20);
    service.kill('SIGINT');
    await call;
    expect(await service.ended).toBe(0);
  });

  it.each(['gRPC', 'Connect JSON'] as const)('breaks the call by %s off after the grace period', async (wire) => {
    const { service, call } = await startWithSlowCall(wire, { KEY_CACHE_TTL: '20s', SHUTDOWN_GRACE: '1500ms' });
    const signalled = performance.now();
    service.kill('SIGTERM');
    expect(await Promise.allSettled([call])).toMatchObject([{ status: 'rejected' }]);
    expect(performance.now() - signalled).toBeGreaterThan(1_400);
    expect(await service.ended).toBe(0);
    expect(performance.now() - signalled).toBeLessThan(6_000);
    expect(service.stderr()).toContain('calls were still under way after 1500ms, and were broken off');
  });
});

describe('a service with constant load', { timeout: 40_000 }, () => {
  it('stops long before the end of the grace period, and answers what it has taken', async () => {
    const { settings } = sqliteDeployment({ SHUTDOWN_GRACE: '20s' });
    const service = await startReplica(settings);
    const key = await createNamedKey(service.clients.gRPC, 'alias/used');
    const connections = connectTo('service', service);
    await using load = new MacLoad(generateMacs([...connections, ...connections], key.keyId, key.alias), 0);
    await load.until(({ keyArn }) => keyArn === key.arn);
    const start = performance.now();
    service.kill('SIGTERM');
    expect(await service.ended).toBe(0);
    expect(performance.now() - start).toBeLessThan(5_000);
    expect(service.stderr()).not.toContain('broken off');
    await load.until(({ keyArn }) => keyArn === undefined);
  });
});
