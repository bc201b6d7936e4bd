import { randomBytes, randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { GrantPaths } from '../../src/grants/grant-paths.ts';
import { ACCOUNT, paths as keyPaths } from '../keys/fixture.ts';
import { arnOf, macRequest, outcomeOf, VERIFY_MAC, World } from './world.ts';

/** Gives `orders` that many grants of VerifyMac. */
async function fillGrants(world: World, count: number): Promise<void> {
  const { grantId: sample } = await world.grant({ operations: [VERIFY_MAC] });
  const paths = new GrantPaths(keyPaths, ACCOUNT);
  const [record] = await world.store.getMany([paths.grantTo(world.keyId, arnOf('orders'), sample)]);
  for (let made = 1; made < count; made += 500) {
    const put = Array.from({ length: Math.min(500, count - made) }, () => {
      const path = paths.grantTo(world.keyId, arnOf('orders'), randomBytes(32).toString('hex'));
      return { ...record!, path, version: randomUUID() };
    });
    await world.store.commit({ expect: [], put, remove: [] });
  }
}

it('A read that fails, of grants that a call did not need, ends no process', async () => {
  const world = await World.start();
  // The role's grant is at hand, the session's are not; both sessions are allowed by the role's.
  await world.grant({ granteePrincipal: arnOf('orders') });
  expect(await world.generate('session')).toBe('OK');
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => void unhandled.push(reason);
  process.on('unhandledRejection', note);
  try {
    world.store.before = (_, argument) => {
      if (String(argument).includes(arnOf('otherSession'))) throw new Error('the store broke');
    };
    expect(await world.generate('otherSession')).toBe('OK');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(unhandled).toEqual([]);
    expect(await world.generate('session')).toBe('OK');
  } finally {
    process.off('unhandledRejection', note);
  }
});

it('A grant that is added or taken back does not make those beside it be read again', async () => {
  const world = await World.start();
  const { grantId: kept } = await world.grant();
  expect(await world.generate('orders')).toBe('OK');
  const { list } = world.store.counts;
  const verify = async () => {
    const { mac } = world.as('orders');
    return await outcomeOf(mac.verifyMac({ ...macRequest(world.keyId), mac: new Uint8Array(32) }));
  };
  const { grantId } = await world.grant({ operations: [VERIFY_MAC] });
  expect([await world.generate('orders'), await verify()]).toEqual(['OK', 'KMSInvalidMacException']);
  const { grants } = world.as('admin');
  await grants.revokeGrant({ keyId: world.keyId, grantId });
  expect([await world.generate('orders'), await verify()]).toEqual(['OK', 'AccessDeniedException']);
  await grants.revokeGrant({ keyId: world.keyId, grantId: kept });
  expect([await world.generate('orders'), await verify()]).toEqual(['AccessDeniedException', 'AccessDeniedException']);
  // Each removal lists the tokens of its grant twice.
  expect(world.store.counts.list).toBe(list + 4);
});

it('A principal may have thousands of grants of a key', async () => {
  const world = await World.start();
  await fillGrants(world, 5_000);
  expect(await world.generate('orders')).toBe('AccessDeniedException');
  await world.grant();
  expect(await world.generate('orders')).toBe('OK');
});

it('What comes and goes beside a grant that is in use is not remembered', async () => {
  const world = await World.start();
  await world.grant();
  const { list } = world.store.counts;
  for (let n = 0; n < 250; n++) {
    const { grantId } = await world.grant();
    expect(await world.generate('orders')).toBe('OK');
    await world.as('admin').grants.revokeGrant({ keyId: world.keyId, grantId });
  }
  // Each removal lists tokens twice; what was remembered has been let go of and read anew in between.
  expect(world.store.counts.list).toBeGreaterThan(list + 2 * 250);
  expect(world.store.counts.list).toBeLessThan(list + 2 * 250 + 5);
});

it('Grants are found while others come and go without a pause', async () => {
  const world = await World.start();
  await fillGrants(world, 1_000);
  await world.grant();
  let changing = false;
  world.store.after = async (method, argument) => {
    if (method !== 'list' || changing || !String(argument).includes('/grantee/')) return;
    changing = true;
    await world.grant({ operations: [VERIFY_MAC] });
    changing = false;
  };
  expect(await world.generate('orders')).toBe('OK');
});
