import { beforeEach, describe, expect, inject, it, onTestFinished } from 'vitest';
import { failureOf } from '../support/clients.ts';
import { type Deployment, redisDeployment, sqliteDeployment } from '../support/deployment.ts';
import { connectTo, generateMacs, verifyMacs } from '../support/mac-connections.ts';
import { ask } from '../support/mac-load.ts';
import { type RunningService, startService } from '../support/running-service.ts';
import { createNamedKey, type NamedKey } from './revocation.ts';
import { DAMAGES, redisVault, sqliteVault, turnBit, type Vault } from './stored-records.ts';

const STORES = [
  { store: 'SQLite', deploy: () => sqliteDeployment(), vaultOf: sqliteVault, skip: false },
  {
    store: 'Redis',
    deploy: () => redisDeployment({ KEY_CACHE_TTL: '300ms' }),
    vaultOf: redisVault,
    skip: inject('redis') === undefined,
  },
];

/** What a key's MACs end in, over several connections: the ARN of the key that answers, or an exception. */
async function outcomesOf(service: RunningService, { mac }: NamedKey, ...names: string[]): Promise<unknown[]> {
  const connections = connectTo('service', service);
  const calls = [...generateMacs(connections, ...names), ...verifyMacs(connections, mac, ...names)];
  const answers = await Promise.all(calls.map(ask));
  return [...new Set(answers.map(({ keyArn, exception }) => keyArn ?? exception))];
}

async function countDamagedRecords({ adminPort }: RunningService): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
  return Number(/^hmacd_damaged_records_total (\d+)$/m.exec(text)?.[1]);
}

describe.each(STORES)('when, on $store, the record', ({ deploy, vaultOf, skip }) => {
  let deployment: Deployment;
  let vault: Vault;
  let [one, damaged, last] = [] as NamedKey[] as [NamedKey, NamedKey, NamedKey];
  const keyPath = ({ keyId }: NamedKey) => `${deployment.accountId}/key/${keyId}`;

  async function start(settings: Readonly<Record<string, string>> = {}): Promise<RunningService> {
    const service = await startService({ ...deployment.settings, ...settings });
    onTestFinished(() => service[Symbol.asyncDispose]());
    return service;
  }

  beforeEach(async () => {
    if (skip) return;
    deployment = deploy();
    vault = vaultOf(deployment);
    await using service = await startService(deployment.settings);
    const keys: NamedKey[] = [];
    for (const name of ['one', 'two', 'three']) keys.push(await createNamedKey(service.clients.gRPC, `alias/${name}`));
    [one, damaged, last] = keys as typeof keys & [NamedKey, NamedKey, NamedKey];
  });

  /** Demands that every other key is as it was. */
  async function expectOthersUntouched(service: RunningService): Promise<void> {
    for (const key of [one, last]) expect(await outcomesOf(service, key, key.keyId, key.alias)).toEqual([key.arn]);
    await createNamedKey(service.clients.gRPC, 'alias/new');
  }

  it.skipIf(skip).each(Object.keys(DAMAGES))('of a key %s, that key alone is lost', async (damage) => {
    const path = keyPath(damaged);
    await vault.write(path, DAMAGES[damage]!(await vault.read(path), await vault.read(keyPath(one))));
    const service = await start();
    const { keys, aliases } = service.clients['Connect JSON'];
    const calls = connectTo('service', service).slice(0, 1);
    const broken = [
      ...generateMacs(calls, damaged.keyId, damaged.alias),
      ...verifyMacs(calls, damaged.mac, damaged.keyId, damaged.alias),
    ];
    for (const call of broken) expect((await ask(call)).exception).toBe('KMSInternalException');
    const others = await Promise.all(
      [
        keys.describeKey({ keyId: damaged.keyId }),
        keys.disableKey({ keyId: damaged.keyId }),
        keys.scheduleKeyDeletion({ keyId: damaged.keyId, pendingWindowInDays: 7 }),
        aliases.createAlias({ aliasName: 'alias/other', targetKeyId: damaged.keyId }),
      ].map(failureOf),
    );
    expect(new Set(others.map(({ exception }) => exception))).toEqual(new Set(['KMSInternalException']));
    expect(await countDamagedRecords(service)).toBe(broken.length + others.length);
    const lines = service.logged.filter((line) => line.includes(`the record at ${path} does not open`));
    expect(lines.length).toBe(broken.length + others.length);
    expect((await keys.listKeys({})).keys.map(({ keyId }) => keyId)).toContain(damaged.keyId);
    expect((await aliases.listAliases({})).aliases).toHaveLength(3);
    // An alias can be taken from a key that is lost.
    await aliases.deleteAlias({ aliasName: damaged.alias });
    await expectOthersUntouched(service);
    expect(service.fatal).toEqual([]);
  });

  it.skipIf(skip)('of a key is removed, that key alone is not found', async () => {
    await vault.remove(keyPath(damaged));
    const service = await start();
    const calls = connectTo('service', service).slice(0, 1);
    for (const call of generateMacs(calls, damaged.keyId, damaged.alias)) {
      expect((await ask(call)).exception).toBe('NotFoundException');
    }
    const { keys } = await service.clients.gRPC.keys.listKeys({});
    expect(keys.map(({ keyId }) => keyId).toSorted()).toEqual([one.keyId, last.keyId].toSorted());
    await expectOthersUntouched(service);
  });

  it.skipIf(skip)('of an alias is damaged, that alias alone is lost', async () => {
    const path = `${deployment.accountId}/${damaged.alias}`;
    await vault.write(path, await vault.read(`${deployment.accountId}/${one.alias}`));
    const service = await start();
    const { keys, aliases } = service.clients.gRPC;
    const calls = connectTo('service', service).slice(0, 1);
    for (const call of generateMacs(calls, damaged.alias)) {
      expect((await ask(call)).exception).toBe('KMSInternalException');
    }
    expect(await outcomesOf(service, damaged, damaged.keyId)).toEqual([damaged.arn]);
    await keys.describeKey({ keyId: damaged.keyId });
    expect((await aliases.listAliases({ keyId: one.keyId })).aliases).toHaveLength(1);
    await expectOthersUntouched(service);
  });

  it.skipIf(skip)('of an alias is damaged, ListAliases lists the others', async () => {
    const path = `${deployment.accountId}/${damaged.alias}`;
    await vault.write(path, turnBit(await vault.read(path), 100));
    const { clients, logged } = await start();
    const { aliases } = await clients.gRPC.aliases.listAliases({});
    expect(aliases.map(({ aliasName }) => aliasName)).toEqual(expect.arrayContaining([one.alias, last.alias]));
    expect(logged.join('')).toContain(`the record at ${path} does not open`);
  });

  it.skipIf(skip)('of the names of a key is damaged, its MACs go on', async () => {
    const path = `${deployment.accountId}/under/${damaged.keyId}/aliases`;
    await vault.write(path, turnBit(await vault.read(path), 100));
    const service = await start();
    expect(await outcomesOf(service, damaged, damaged.keyId, damaged.alias)).toEqual([damaged.arn]);
    await expectOthersUntouched(service);
  });

  it.skipIf(skip)('of a seeded key is damaged, the service starts all the same', async () => {
    const seeded = { SEED_FILE: new URL('../../src/keys/demo-seed.yaml', import.meta.url).pathname };
    await using before = await startService({ ...deployment.settings, ...seeded });
    const { keyMetadata } = await before.clients.gRPC.keys.describeKey({ keyId: 'alias/demo' });
    await before[Symbol.asyncDispose]();
    const path = `${deployment.accountId}/key/${keyMetadata!.keyId}`;
    await vault.write(path, turnBit(await vault.read(path), 100));
    const service = await start(seeded);
    expect(service.logged.join('')).toContain(`the record at ${path} does not open`);
    await expectOthersUntouched(service);
  });

  it.skipIf(skip)('of the deployment is damaged, the start is refused', async () => {
    const path = `${deployment.accountId}/deployment`;
    await vault.write(path, turnBit(await vault.read(path), 100));
    await expect(start()).rejects.toThrow(/^the store is damaged \(the record at \S+ does not open: it was changed/);
  });
});
