import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { KeySpec, KeyUsage } from '../../src/gen/hmacd/v1/key_pb.ts';
import { GrantOperation } from '../../src/gen/hmacd/v1/grant_pb.ts';
import { ControlledStore } from '../records/controlled-store.ts';
import { failureOf, WIRES } from '../support/clients.ts';
import { temporaryFolder } from '../support/deployment.ts';
import { FakeClock, type RunningService, startService } from '../support/running-service.ts';
import { DAY, deletionOf, makeKey, openSealer, paths } from './fixture.ts';

interface World {
  readonly clock: FakeClock;
  readonly store: ControlledStore;
  readonly running: RunningService;
}

/** A service of some quotas, by the names of their variables, that ends with the test. */
async function start(quotas: Readonly<Record<string, string>>): Promise<World> {
  const clock = new FakeClock();
  const store = new ControlledStore({ exclusive: true });
  onTestFinished(() => store[Symbol.asyncDispose]());
  const running = await startService(quotas, { clock, store, sealer: openSealer });
  onTestFinished(() => running[Symbol.asyncDispose]());
  return { clock, store, running };
}

const HMAC_256 = { keySpec: KeySpec.HMAC_256, keyUsage: KeyUsage.GENERATE_VERIFY_MAC };
const LEFT_TO_ACCOUNT = JSON.stringify({
  Version: '2012-10-17',
  Statement: [
    { Effect: 'Allow', Principal: { AWS: 'arn:aws:iam::000000000000:root' }, Action: 'kms:*', Resource: '*' },
  ],
});

const full = (message: string) => ({ code: 'ResourceExhausted', exception: 'LimitExceededException', message });
const fullOfKeys = (quota: number, usage = quota) =>
  full(`Key quota for this account in this region is ${quota} but the current usage is ${usage}.`);

/** Puts records at the places of that many keys. */
async function fill({ store }: World, count: number): Promise<void> {
  for (let left = count; left > 0; left -= 500) {
    const put = Array.from({ length: Math.min(left, 500) }, () => ({
      path: paths.key(crypto.randomUUID()),
      version: crypto.randomUUID(),
      value: new Uint8Array(),
    }));
    await store.commit({ expect: [], put, remove: [] });
  }
}

describe('the quota of keys', () => {
  it.each(WIRES)('refuses another key with the text of AWS, over %s, and changes nothing', async (wire) => {
    const { running, store } = await start({ QUOTA_KEYS: '2' });
    const clients = running.clients[wire];
    await makeKey(clients);
    await makeKey(clients);
    const before = await store.everything();
    expect(await failureOf(clients.keys.createKey(HMAC_256))).toMatchObject(fullOfKeys(2));
    expect(await store.everything()).toEqual(before);
  });

  it("is AWS's 100,000, counted by one question to the store, and no record is read for it", async () => {
    const world = await start({});
    await fill(world, 99_999);
    const { counts } = world.store;
    Object.assign(counts, { count: 0, getMany: 0, list: 0, pathsOf: 0, commit: 0 });
    await makeKey(world.running.clients.gRPC);
    expect(counts).toMatchObject({ count: 1, getMany: 0, list: 0, pathsOf: 0, commit: 1 });
    const refused = world.running.clients.gRPC.keys.createKey(HMAC_256);
    expect(await failureOf(refused)).toMatchObject(fullOfKeys(100_000));
    expect(counts).toMatchObject({ getMany: 0, list: 0, commit: 1 });
  });

  it('is looked at last: who may not make keys, or asks for what there is not, is told that', async () => {
    const { running } = await start({ QUOTA_KEYS: '1' });
    const { keys } = running.clients.gRPC;
    await makeKey(running.clients.gRPC);
    const wrong = keys.createKey({ ...HMAC_256, keySpec: KeySpec.RSA_2048 });
    expect(await failureOf(wrong)).toMatchObject({ exception: 'UnsupportedOperationException' });
    const noPolicy = keys.createKey({ ...HMAC_256, policy: 'no policy' });
    expect(await failureOf(noPolicy)).toMatchObject({ exception: 'MalformedPolicyDocumentException' });
  });

  it('counts a key that is pending deletion, disabled or not', async () => {
    const { running, clock } = await start({ QUOTA_KEYS: '2' });
    const { keys } = running.clients.gRPC;
    const { keyId } = await makeKey(running.clients.gRPC);
    const other = await makeKey(running.clients.gRPC);
    await keys.disableKey({ keyId: other.keyId });
    await keys.scheduleKeyDeletion({ keyId, pendingWindowInDays: 7 });
    clock.advance(7 * DAY - 1);
    expect(await failureOf(keys.createKey(HMAC_256))).toMatchObject(fullOfKeys(2));
    await keys.cancelKeyDeletion({ keyId });
    clock.advance(DAY);
    expect(await failureOf(keys.createKey(HMAC_256))).toMatchObject(fullOfKeys(2));
  });

  it.each([
    ['when its window has ended, and nothing is swept away yet', async () => {}],
    ['when it is destroyed', async ({ store, clock }: World) => void (await deletionOf(store, clock).deletion.sweep())],
    [
      'when it is destroyed, and what else there is of it is still to be swept away',
      async ({ store, clock }: World) => {
        // The commit after the one that puts the tombstone.
        let commits = 0;
        store.before = (method) => {
          if (method === 'commit' && ++commits > 1) throw new Error('the sweep ends here');
        };
        const { deletion, failures } = deletionOf(store, clock);
        await deletion.sweep();
        store.before = () => {};
        expect(failures.length).toBe(1);
      },
    ],
  ])('does not count a key %s', async (_, between) => {
    const world = await start({ QUOTA_KEYS: '2' });
    const { keys, aliases } = world.running.clients.gRPC;
    const { keyId } = await makeKey(world.running.clients.gRPC);
    await aliases.createAlias({ aliasName: 'alias/a', targetKeyId: keyId });
    await makeKey(world.running.clients.gRPC);
    await keys.scheduleKeyDeletion({ keyId, pendingWindowInDays: 7 });
    world.clock.advance(7 * DAY);
    await between(world);
    await makeKey(world.running.clients.gRPC);
    expect(await failureOf(keys.createKey(HMAC_256))).toMatchObject(fullOfKeys(2));
    expect((await keys.listKeys({})).keys.length).toBe(2);
  });

  it('tells the usage when it was lowered below it, or passed by the seed', async () => {
    const seed = join(temporaryFolder(), 'seed.yaml');
    const entries = Array.from({ length: 3 }, (_, n) => ({ key_spec: 'HMAC_256', aliases: [`alias/seed-${n}`] }));
    writeFileSync(seed, JSON.stringify({ keys: entries }));
    const { running } = await start({ QUOTA_KEYS: '2', SEED_FILE: seed });
    const { keys } = running.clients.gRPC;
    // The seed is there whatever the quota, and counts.
    expect((await keys.listKeys({})).keys.length).toBe(3);
    expect(await failureOf(keys.createKey(HMAC_256))).toMatchObject(fullOfKeys(2, 3));
  });
});

describe('the quota of aliases', () => {
  it('is what is set, for each key', async () => {
    const { running } = await start({ QUOTA_ALIASES_PER_KEY: '2' });
    const { aliases } = running.clients.gRPC;
    const [one, other] = [await makeKey(running.clients.gRPC), await makeKey(running.clients.gRPC)];
    for (const name of ['a', 'b']) await aliases.createAlias({ aliasName: `alias/${name}`, targetKeyId: one.keyId });
    await aliases.createAlias({ aliasName: 'alias/c', targetKeyId: other.keyId });
    const message = 'Aliases per key quota for this account in this region is 2, current usage is 2.';
    const create = aliases.createAlias({ aliasName: 'alias/d', targetKeyId: one.keyId });
    expect(await failureOf(create)).toMatchObject(full(message));
    const move = aliases.updateAlias({ aliasName: 'alias/c', targetKeyId: one.keyId });
    expect(await failureOf(move)).toMatchObject(full(message));
  });

  it('can be 400, and a key that has as many is destroyed with all of them', async () => {
    const { running, store, clock } = await start({ QUOTA_ALIASES_PER_KEY: '400' });
    const { aliases, keys } = running.clients.gRPC;
    const { keyId } = await makeKey(running.clients.gRPC);
    for (let n = 0; n < 400; n++) await aliases.createAlias({ aliasName: `alias/${n}`, targetKeyId: keyId });
    const one = aliases.createAlias({ aliasName: 'alias/one-more', targetKeyId: keyId });
    expect(await failureOf(one)).toMatchObject({ exception: 'LimitExceededException' });
    await keys.scheduleKeyDeletion({ keyId, pendingWindowInDays: 7 });
    clock.advance(7 * DAY);
    const changes: number[] = [];
    store.before = (method, argument) => {
      if (method === 'commit') changes.push((argument as { expect: unknown[] }).expect.length);
    };
    const { deletion, failures } = deletionOf(store, clock);
    expect([await deletion.sweep(), failures]).toEqual([1, []]);
    expect(Math.max(...changes)).toBeLessThanOrEqual(500);
    expect((await store.paths()).filter((path) => path.startsWith(paths.aliases))).toEqual([]);
  });

  it('does not keep the service from starting when callers have used it up on a key of the seed', async () => {
    const folder = temporaryFolder();
    const keyId = '1234abcd-12ab-34cd-56ef-1234567890ab';
    const seedOf = (...aliases: string[]): string => {
      const path = join(folder, `${aliases.length}.yaml`);
      writeFileSync(path, JSON.stringify({ keys: [{ key_id: keyId, key_spec: 'HMAC_256', aliases }] }));
      return path;
    };
    const store = new ControlledStore({ exclusive: true });
    onTestFinished(() => store[Symbol.asyncDispose]());
    const settings = { QUOTA_ALIASES_PER_KEY: '2' };
    const replacements = { store, sealer: openSealer };
    {
      await using running = await startService({ ...settings, SEED_FILE: seedOf('alias/a') }, replacements);
      await running.clients.gRPC.aliases.createAlias({ aliasName: 'alias/caller', targetKeyId: keyId });
    }
    await using running = await startService({ ...settings, SEED_FILE: seedOf('alias/a', 'alias/b') }, replacements);
    const { aliases } = await running.clients.gRPC.aliases.listAliases({ keyId });
    expect(aliases.map(({ aliasName }) => aliasName)).toEqual(['alias/a', 'alias/b', 'alias/caller']);
  });
});

describe('the quota of grants', () => {
  it('is what is set, for each key', async () => {
    const { running } = await start({ QUOTA_GRANTS_PER_KEY: '2' });
    const { grants } = running.clients.gRPC;
    const granteePrincipal = 'arn:aws:iam::000000000000:role/orders';
    const operations = [GrantOperation.GENERATE_MAC];
    for (const { keyId } of [await makeKey(running.clients.gRPC), await makeKey(running.clients.gRPC)]) {
      const create = async () => await grants.createGrant({ keyId, granteePrincipal, operations });
      await create();
      await create();
      const message = 'Grants per key quota for this account in this region is 2, current usage is 2.';
      expect(await failureOf(create())).toMatchObject(full(message));
    }
  });
});

describe('the quota of the size of a key policy', () => {
  it('is what is set, in bytes, for new keys and for those that are there', async () => {
    const size = LEFT_TO_ACCOUNT.length + 10;
    const { running } = await start({ QUOTA_KEY_POLICY_SIZE: String(size) });
    const { keys } = running.clients.gRPC;
    const longest = LEFT_TO_ACCOUNT + ' '.repeat(10);
    const { keyMetadata } = await keys.createKey({ ...HMAC_256, policy: longest });
    await keys.putKeyPolicy({ keyId: keyMetadata!.keyId, policy: longest });
    const tooLong = full(`The key policy is longer than ${size} bytes.`);
    const put = keys.putKeyPolicy({ keyId: keyMetadata!.keyId, policy: `${longest} ` });
    expect(await failureOf(put)).toMatchObject(tooLong);
    expect(await failureOf(keys.createKey({ ...HMAC_256, policy: `${longest} ` }))).toMatchObject(tooLong);
    // A character outside of ASCII is two bytes.
    const sid = LEFT_TO_ACCOUNT.replace('"Effect"', '"Sid":"é","Effect"');
    const wide = sid + ' '.repeat(size - sid.length);
    expect(await failureOf(keys.createKey({ ...HMAC_256, policy: wide }))).toMatchObject({
      exception: 'LimitExceededException',
    });
  });
});
