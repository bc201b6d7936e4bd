import { describe, expect, it } from 'vitest';
import { ControlledStore } from '../records/controlled-store.ts';
import { failureOf } from '../support/clients.ts';
import { FakeClock, startService } from '../support/running-service.ts';
import { ARN, DAY, macRequest, makeKey, openSealer, paths } from './fixture.ts';

describe('an alias', () => {
  it.each(['CreateAlias', 'UpdateAlias'] as const)(
    'is not given by %s to a key whose deletion is scheduled meanwhile',
    async (operation) => {
      await using store = new ControlledStore({ exclusive: true });
      await using running = await startService({}, { store, sealer: openSealer });
      const { keys, aliases } = running.clients.gRPC;
      const { keyId, arn } = await makeKey(running.clients.gRPC);
      const other = await makeKey(running.clients.gRPC);
      await aliases.createAlias({ aliasName: 'alias/other', targetKeyId: other.keyId });
      store.before = async (method) => {
        if (method !== 'commit') return;
        // It was decided that the key may have the alias, and nothing is written yet.
        store.before = () => {};
        await keys.scheduleKeyDeletion({ keyId });
      };
      const call = {
        CreateAlias: () => aliases.createAlias({ aliasName: 'alias/new', targetKeyId: keyId }),
        UpdateAlias: () => aliases.updateAlias({ aliasName: 'alias/other', targetKeyId: keyId }),
      }[operation];
      expect(await failureOf(call())).toMatchObject({
        exception: 'KMSInvalidStateException',
        message: `${arn} is pending deletion.`,
      });
      expect((await aliases.listAliases({ keyId })).aliases).toEqual([]);
      expect((await aliases.listAliases({})).aliases).toMatchObject([{ targetKeyId: other.keyId }]);
    },
  );

  it('that is given, moved and deleted by several at the same time is never both there and not there', async () => {
    await using store = new ControlledStore({ exclusive: true });
    // Every answer takes a turn, so that the calls come between each other.
    store.after = () => new Promise((resolve) => setImmediate(resolve));
    await using running = await startService({}, { store, sealer: openSealer });
    const { aliases } = running.clients.gRPC;
    const keys = await Promise.all([1, 2, 3].map(() => makeKey(running.clients.gRPC)));
    const aliasName = 'alias/fought-over';
    for (let round = 0; round < 10; round++) {
      await Promise.allSettled(
        keys.flatMap(({ keyId }) => [
          aliases.createAlias({ aliasName, targetKeyId: keyId }),
          aliases.updateAlias({ aliasName, targetKeyId: keyId }),
          aliases.deleteAlias({ aliasName }),
        ]),
      );
      const { aliases: all } = await aliases.listAliases({});
      const owners = await Promise.all(keys.map(async ({ keyId }) => (await aliases.listAliases({ keyId })).aliases));
      expect(owners.flat().map(({ targetKeyId }) => targetKeyId)).toEqual(all.map(({ targetKeyId }) => targetKeyId));
      // What each key says of its aliases and what the aliases say of their keys are records of their own.
      const kept = (await store.paths()).filter((path) => path.endsWith('/aliases'));
      expect(kept.length).toBe(all.length);
    }
  });

  it.each(['UpdateAlias', 'DeleteAlias'] as const)(
    'is not taken by %s from a key whose policy forbids it meanwhile',
    async (operation) => {
      await using store = new ControlledStore({ exclusive: true });
      await using running = await startService({}, { store, sealer: openSealer });
      const { keys, aliases } = running.clients.gRPC;
      const [key, other] = [await makeKey(running.clients.gRPC), await makeKey(running.clients.gRPC)];
      await aliases.createAlias({ aliasName: 'alias/a', targetKeyId: key.keyId });
      const policy = JSON.stringify({ Statement: { Effect: 'Deny', Principal: '*', Action: '*', Resource: '*' } });
      store.before = async (method) => {
        if (method !== 'commit') return;
        store.before = () => {};
        await keys.putKeyPolicy({ keyId: key.keyId, policy, bypassPolicyLockoutSafetyCheck: true });
      };
      const call = {
        UpdateAlias: () => aliases.updateAlias({ aliasName: 'alias/a', targetKeyId: other.keyId }),
        DeleteAlias: () => aliases.deleteAlias({ aliasName: 'alias/a' }),
      }[operation];
      expect((await failureOf(call())).exception).toBe('AccessDeniedException');
      expect((await aliases.listAliases({})).aliases).toMatchObject([{ targetKeyId: key.keyId }]);
    },
  );

  it('whose key has ended is not there to be moved', async () => {
    const clock = new FakeClock();
    await using running = await startService({}, { clock });
    const { keys, aliases } = running.clients.gRPC;
    const [key, other] = [await makeKey(running.clients.gRPC), await makeKey(running.clients.gRPC)];
    await aliases.createAlias({ aliasName: 'alias/a', targetKeyId: key.keyId });
    await keys.scheduleKeyDeletion({ keyId: key.keyId, pendingWindowInDays: 7 });
    clock.advance(7 * DAY);
    const refusal = await failureOf(aliases.updateAlias({ aliasName: 'alias/a', targetKeyId: other.keyId }));
    expect(refusal.message).toBe(`Alias ${ARN}alias/a is not found.`);
  });

  it('that is moved while its key is read makes no MAC with the key it had', async () => {
    await using store = new ControlledStore({ exclusive: true });
    await using running = await startService({}, { store, sealer: openSealer });
    const { aliases, mac } = running.clients.gRPC;
    const [key, other] = [await makeKey(running.clients.gRPC), await makeKey(running.clients.gRPC)];
    await aliases.createAlias({ aliasName: 'alias/a', targetKeyId: key.keyId });
    store.after = async (method, argument) => {
      if (method !== 'getMany' || !(argument as string[]).includes(paths.key(key.keyId))) return;
      store.after = () => {};
      await aliases.updateAlias({ aliasName: 'alias/a', targetKeyId: other.keyId });
    };
    expect((await mac.generateMac(macRequest('alias/a'))).keyId).toBe(other.arn);
  });
});
