import { describe, expect, it } from 'vitest';
import { ControlledStore } from '../records/controlled-store.ts';
import { failureOf } from '../support/clients.ts';
import { startService } from '../support/running-service.ts';
import { makeKey, openSealer } from './fixture.ts';

const FULL = {
  exception: 'LimitExceededException',
  code: 'ResourceExhausted',
  message: 'Aliases per key quota for this account in this region is 50, current usage is 50.',
};

const namesOf = (count: number): string[] =>
  Array.from({ length: count }, (_, n) => `alias/a-${String(n).padStart(2, '0')}`);

describe('a key', () => {
  it('has at most 50 aliases, and another one when one was deleted', async () => {
    await using running = await startService();
    const { aliases } = running.clients.gRPC;
    const { keyId } = await makeKey(running.clients.gRPC);
    for (const aliasName of namesOf(50)) await aliases.createAlias({ aliasName, targetKeyId: keyId });
    const one = { aliasName: 'alias/one-more', targetKeyId: keyId };
    expect(await failureOf(aliases.createAlias(one))).toMatchObject(FULL);
    expect((await aliases.listAliases({ keyId, limit: 100 })).aliases.map(({ aliasName }) => aliasName)).toEqual(
      namesOf(50),
    );
    await aliases.deleteAlias({ aliasName: 'alias/a-07' });
    await aliases.createAlias(one);
    expect((await aliases.listAliases({ keyId, limit: 100 })).aliases.length).toBe(50);
  });

  it('that has 50 takes no alias of another key, and may give one away', async () => {
    await using running = await startService();
    const { aliases } = running.clients.gRPC;
    const { keyId } = await makeKey(running.clients.gRPC);
    const other = await makeKey(running.clients.gRPC);
    for (const aliasName of namesOf(50)) await aliases.createAlias({ aliasName, targetKeyId: keyId });
    await aliases.createAlias({ aliasName: 'alias/other', targetKeyId: other.keyId });
    const move = { aliasName: 'alias/other', targetKeyId: keyId };
    expect(await failureOf(aliases.updateAlias(move))).toMatchObject(FULL);
    expect((await aliases.listAliases({ keyId: other.keyId })).aliases.length).toBe(1);
    // One that it has already may be moved to where it is.
    await aliases.updateAlias({ aliasName: 'alias/a-00', targetKeyId: keyId });
    await aliases.updateAlias({ aliasName: 'alias/a-00', targetKeyId: other.keyId });
    await aliases.updateAlias(move);
    const { aliases: listed } = await aliases.listAliases({ keyId: other.keyId });
    expect(listed.map(({ aliasName }) => aliasName)).toEqual(['alias/a-00']);
  });

  it.each([
    ['one replica', 1],
    ['two replicas', 2],
  ])('ends with exactly 50 when 60 are given at the same time by %s', async (_, replicas) => {
    await using store = new ControlledStore();
    // Every answer takes a turn, so that the calls come between each other.
    store.after = () => new Promise((resolve) => setImmediate(resolve));
    const settings = { KEY_CACHE_TTL: '100ms' };
    await using first = await startService(settings, { store, sealer: openSealer });
    await using second = await startService(settings, { store, sealer: openSealer });
    const clients = [first, second].slice(0, replicas).map((running) => running.clients.gRPC);
    const { keyId } = await makeKey(clients[0]!);
    const given = await Promise.allSettled(
      namesOf(60).map((aliasName, n) => clients[n % replicas]!.aliases.createAlias({ aliasName, targetKeyId: keyId })),
    );
    const made = namesOf(60).filter((_name, n) => given[n]!.status === 'fulfilled');
    const refused = given.flatMap((one) =>
      one.status === 'rejected' ? [failureOf(Promise.reject(one.reason as Error))] : [],
    );
    expect(made.length).toBe(50);
    for (const failure of await Promise.all(refused)) expect(failure).toMatchObject(FULL);
    const { aliases: ofKey } = await clients[0]!.aliases.listAliases({ keyId, limit: 100 });
    expect(ofKey.map(({ aliasName }) => aliasName)).toEqual(made);
    const { aliases: all } = await clients[0]!.aliases.listAliases({ limit: 100 });
    expect(all.map(({ aliasName }) => aliasName)).toEqual(made);
  });
});
