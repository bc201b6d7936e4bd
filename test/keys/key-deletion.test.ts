import { fromBinary } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import { DestroyedKeySchema } from '../../src/gen/hmacd/store/v1/records_pb.ts';
import { failureOf } from '../support/clients.ts';
import { DeletionWorld, remains } from './deletion-world.ts';
import { ACCOUNT, DAY, macRequest, makeKey, paths, storedKey, turnsDuring } from './fixture.ts';

describe('a key whose deletion is scheduled', () => {
  it('is in use until then, refused until its date, and unknown from its date on, swept or not', async () => {
    await using world = await DeletionWorld.start();
    const { mac, keys } = world.clients;
    const { keyId, arn } = await makeKey(world.clients);
    await mac.generateMac(macRequest(keyId));
    await keys.scheduleKeyDeletion({ keyId, pendingWindowInDays: 7 });
    world.clock.advance(7 * DAY - 1);
    expect((await failureOf(mac.generateMac(macRequest(keyId)))).message).toBe(`${arn} is pending deletion.`);
    world.clock.advance(1);
    const gone = { exception: 'NotFoundException', message: `Key '${arn}' does not exist` };
    expect(await failureOf(mac.generateMac(macRequest(keyId)))).toMatchObject(gone);
    expect(await failureOf(keys.describeKey({ keyId }))).toMatchObject(gone);
    expect(await failureOf(keys.cancelKeyDeletion({ keyId }))).toMatchObject(gone);
    await world.sweep();
    expect(await failureOf(mac.generateMac(macRequest(keyId)))).toMatchObject(gone);
    expect(await failureOf(keys.describeKey({ keyId }))).toMatchObject(gone);
  });

  it('has no aliases that are listed from its date on, swept or not', async () => {
    await using world = await DeletionWorld.start();
    await world.doomKey();
    world.clock.advance(7 * DAY - 1);
    expect((await world.clients.aliases.listAliases({})).aliases.length).toBe(2);
    world.clock.advance(1);
    expect((await world.clients.aliases.listAliases({})).aliases).toEqual([]);
  });

  it('leaves its aliases free to be given from its date on, swept or not', async () => {
    await using world = await DeletionWorld.start();
    const { aliases } = world.clients;
    const { keyId } = await world.doomKey();
    const other = await makeKey(world.clients);
    world.clock.advance(7 * DAY);
    await aliases.createAlias({ aliasName: `alias/${keyId}/a`, targetKeyId: other.keyId });
    await world.sweep();
    const { aliases: listed } = await aliases.listAliases({});
    expect(listed.map(({ targetKeyId }) => targetKeyId)).toEqual([other.keyId]);
  });
});

describe('a key with a damaged record beside it', () => {
  it('is saved by CancelKeyDeletion, whatever the record says of when it ends', async () => {
    await using world = await DeletionWorld.start();
    const { keyId } = await world.doomKey();
    for (const path of await world.store.paths()) if (path.startsWith(paths.pendingDeletions)) world.damaged.add(path);
    expect(world.damaged.size).toBe(1);
    await world.clients.keys.cancelKeyDeletion({ keyId });
    world.clock.advance(8 * DAY);
    expect(await world.sweep()).toBe(0);
    expect(await storedKey(world.store, keyId)).toBeDefined();
  });

  it('is destroyed, although nobody knows the names of its aliases', async () => {
    await using world = await DeletionWorld.start();
    const { keyId } = await world.doomKey();
    world.damaged.add(paths.keyAliases(keyId));
    world.clock.advance(7 * DAY);
    expect(await world.sweep()).toBe(1);
    expect(world.failures).toEqual([]);
    expect(await storedKey(world.store, keyId)).toBeUndefined();
    expect((await world.clients.aliases.listAliases({})).aliases).toEqual([]);
  });

  it('can lose an alias, although nobody knows the names of its others', async () => {
    await using world = await DeletionWorld.start();
    const { aliases, mac } = world.clients;
    const { keyId } = await makeKey(world.clients);
    const other = await makeKey(world.clients);
    for (const aliasName of ['alias/a', 'alias/b']) await aliases.createAlias({ aliasName, targetKeyId: keyId });
    world.damaged.add(paths.keyAliases(keyId));
    await aliases.deleteAlias({ aliasName: 'alias/a' });
    expect((await failureOf(mac.generateMac(macRequest('alias/a')))).exception).toBe('NotFoundException');
    await aliases.updateAlias({ aliasName: 'alias/b', targetKeyId: other.keyId });
    expect((await mac.generateMac(macRequest('alias/b'))).keyId).toBe(other.arn);
  });
});

describe('the sweep', () => {
  it('destroys nothing before the date', async () => {
    await using world = await DeletionWorld.start();
    await world.doomKey();
    const before = await world.store.paths();
    world.clock.advance(7 * DAY - 1);
    expect(await world.sweep()).toBe(0);
    expect(await world.store.paths()).toEqual(before);
  });

  it('leaves nothing of a key but its tombstone', async () => {
    await using world = await DeletionWorld.start();
    const { keyId, material } = await world.doomKey(450);
    world.clock.advance(7 * DAY);
    const before = await world.store.everything();
    expect(before.some(({ value }) => Buffer.from(value).includes(Buffer.from(material)))).toBe(true);
    expect(await world.sweep()).toBe(1);
    expect(await world.store.paths()).toEqual(remains(keyId));
    const after = await world.store.everything();
    expect(after.some(({ value }) => Buffer.from(value).includes(Buffer.from(material)))).toBe(false);
    expect(world.failures).toEqual([]);
    expect(await world.sweep()).toBe(0);
  });

  it('takes an alias whose record is damaged along', async () => {
    await using world = await DeletionWorld.start();
    const { keyId } = await world.doomKey();
    world.damaged.add(paths.alias(`alias/${keyId}/a`));
    world.clock.advance(7 * DAY);
    expect(await world.sweep()).toBe(1);
    expect(await world.store.paths()).toEqual(remains(keyId));
  });

  it('leaves the aliases that were moved away, and everything of other keys', async () => {
    await using world = await DeletionWorld.start();
    const { aliases } = world.clients;
    const { keyId } = await world.doomKey();
    const other = await makeKey(world.clients);
    await aliases.createAlias({ aliasName: 'alias/other', targetKeyId: other.keyId });
    await aliases.updateAlias({ aliasName: `alias/${keyId}/a`, targetKeyId: other.keyId });
    world.clock.advance(7 * DAY);
    await world.sweep();
    const { aliases: listed } = await aliases.listAliases({ keyId: other.keyId });
    expect(listed.map(({ aliasName }) => aliasName)).toEqual([`alias/${keyId}/a`, 'alias/other']);
    expect(await failureOf(world.clients.mac.generateMac(macRequest(`alias/${keyId}/b`)))).toMatchObject({
      exception: 'NotFoundException',
    });
  });

  it('notes in the tombstone when the window ended, however late it comes', async () => {
    await using world = await DeletionWorld.start();
    const { keyId } = await world.doomKey();
    const ended = world.clock.now() + 7 * DAY;
    world.clock.advance(9 * DAY);
    await world.sweep();
    const [tombstone] = await world.store.getMany([paths.destroyedKey(keyId)]);
    const { deletionDate } = fromBinary(DestroyedKeySchema, tombstone!.value);
    expect(timestampMs(deletionDate!)).toBe(ended);
  });

  it('destroys at the date of the last schedule, not of one that was cancelled', async () => {
    await using world = await DeletionWorld.start();
    const { keys } = world.clients;
    const { keyId } = await world.doomKey();
    const other = await world.doomKey();
    await keys.cancelKeyDeletion({ keyId });
    await keys.cancelKeyDeletion({ keyId: other.keyId });
    world.clock.advance(DAY);
    await keys.scheduleKeyDeletion({ keyId, pendingWindowInDays: 7 });
    world.clock.advance(6 * DAY);
    expect(await world.sweep()).toBe(0);
    world.clock.advance(DAY);
    expect(await world.sweep()).toBe(1);
    expect(await storedKey(world.store, keyId)).toBeUndefined();
    expect(await storedKey(world.store, other.keyId)).toBeDefined();
    expect(world.failures).toEqual([]);
  });

  it.each([
    ['cancelled', false],
    ['cancelled and scheduled anew', true],
  ])('spares a key whose deletion was %s in time by a replica whose clock is behind', async (_, anew) => {
    await using world = await DeletionWorld.start();
    const { keys, aliases } = world.clients;
    const { keyId } = await world.doomKey(3);
    world.clock.advance(7 * DAY);
    world.store.after = async (method) => {
      if (method !== 'list') return;
      // The sweep has seen that the window has ended.
      world.store.after = () => {};
      world.clock.advance(-DAY);
      await keys.cancelKeyDeletion({ keyId });
      if (anew) await keys.scheduleKeyDeletion({ keyId, pendingWindowInDays: 7 });
      world.clock.advance(DAY);
    };
    expect(await world.sweep()).toBe(0);
    expect(await storedKey(world.store, keyId)).toBeDefined();
    expect((await aliases.listAliases({ keyId })).aliases.length).toBe(2);
    expect((await world.store.paths()).filter((path) => path.startsWith(paths.under(keyId))).length).toBe(4);
  });

  it('destroys more keys than it reads in one step', async () => {
    await using world = await DeletionWorld.start();
    await Promise.all(Array.from({ length: 205 }, () => world.doomKey()));
    world.clock.advance(7 * DAY);
    expect(await world.sweep()).toBe(205);
    const left = await world.store.paths();
    expect(left.filter((path) => !path.startsWith(`${ACCOUNT}/destroyed/`))).toEqual([
      `${ACCOUNT}/deployment`,
      `${ACCOUNT}/grant-token-key`,
    ]);
  });

  it('lets calls have their turn', async () => {
    await using world = await DeletionWorld.start();
    const put = Array.from({ length: 300 }, (_, n) => ({
      path: paths.pendingDeletion(new Date(world.clock.now()), `key-${n}`),
      version: crypto.randomUUID(),
      value: Buffer.alloc(0),
    }));
    await world.store.commit({ expect: [], put, remove: [] });
    expect(await turnsDuring(() => world.sweep())).toBeGreaterThanOrEqual(300);
    expect(await world.store.list(paths.pendingDeletions, '', 1)).toEqual([]);
  });

  it('reports a key that cannot be destroyed, and destroys the others', async () => {
    await using world = await DeletionWorld.start();
    const doomed = [await world.doomKey(), await world.doomKey(), await world.doomKey()];
    world.damaged.add(paths.key(doomed[1]!.keyId));
    world.clock.advance(7 * DAY);
    expect(await world.sweep()).toBe(2);
    expect(world.failures).toMatchObject([{ name: 'UnsealError' }]);
    world.damaged.clear();
    expect(await world.sweep()).toBe(1);
  });
});
