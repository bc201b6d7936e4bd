import { describe, expect, it } from 'vitest';
import { StoreUnavailableError } from '../../src/records/record-store.ts';
import { ControlledStore } from '../records/controlled-store.ts';
import { failureOf } from '../support/clients.ts';
import { FakeClock, startService } from '../support/running-service.ts';
import { ARN, macRequest, makeKey, openSealer, openSealerWithDamage, paths } from './fixture.ts';

describe('GenerateMac by alias', () => {
  it('follows what the same replica does to the alias at once', async () => {
    // Polls come too late for this test: the store is exclusive, and nothing waits for them.
    await using running = await startService({ KEY_CACHE_TTL: '5m' });
    const { mac, aliases } = running.clients.gRPC;
    const [one, other] = [await makeKey(running.clients.gRPC), await makeKey(running.clients.gRPC)];
    const request = macRequest('alias/moving');
    const notFound = { exception: 'NotFoundException', message: `Alias ${ARN}alias/moving is not found.` };
    for (let round = 0; round < 5; round++) {
      expect(await failureOf(mac.generateMac(request))).toMatchObject(notFound);
      await aliases.createAlias({ aliasName: 'alias/moving', targetKeyId: one.keyId });
      expect((await mac.generateMac(request)).keyId).toBe(one.arn);
      await aliases.updateAlias({ aliasName: 'alias/moving', targetKeyId: other.keyId });
      expect((await mac.generateMac(request)).keyId).toBe(other.arn);
      await aliases.updateAlias({ aliasName: 'alias/moving', targetKeyId: one.keyId });
      expect((await mac.generateMac(request)).keyId).toBe(one.arn);
      await aliases.deleteAlias({ aliasName: 'alias/moving' });
    }
  });

  it('follows what the same replica does to the key at once', async () => {
    await using running = await startService({ KEY_CACHE_TTL: '5m' });
    const { mac, aliases, keys } = running.clients.gRPC;
    const { keyId, arn } = await makeKey(running.clients.gRPC);
    await aliases.createAlias({ aliasName: 'alias/still', targetKeyId: keyId });
    for (const name of [keyId, arn, 'alias/still', `${ARN}alias/still`]) {
      expect((await mac.generateMac(macRequest(name))).keyId).toBe(arn);
      await keys.disableKey({ keyId });
      expect((await failureOf(mac.generateMac(macRequest(name)))).exception).toBe('DisabledException');
      await keys.enableKey({ keyId });
    }
  });
});

describe('the keys at hand', () => {
  it('are read from the store once, with their alias', async () => {
    await using store = new ControlledStore({ exclusive: true });
    await using running = await startService({}, { store, sealer: openSealer });
    const { mac, aliases } = running.clients.gRPC;
    const { keyId } = await makeKey(running.clients.gRPC);
    await aliases.createAlias({ aliasName: 'alias/hot', targetKeyId: keyId });
    const before = store.counts.getMany;
    for (let n = 0; n < 10; n++) await mac.generateMac(macRequest('alias/hot'));
    // The alias, the key, and the names of the key's aliases.
    expect(store.counts.getMany).toBe(before + 3);
    const metrics = await (await fetch(`http://127.0.0.1:${running.adminPort}/metrics`)).text();
    expect(metrics).toContain('hmacd_key_cache_lookups_total{result="hit"} 9');
    expect(metrics).toContain('hmacd_key_cache_lookups_total{result="miss"} 1');
  });

  it('are not used when the lease has lapsed and the store does not answer', async () => {
    await using store = new ControlledStore();
    const clock = new FakeClock();
    await using running = await startService({ KEY_CACHE_TTL: '1s' }, { store, sealer: openSealer, clock });
    const { mac } = running.clients.gRPC;
    const { keyId } = await makeKey(running.clients.gRPC);
    await mac.generateMac(macRequest(keyId));
    store.before = () => Promise.reject(new StoreUnavailableError('the test says so'));
    clock.advance(999);
    await mac.generateMac(macRequest(keyId));
    clock.advance(1);
    expect(await failureOf(mac.generateMac(macRequest(keyId)))).toMatchObject({
      exception: 'KeyUnavailableException',
      code: 'Unavailable',
      message: 'The store of keys did not answer. You can retry the request.',
    });
    store.before = () => {};
    await mac.generateMac(macRequest(keyId));
  });

  it('a damaged record costs its key an internal error, and no other key anything', async () => {
    const damaged = new Set<string>();
    await using store = new ControlledStore({ exclusive: true });
    await using running = await startService({}, { store, sealer: openSealerWithDamage(damaged) });
    const { mac } = running.clients.gRPC;
    const [bad, good] = [await makeKey(running.clients.gRPC), await makeKey(running.clients.gRPC)];
    damaged.add(paths.key(bad.keyId));
    expect(await failureOf(mac.generateMac(macRequest(bad.keyId)))).toMatchObject({
      exception: 'KMSInternalException',
      code: 'Internal',
      message: 'An internal exception occurred. You can retry the request.',
    });
    await mac.generateMac(macRequest(good.keyId));
    damaged.clear();
    await mac.generateMac(macRequest(bad.keyId));
  });
});
