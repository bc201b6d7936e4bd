import { Redis } from 'ioredis';
import { beforeEach, describe, expect, inject, it, onTestFinished } from 'vitest';
import { KeySpec, KeyState, KeyUsage } from '../../src/gen/hmacd/v1/key_pb.ts';
import { type Clients, failureOf } from '../support/clients.ts';
import { redisDeployment, storeAt } from '../support/deployment.ts';
import { type RunningService, startService } from '../support/running-service.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';

const TTL = 300;
const NEW_KEY = { keySpec: KeySpec.HMAC_256, keyUsage: KeyUsage.GENERATE_VERIFY_MAC };

describe.skipIf(inject('redis') === undefined)('a change whose reply from Redis is lost', () => {
  let proxy: TcpProxy;
  let service: RunningService;
  let clients: Clients;
  let keyId: string;
  /** How many changes have been applied so far. */
  let countChanges: () => Promise<number>;

  beforeEach(async () => {
    const { shared } = inject('redis')!;
    const { settings, accountId } = redisDeployment({ KEY_CACHE_TTL: `${TTL}ms` });
    proxy = await startTcpProxy(shared);
    onTestFinished(() => proxy.stop());
    service = await startService({ ...settings, STORE: storeAt(proxy) });
    onTestFinished(() => service[Symbol.asyncDispose]());
    clients = service.clients['Connect JSON'];
    const redis = new Redis(shared);
    onTestFinished(() => redis.disconnect());
    countChanges = () => redis.xlen(`hmacd:{${accountId}}:log`);
    keyId = (await clients.keys.createKey(NEW_KEY)).keyMetadata!.keyId;
    await clients.aliases.createAlias({ aliasName: 'alias/there', targetKeyId: keyId });
  });

  async function stateOf(id: string): Promise<KeyState> {
    return (await clients.keys.describeKey({ keyId: id })).keyMetadata!.keyState;
  }

  async function aliasNames(): Promise<string[]> {
    return (await clients.aliases.listAliases({})).aliases.map(({ aliasName }) => aliasName);
  }

  it('CreateKey answers with the one key that it made', async () => {
    const before = await countChanges();
    proxy.cutReplyTo('evalsha');
    const { keyMetadata } = await clients.keys.createKey(NEW_KEY);
    expect(await countChanges()).toBe(before + 1);
    const { keys } = await clients.keys.listKeys({});
    expect(keys.map((key) => key.keyId).toSorted()).toEqual([keyId, keyMetadata!.keyId].toSorted());
  });

  it('CreateAlias does not take its own alias for another one', async () => {
    const before = await countChanges();
    proxy.cutReplyTo('evalsha');
    await clients.aliases.createAlias({ aliasName: 'alias/new', targetKeyId: keyId });
    expect(await countChanges()).toBe(before + 1);
    expect(await aliasNames()).toEqual(['alias/new', 'alias/there']);
  });

  it('DeleteAlias does not miss the alias that it deleted', async () => {
    const before = await countChanges();
    proxy.cutReplyTo('evalsha');
    await clients.aliases.deleteAlias({ aliasName: 'alias/there' });
    // It is marked as deleted, and then the mark goes.
    expect(await countChanges()).toBe(before + 2);
    expect(await aliasNames()).toEqual([]);
  });

  it('DisableKey disables, and answers no sooner than otherwise', async () => {
    const before = await countChanges();
    proxy.cutReplyTo('evalsha');
    const start = performance.now();
    await clients.keys.disableKey({ keyId });
    expect(performance.now() - start).toBeGreaterThan(TTL);
    expect(await countChanges()).toBe(before + 1);
    expect(await stateOf(keyId)).toBe(KeyState.DISABLED);
  });

  it('ScheduleKeyDeletion does not take its own change for another one', async () => {
    const before = await countChanges();
    proxy.cutReplyTo('evalsha');
    const { keyState } = await clients.keys.scheduleKeyDeletion({ keyId, pendingWindowInDays: 7 });
    expect(keyState).toBe(KeyState.PENDING_DELETION);
    expect(await countChanges()).toBe(before + 1);
  });

  it('CreateAlias that comes late is not applied over a change that came in between', async () => {
    const request = proxy.holdRequest('evalsha');
    const created = clients.aliases.createAlias({ aliasName: 'alias/new', targetKeyId: keyId });
    await request.breakConnection();
    await created;
    await clients.aliases.deleteAlias({ aliasName: 'alias/new' });
    await request.release();
    expect(await aliasNames()).toEqual(['alias/there']);
  });

  it('DisableKey fails as unavailable when its outcome stays unknown', async () => {
    const { held } = proxy.holdRequest('evalsha');
    const start = performance.now();
    const failed = failureOf(clients.keys.disableKey({ keyId }));
    await held;
    await proxy.stop();
    expect(await failed).toMatchObject({ code: 'Unavailable', exception: 'KeyUnavailableException' });
    expect(performance.now() - start).toBeLessThan(8_000);
  });
});
