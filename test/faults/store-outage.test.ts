import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { describe, expect, inject, it, onTestFinished, vi } from 'vitest';
import { KeySpec, KeyUsage } from '../../src/gen/hmacd/v1/key_pb.ts';
import { failureOf } from '../support/clients.ts';
import { redisDeployment, startReplica, storeAt } from '../support/deployment.ts';
import { healthOf, readinessOf } from '../support/health.ts';
import { type Link, startLink } from '../support/link.ts';
import { connectTo, generateMacs, verifyMacs } from '../support/mac-connections.ts';
import { MacLoad } from '../support/mac-load.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { createNamedKey } from './revocation.ts';

const TTL = 1_000;
const NEW_KEY = { keySpec: KeySpec.HMAC_256, keyUsage: KeyUsage.GENERATE_VERIFY_MAC };

/** The ways in which a store goes away. */
const OUTAGES: Readonly<Record<string, (link: Link) => void>> = {
  'ends its connections': (link) => link.cut('end'),
  'resets its connections': (link) => link.cut('reset'),
  'is silent': (link) => link.silence(),
};

/** A replica whose way to the store can fail, and another one whose way does not. */
async function startOnLink() {
  const { settings } = redisDeployment({ KEY_CACHE_TTL: `${TTL}ms` });
  const link = await startLink(inject('redis')!.shared);
  onTestFinished(() => link[Symbol.asyncDispose]());
  const other = await startReplica(settings);
  const replica = await startReplica({ ...settings, STORE: storeAt(link) });
  const kept = await createNamedKey(other.clients.gRPC, 'alias/kept');
  const disabled = await createNamedKey(other.clients.gRPC, 'alias/disabled');
  const connections = connectTo('replica', replica);
  const calls = [kept, disabled].flatMap((key) => [
    ...generateMacs(connections, key.keyId, key.alias),
    ...verifyMacs(connections, key.mac, key.keyId, key.alias),
  ]);
  return { link, other, replica, kept, disabled, calls };
}

describe.skipIf(inject('redis') === undefined)('when the Redis store', { timeout: 60_000 }, () => {
  it.each(Object.keys(OUTAGES))(
    '%s, MACs go on until the lease ends, then fail, and are right when it is back',
    async (outage) => {
      const { link, other, replica, kept, disabled, calls } = await startOnLink();
      const arns = [kept.arn, disabled.arn];
      await using load = new MacLoad(calls, 20);
      await load.until(({ keyArn }) => arns.includes(keyArn!));

      const start = performance.now();
      OUTAGES[outage]!(link);
      await delay(TTL / 2);
      expect(load.sentAfter(start).filter(({ keyArn }) => keyArn !== undefined).length).toBeGreaterThan(20);
      await other.clients.gRPC.keys.disableKey({ keyId: disabled.keyId });
      const answered = performance.now();
      await load.until(({ exception }) => exception === 'KeyUnavailableException', 20_000);
      expect(load.sentAfter(start + TTL).filter(({ keyArn }) => keyArn !== undefined)).toEqual([]);

      link.mend();
      const expected = ({
        name,
        keyArn,
        exception,
      }: {
        name: string;
        keyArn?: string | undefined;
        exception?: string | undefined;
      }) =>
        name.includes(disabled.keyId) || name.includes(disabled.alias)
          ? exception === 'DisabledException'
          : keyArn === kept.arn;
      await load.until(expected, 20_000);
      expect(load.sentAfter(answered).filter(({ keyArn }) => keyArn === disabled.arn)).toEqual([]);
      await vi.waitFor(async () => expect(await healthOf(replica.grpcPort)).toBe('SERVING'), 5_000);
      expect(await readinessOf(replica.adminPort)).toBe(200);
      await replica.clients.gRPC.keys.createKey(NEW_KEY);
    },
  );

  it.each(Object.keys(OUTAGES))('%s, the replica is not ready, and changes fail in time', async (outage) => {
    const { link, replica, kept } = await startOnLink();
    expect(await healthOf(replica.grpcPort)).toBe('SERVING');
    expect(await readinessOf(replica.adminPort)).toBe(200);
    OUTAGES[outage]!(link);
    const start = performance.now();
    const { keys, aliases } = replica.clients.gRPC;
    const failures = await Promise.all(
      [
        keys.createKey(NEW_KEY),
        keys.disableKey({ keyId: kept.keyId }),
        keys.describeKey({ keyId: kept.keyId }),
        keys.listKeys({}),
        aliases.deleteAlias({ aliasName: kept.alias }),
      ].map(failureOf),
    );
    for (const failure of failures) {
      expect(failure).toMatchObject({ code: 'Unavailable', exception: 'KeyUnavailableException' });
    }
    expect(performance.now() - start).toBeLessThan(10_000);
    await vi.waitFor(async () => expect(await healthOf(replica.grpcPort)).toBe('NOT_SERVING'), 5_000);
    expect(await readinessOf(replica.adminPort)).toBe(503);
    expect(await (await fetch(`http://127.0.0.1:${replica.adminPort}/metrics`)).text()).toMatch(
      /^hmacd_store_available 0$/m,
    );
  });

  it('is flushed, nothing is taken for gone', async () => {
    const server = await startRedisServer();
    onTestFinished(() => server.stop());
    const replica = await startReplica(redisDeployment({ KEY_CACHE_TTL: `${TTL}ms` }, server).settings);
    const key = await createNamedKey(replica.clients.gRPC, 'alias/used');
    await using load = new MacLoad(generateMacs(connectTo('replica', replica), key.keyId, key.alias), 20);
    await load.until(({ keyArn }) => keyArn === key.arn);
    const redis = new Redis({ host: server.host, port: server.port });
    onTestFinished(() => redis.disconnect());
    await redis.flushall();
    await load.until(({ exception }) => exception === 'KeyUnavailableException');
    expect(
      load
        .sentAfter(0)
        .filter(({ keyArn, exception }) => keyArn !== key.arn && exception !== 'KeyUnavailableException'),
    ).toEqual([]);
    const { keys } = replica.clients.gRPC;
    expect((await failureOf(keys.describeKey({ keyId: key.keyId }))).exception).toBe('KeyUnavailableException');
    expect((await failureOf(keys.createKey(NEW_KEY))).exception).toBe('KeyUnavailableException');
    expect(await readinessOf(replica.adminPort)).toBe(503);
  });
});
