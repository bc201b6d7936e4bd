import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { DEMO_SEED_FILE } from '../../src/config.ts';
import { AliasSchema } from '../../src/gen/hmacd/store/v1/records_pb.ts';
import { KeyState, Origin } from '../../src/gen/hmacd/v1/key_pb.ts';
import type { Commit } from '../../src/records/record-store.ts';
import { replaceRecord } from '../../src/records/records.ts';
import { ControlledStore } from '../records/controlled-store.ts';
import { failureOf } from '../support/clients.ts';
import { FakeClock, type RunningService, startService } from '../support/running-service.ts';
import {
  ARN,
  DAY,
  deletionOf,
  macRequest,
  makeKey,
  openSealerWithDamage,
  paths,
  recordsOf,
  storedKey,
} from './fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'hmacd-seeder-'));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;

const KEY_ID = '1234abcd-12ab-34cd-56ef-1234567890ab';
const MATERIAL = Buffer.from('0123456789abcdefghijklmnopqrstuv').toString('base64');
const OTHER = Buffer.from('vutsrqponmlkjihgfedcba9876543210').toString('base64');
const known = { key_id: KEY_ID, key_spec: 'HMAC_256', aliases: ['alias/a', 'alias/b'], description: 'planted' };
const named = { key_spec: 'HMAC_256', aliases: ['alias/a', 'alias/b'] };

/** One store, and services that start on it, each with a seed of its own. */
class Garden implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly store = new ControlledStore({ exclusive: true });
  readonly damaged = new Set<string>();

  async plant(...keys: object[]): Promise<RunningService> {
    const path = join(folder, `${++files}.yaml`);
    writeFileSync(path, JSON.stringify({ keys }));
    return await startService(
      { SEED_FILE: path },
      {
        clock: this.clock,
        store: this.store,
        sealer: openSealerWithDamage(this.damaged),
      },
    );
  }

  /** Plants, does something with the service, and stops it. */
  async inService<T>(keys: object[], act: (running: RunningService) => Promise<T>): Promise<T> {
    await using running = await this.plant(...keys);
    return await act(running);
  }

  /** Everything that is stored, as it is, but when keys were last used. */
  async content(): Promise<unknown> {
    return (await this.store.everything()).filter(({ path }) => !path.endsWith('/last-usage'));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.store[Symbol.asyncDispose]();
  }
}

const warnings = (logged: readonly string[]): string[] =>
  logged.map((line) => JSON.parse(line)).flatMap(({ level, msg }) => (level === 40 ? [String(msg)] : []));

const nothing = async (): Promise<void> => {};

describe('a seed', () => {
  it('is planted: key, description, material and aliases', async () => {
    await using garden = new Garden();
    await garden.inService([{ ...known, material_base64: MATERIAL }], async ({ clients }) => {
      const { keys, aliases, mac } = clients.gRPC;
      expect((await keys.describeKey({ keyId: 'alias/b' })).keyMetadata).toMatchObject({
        keyId: KEY_ID,
        description: 'planted',
      });
      const { aliases: listed } = await aliases.listAliases({ keyId: KEY_ID });
      expect(listed.map(({ aliasName }) => aliasName)).toEqual(['alias/a', 'alias/b']);
      // From OpenSSL: printf message | openssl dgst -sha256 -hmac 0123456789abcdefghijklmnopqrstuv
      const answer = await mac.generateMac(macRequest('alias/a'));
      expect(Buffer.from(answer.mac).toString('hex')).toBe(
        '2d4e3a4eecfae278fedaa3e0b4b4f4afaef32893102d9bb0a1b7b6d6768a0dcc',
      );
    });
  });

  it.each([
    ['known by its key ID', known],
    ['known by its alias', named],
    ['with material', { ...known, material_base64: MATERIAL }],
    ['known by its alias, with material', { ...named, material_base64: MATERIAL }],
  ])('%s changes nothing when it is planted again', async (_, key) => {
    await using garden = new Garden();
    await garden.inService([key], nothing);
    const planted = await garden.content();
    await garden.inService([key], nothing);
    await garden.inService([{ ...key, description: 'described anew in the seed' }], nothing);
    expect(await garden.content()).toEqual(planted);
  });

  it('is planted with origin, versions, tags, policy and grants, once', async () => {
    await using garden = new Garden();
    const policy = {
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Principal: '*', Action: 'kms:*', Resource: '*' }],
    };
    const grantee = 'arn:aws:iam::000000000000:role/orders';
    const grants = [
      { name: 'orders', grantee_principal: grantee, retiring_principal: grantee, operations: ['GenerateMac'] },
      { grantee_principal: grantee, operations: ['VerifyMac', 'DescribeKey'] },
    ];
    const rich = { ...known, rotation: 'enabled', tags: { team: 'shop', a: '' }, policy, grants };
    const external = { key_spec: 'HMAC_512', aliases: ['alias/external'], origin: 'EXTERNAL' };
    await garden.inService([rich, external], async ({ clients }) => {
      const { keys, grants: granted, rotation } = clients.gRPC;
      const keyId = KEY_ID;
      const { keyMetadata } = await keys.describeKey({ keyId: 'alias/external' });
      expect(keyMetadata).toMatchObject({ origin: Origin.EXTERNAL, keyState: KeyState.PENDING_IMPORT });
      const { tags } = await keys.listResourceTags({ keyId });
      expect(tags.map(({ tagKey, tagValue }) => [tagKey, tagValue])).toEqual([
        ['a', ''],
        ['team', 'shop'],
      ]);
      expect(JSON.parse((await keys.getKeyPolicy({ keyId })).policy)).toEqual(policy);
      const listed = (await granted.listGrants({ keyId })).grants;
      expect(listed.map(({ name }) => name).toSorted()).toEqual(['', 'orders']);
      expect((await granted.listRetirableGrants({ retiringPrincipal: grantee })).grants).toHaveLength(1);
      await granted.revokeGrant({ keyId, grantId: listed[0]!.grantId });
      expect((await rotation.rotateKeyOnDemand({ keyId })).keyVersion).toBe(2);
    });
    const before = await garden.content();
    await garden.inService([rich, external], async ({ clients }) => {
      expect((await clients.gRPC.grants.listGrants({ keyId: KEY_ID })).grants).toHaveLength(1);
    });
    expect(await garden.content()).toEqual(before);
  });

  it.each([
    [
      'asks for another origin',
      known,
      { ...known, origin: 'EXTERNAL' },
      /^the seed says that the key [0-9a-f-]{36} is of the origin EXTERNAL, and it is not$/,
    ],
    [
      'asks for versions',
      known,
      { ...known, rotation: 'enabled' },
      /^the seed says that the key [0-9a-f-]{36} has versions, and it has none$/,
    ],
    [
      'asks for none any more',
      { ...known, rotation: 'enabled' },
      known,
      /^the seed says that the key [0-9a-f-]{36} has no versions, and it has some$/,
    ],
  ])('that %s than the key is of leaves it as it is, with a warning', async (_, first, second, sentence) => {
    await using garden = new Garden();
    expect(await garden.inService([first], async ({ logged }) => warnings(logged))).toEqual([]);
    const planted = await garden.content();
    const told = await garden.inService([second], async ({ logged }) => warnings(logged));
    expect(told).toEqual([expect.stringMatching(sentence)]);
    expect(await garden.content()).toEqual(planted);
  });

  it('warns when it makes a key whose policy nobody can replace', async () => {
    await using garden = new Garden();
    const Statement = [{ Effect: 'Allow', Principal: '*', Action: 'kms:GenerateMac', Resource: '*' }];
    const locked = { ...known, policy: { Version: '2012-10-17', Statement } };
    for (const told of [[`nobody can ever replace the policy that the seed gives the key ${KEY_ID}`], []]) {
      expect(await garden.inService([locked], async ({ logged }) => warnings(logged))).toEqual(told);
    }
  });

  it.each([
    [{ grantee_principal: 'nobody' }, 'ARN is not valid: nobody'],
    [
      { name: 'a b' },
      "Value 'a b' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$",
    ],
    [
      { name: '' },
      "Value '' at 'name' failed to satisfy constraint: Member must have length greater than or equal to 1",
    ],
    [
      { retiring_principal: '' },
      "Value '' at 'retiringPrincipal' failed to satisfy constraint: Member must have length greater than or equal to 1",
    ],
  ])('with a grant that CreateGrant would refuse (%j) stops the start', async (members, reason) => {
    await using garden = new Garden();
    const grant = {
      grantee_principal: 'arn:aws:iam::000000000000:role/orders',
      operations: ['GenerateMac'],
      ...members,
    };
    await expect(garden.plant({ ...known, grants: [grant] })).rejects.toThrow(
      `the seed cannot grant anything to ${grant.grantee_principal}: ${reason}`,
    );
    expect(await storedKey(garden.store, KEY_ID)).toBeUndefined();
  });

  it('gives a key that it knows the aliases that it has not', async () => {
    await using garden = new Garden();
    await garden.inService([{ ...known, aliases: ['alias/a'] }], nothing);
    const names = await garden.inService([{ ...known, aliases: ['alias/c', 'alias/a'] }], async ({ clients }) => {
      const { aliases } = await clients.gRPC.aliases.listAliases({ keyId: KEY_ID });
      return aliases.map(({ aliasName }) => aliasName);
    });
    expect(names).toEqual(['alias/a', 'alias/c']);
  });

  it('leaves what was done to a key: description, state, a deletion that is pending', async () => {
    await using garden = new Garden();
    await garden.inService([known], async ({ clients }) => {
      const { keys } = clients.gRPC;
      await keys.updateKeyDescription({ keyId: KEY_ID, description: 'by a caller' });
      await keys.disableKey({ keyId: KEY_ID });
    });
    const changed = await garden.content();
    await garden.inService([known], nothing);
    expect(await garden.content()).toEqual(changed);
    await garden.inService([known], async ({ clients }) => {
      await clients.gRPC.keys.scheduleKeyDeletion({ keyId: KEY_ID });
      await clients.gRPC.aliases.deleteAlias({ aliasName: 'alias/b' });
    });
    const pending = await garden.content();
    await garden.inService([known], nothing);
    expect(await garden.content()).toEqual(pending);
  });

  it.each([
    ['known by its key ID', known],
    ['known by its alias', { ...named, aliases: ['alias/b', 'alias/a'] }],
  ])('%s leaves an alias that was moved to another key', async (_, key) => {
    await using garden = new Garden();
    const moved = await garden.inService([key], async ({ clients }) => {
      const other = await makeKey(clients.gRPC);
      await clients.gRPC.aliases.updateAlias({ aliasName: 'alias/a', targetKeyId: other.keyId });
      return other;
    });
    const before = await garden.content();
    await garden.inService([key], async ({ clients }) => {
      expect((await clients.gRPC.mac.generateMac(macRequest('alias/a'))).keyId).toBe(moved.arn);
    });
    expect(await garden.content()).toEqual(before);
  });

  it('leaves a key that was destroyed destroyed, and gives its ID and aliases to nothing', async () => {
    await using garden = new Garden();
    const key = { ...known, material_base64: MATERIAL };
    await garden.inService([key], async ({ clients }) => {
      await clients.gRPC.keys.scheduleKeyDeletion({ keyId: KEY_ID, pendingWindowInDays: 7 });
    });
    garden.clock.advance(7 * DAY);
    expect(await deletionOf(garden.store, garden.clock).deletion.sweep()).toBe(1);
    const destroyed = await garden.content();
    await garden.inService([key], nothing);
    expect(await garden.content()).toEqual(destroyed);
  });

  it('does not bring back a key whose window has ended and that was not swept yet', async () => {
    await using garden = new Garden();
    await garden.inService([known], async ({ clients }) => {
      await clients.gRPC.keys.scheduleKeyDeletion({ keyId: KEY_ID, pendingWindowInDays: 7 });
    });
    garden.clock.advance(7 * DAY);
    await garden.inService([known], nothing);
    expect(await storedKey(garden.store, KEY_ID)).toBeUndefined();
    expect((await garden.store.paths()).filter((path) => path.includes('alias'))).toEqual([]);
  });

  it.each([
    [
      'spec, of a key ID',
      known,
      { ...known, key_spec: 'HMAC_512' },
      /^the seed says that the key 1234abcd-12ab-34cd-56ef-1234567890ab is of the spec HMAC_512, and it is not$/,
    ],
    [
      'material',
      { ...known, material_base64: MATERIAL },
      { ...known, material_base64: OTHER },
      /^the seed gives the key 1234abcd-12ab-34cd-56ef-1234567890ab other material than it has$/,
    ],
    [
      'material than its random one',
      known,
      { ...known, material_base64: OTHER },
      /^the seed gives the key [0-9a-f-]{36} other material than it has$/,
    ],
  ])('of another %s stops the start, and changes nothing', async (_, first, second, sentence) => {
    await using garden = new Garden();
    await garden.inService([first], nothing);
    const planted = await garden.content();
    await expect(garden.plant(second)).rejects.toThrow(sentence);
    await expect(garden.plant(second)).rejects.not.toThrow(new RegExp(OTHER.slice(0, 8)));
    expect(await garden.content()).toEqual(planted);
  });

  it.each([
    ['spec', { key_spec: 'HMAC_224' }, 'says that the key KEY is of the spec HMAC_224, and it is not'],
    ['material', { material_base64: OTHER }, 'gives the key KEY other material than it has'],
  ])('of another %s is only warned of where a caller may have given its alias to another key', async (_, is, what) => {
    await using garden = new Garden();
    const { keyId } = await garden.inService([{ ...named, aliases: ['alias/a'] }], async ({ clients }) => {
      const other = await makeKey(clients.gRPC);
      await clients.gRPC.aliases.deleteAlias({ aliasName: 'alias/a' });
      await clients.gRPC.aliases.createAlias({ aliasName: 'alias/a', targetKeyId: other.keyId });
      return other;
    });
    const before = await garden.content();
    await garden.inService([{ ...named, aliases: ['alias/a', 'alias/b'], ...is }], async ({ logged }) => {
      expect(warnings(logged)).toEqual([
        `the seed ${what.replace('KEY', keyId)}; it is left as it is, and so are the other aliases that the seed gives it`,
      ]);
    });
    expect(await garden.content()).toEqual(before);
  });

  it('gives no other alias to a key to which its first alias was moved', async () => {
    await using garden = new Garden();
    const key = { ...named, aliases: ['alias/a', 'alias/b'] };
    await garden.inService([key], async ({ clients }) => {
      const other = await makeKey(clients.gRPC);
      garden.clock.advance(1);
      await clients.gRPC.aliases.updateAlias({ aliasName: 'alias/a', targetKeyId: other.keyId });
      await clients.gRPC.aliases.deleteAlias({ aliasName: 'alias/b' });
    });
    const before = await garden.content();
    await garden.inService([key], async ({ logged }) => {
      expect(warnings(logged)).toEqual([`alias/a was moved to another key: the seed's alias/b is not made`]);
    });
    expect(await garden.content()).toEqual(before);
  });

  it('gives no other alias to a key whose first alias is moved meanwhile', async () => {
    await using garden = new Garden();
    const other = await garden.inService([named], async ({ clients }) => {
      await clients.gRPC.aliases.deleteAlias({ aliasName: 'alias/b' });
      return await makeKey(clients.gRPC);
    });
    garden.clock.advance(1);
    const now = timestampFromMs(garden.clock.now());
    garden.store.before = async (method, commit) => {
      if (method !== 'commit' || !(commit as Commit).put.some(({ path }) => path === paths.alias('alias/b'))) return;
      garden.store.before = () => {};
      const records = recordsOf(garden.store, garden.clock);
      const alias = (await records.get(AliasSchema, paths.alias('alias/a')))!;
      const moved = { ...alias.message, targetKeyId: other.keyId, lastUpdatedDate: now };
      await records.commit([replaceRecord(alias, AliasSchema, moved)], 'adds');
    };
    await garden.inService([named], async ({ clients }) => {
      expect((await failureOf(clients.gRPC.mac.generateMac(macRequest('alias/b')))).exception).toBe(
        'NotFoundException',
      );
      expect((await clients.gRPC.mac.generateMac(macRequest('alias/a'))).keyId).toBe(other.arn);
    });
  });

  it('makes a new key at once in the place of one whose window ended while the service was stopped', async () => {
    await using garden = new Garden();
    const former = await garden.inService([named], async ({ clients }) => {
      const { keyMetadata } = await clients.gRPC.keys.describeKey({ keyId: named.aliases[0]! });
      await clients.gRPC.keys.scheduleKeyDeletion({ keyId: keyMetadata!.keyId, pendingWindowInDays: 7 });
      return keyMetadata!;
    });
    garden.clock.advance(7 * DAY);
    await garden.inService([named], async ({ clients }) => {
      const { keyId } = await clients.gRPC.mac.generateMac(macRequest(named.aliases[0]!));
      expect(keyId).not.toBe(former.arn);
    });
  });

  it('takes the place of an alias whose deletion was broken off half-way', async () => {
    await using garden = new Garden();
    await garden.inService([named], async ({ clients }) => {
      garden.store.before = (method, commit) => {
        const { remove } = commit as Commit;
        if (method === 'commit' && remove.includes(paths.alias(named.aliases[0]!))) throw new Error('the test says so');
      };
      await failureOf(clients.gRPC.aliases.deleteAlias({ aliasName: named.aliases[0]! }));
      garden.store.before = () => {};
    });
    await garden.inService([named], async ({ clients }) => {
      expect((await clients.gRPC.mac.generateMac(macRequest(named.aliases[0]!))).mac.length).toBe(32);
    });
  });

  it('of another spec stops the start also while its key is pending deletion', async () => {
    await using garden = new Garden();
    await garden.inService([known], async ({ clients }) => {
      await clients.gRPC.keys.scheduleKeyDeletion({ keyId: KEY_ID });
    });
    await expect(garden.plant({ ...known, key_spec: 'HMAC_512' })).rejects.toThrow(
      / is of the spec HMAC_512, and it is not$/,
    );
  });

  it('does not stop the start for a record that is damaged: it costs its key, and not the others', async () => {
    await using garden = new Garden();
    await garden.inService([known], nothing);
    garden.damaged.add(paths.key(KEY_ID));
    const before = await garden.content();
    await garden.inService([known], nothing);
    expect(await garden.content()).toEqual(before);
    await garden.inService([known, { ...named, aliases: ['alias/c'] }], async (running) => {
      await running.clients.gRPC.mac.generateMac(macRequest('alias/c'));
      expect(running.logged.join('')).toContain(paths.key(KEY_ID));
    });
  });

  it('that comes with the program gives a key to try it with', async () => {
    await using running = await startService({ SEED_FILE: DEMO_SEED_FILE });
    const answer = await running.clients.gRPC.mac.generateMac(macRequest('alias/demo'));
    expect(answer.mac.length).toBe(32);
    expect(answer.keyId.startsWith(`${ARN}key/`)).toBe(true);
  });
});
