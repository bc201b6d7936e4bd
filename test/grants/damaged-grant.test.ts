import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import { GrantPaths } from '../../src/grants/grant-paths.ts';
import { ACCOUNT, openSealerWithDamage, paths } from '../keys/fixture.ts';
import { arnOf, GENERATE_MAC, outcomeOf, RETIRE_GRANT, World } from './world.ts';

const grantPaths = new GrantPaths(paths, ACCOUNT);
const retiringPrincipal = arnOf('billing');

/** A world with a grant of which the records that are named are damaged; `left` tells what is left of its records. */
async function damage(which: (keyId: string, grantId: string) => (path: string) => boolean) {
  const damaged = new Set<string>();
  const world = await World.start({}, openSealerWithDamage(damaged));
  const { keyId } = world;
  const { grantId: kept } = await world.grant({ name: 'kept' });
  const before = await world.store.paths();
  const expiresAt = timestampFromMs(world.clock.now() + 1_000_000);
  const operations = [GENERATE_MAC, RETIRE_GRANT];
  const { grantId, grantToken } = await world.grant({ name: 'n', retiringPrincipal, expiresAt, operations });
  const own = (await world.store.paths()).filter((path) => !before.includes(path));
  const chosen = own.filter(which(keyId, grantId));
  expect(chosen.length).toBeGreaterThan(0);
  for (const path of chosen) damaged.add(path);
  const left = async () => (await world.store.paths()).filter((path) => own.includes(path));
  return { world, keyId, kept, grantId, grantToken, left };
}

const isGrant = (keyId: string, grantId: string) => (path: string) => path === grantPaths.grant(keyId, grantId);
const isCopy = (keyId: string, grantId: string) => (path: string) =>
  path === grantPaths.grantTo(keyId, arnOf('orders'), grantId);

describe('A grant can be revoked', () => {
  it('whose records but its own are damaged', async () => {
    const { world, keyId, kept, grantId, left } = await damage(
      (...of) =>
        (path) =>
          !isGrant(...of)(path),
    );
    await world.as('admin').grants.revokeGrant({ keyId, grantId });
    expect(await left()).toEqual([]);
    expect(await world.listedIds()).toEqual([kept]);
  });

  it('whose own record is damaged: its copy says what it said', async () => {
    const { world, keyId, grantId, left } = await damage(isGrant);
    expect(await world.generate('orders')).toBe('OK');
    await world.as('admin').grants.revokeGrant({ keyId, grantId });
    expect(await left()).toEqual([]);
  });

  it('whose record and copy are damaged', async () => {
    const { world, keyId, grantId, left } = await damage(
      (...of) =>
        (path) =>
          isGrant(...of)(path) || isCopy(...of)(path),
    );
    const { grants } = world.as('admin');
    expect(await outcomeOf(grants.retireGrant({ keyId: world.arn, grantId }))).toBe('KMSInternalException');
    await grants.revokeGrant({ keyId, grantId });
    // What nothing tells of any more goes with its date or its key, or is left out of lists.
    expect((await left()).filter((path) => isGrant(keyId, grantId)(path) || isCopy(keyId, grantId)(path))).toEqual([]);
    expect((await grants.listRetirableGrants({ retiringPrincipal })).grants).toEqual([]);
  });
});

it('A grant whose own record is damaged can be retired by whom its copy names', async () => {
  const { world, grantToken, left } = await damage(isGrant);
  expect(await outcomeOf(world.as('stranger').grants.retireGrant({ grantToken }))).toBe('AccessDeniedException');
  await world.as('billing').grants.retireGrant({ grantToken });
  expect(await left()).toEqual([]);
});

it('A named grant that is damaged is made anew', async () => {
  const { world, keyId, kept } = await damage((key) => (path) => path.startsWith(paths.under(key)));
  const { grantId } = await world.grant({ name: 'n', retiringPrincipal });
  expect(grantId).not.toBe(kept);
  expect(await world.listedIds()).toContain(grantId);
  await world.as('admin').grants.revokeGrant({ keyId, grantId });
});
