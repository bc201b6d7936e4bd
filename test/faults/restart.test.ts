import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, inject, it, onTestFinished, vi } from 'vitest';
import type { Clients } from '../support/clients.ts';
import { redisDeployment, sqliteDeployment, startReplica } from '../support/deployment.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { createEndlessly, expectKept, type KeptKey } from './acknowledged-keys.ts';

const STORES = [
  { store: 'SQLite', deployment: sqliteDeployment, skip: false },
  {
    store: 'Redis',
    deployment: () => redisDeployment({ KEY_CACHE_TTL: '100ms' }),
    skip: inject('redis') === undefined,
  },
];
const ROUNDS = 3;

/** Makes keys until the moment comes, and answers what was acknowledged. */
async function createUntil(clients: Clients, moment: Promise<unknown>): Promise<KeptKey[]> {
  const lists = await Promise.all(Array.from({ length: 6 }, (_, writer) => createEndlessly(clients, writer, moment)));
  return lists.flat();
}

/** Demands all of it, in time: on a machine that is slow enough the short lease lapses again and again. */
async function expectAllKept(clients: Clients, kept: readonly KeptKey[]): Promise<void> {
  await vi.waitFor(() => expectKept(clients, kept), 10_000);
}

describe.each(STORES)('on $store', { timeout: 60_000 }, ({ deployment, skip }) => {
  it.skipIf(skip)('keys give the same MACs after a restart', async () => {
    const deployed = deployment();
    const before = await startReplica(deployed.settings);
    const kept = await createUntil(before.clients.gRPC, delay(1_000));
    before.kill('SIGTERM');
    expect(await before.ended).toBe(0);
    const after = await startReplica(deployed.settings);
    expect(kept.length).toBeGreaterThan(5);
    await expectAllKept(after.clients.gRPC, kept);
  });

  it.skipIf(skip)('no acknowledged key, alias or change is lost when the service is killed', async () => {
    const deployed = deployment();
    const kept: KeptKey[] = [];
    const disabled = (): number => kept.filter((key) => key.disabled === true).length;
    // On a busy machine, some rounds end before anything has been taken away.
    for (let round = 0; round < ROUNDS || disabled() <= 5; round++) {
      const service = await startReplica(deployed.settings);
      await expectAllKept(service.clients.gRPC, kept.slice(-50));
      const killed = delay(100 + Math.random() * 400).then(() => service.kill('SIGKILL'));
      kept.push(...(await createUntil(service.clients.gRPC, killed)));
      expect(await service.ended).toBe('SIGKILL');
    }
    await expectAllKept((await startReplica(deployed.settings)).clients.gRPC, kept);
  });
});

describe.skipIf(inject('redis') === undefined)('when Redis is killed', { timeout: 60_000 }, () => {
  it('no acknowledged key, alias or change is lost, and the service goes on when it is back', async () => {
    const server = await startRedisServer();
    onTestFinished(() => server.stop());
    const { clients } = await startReplica(redisDeployment({ KEY_CACHE_TTL: '100ms' }, server).settings);
    const kept: KeptKey[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const killed = delay(100 + Math.random() * 400).then(() => server.kill());
      // It is back before the service gives up what it has sent and got no answer to.
      const back = killed.then(() => server.start());
      kept.push(...(await createUntil(clients.gRPC, back)));
      await expectAllKept(clients.gRPC, kept.slice(-50));
    }
    expect(kept.filter(({ disabled }) => disabled === true).length).toBeGreaterThan(5);
    await expectAllKept(clients.gRPC, kept);
  });
});
