import { hash, randomBytes, randomUUID } from 'node:crypto';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { describe, expect, it, onTestFinished } from 'vitest';
import { GrantPaths } from '../../src/grants/grant-paths.ts';
import { deletionOf, openSealer, paths } from '../keys/fixture.ts';
import { ACCOUNT, DAY } from '../keys/fixture.ts';
import { failureOf, WIRES } from '../support/clients.ts';
import { arnOf, GENERATE_MAC, outcomeOf, refusalOf, RETIRE_GRANT, World } from './world.ts';

const LIMIT = 50_000;
const grantPaths = new GrantPaths(paths, ACCOUNT);

/** Puts records at the places of that many grants of the key. */
async function fill(world: World, count: number): Promise<void> {
  for (let left = count; left > 0; left -= 500) {
    const put = Array.from({ length: Math.min(left, 500) }, () => ({
      path: grantPaths.grant(world.keyId, randomBytes(32).toString('hex')),
      version: randomUUID(),
      value: new Uint8Array(),
    }));
    await world.store.commit({ expect: [], put, remove: [] });
  }
}

/** The paths of the store that do not belong to keys. */
async function pathsBesideKeys(world: World): Promise<string[]> {
  const kinds = [`${ACCOUNT}/retiring/`, `${ACCOUNT}/expiry/`];
  return (await world.store.paths()).filter((path) => kinds.some((kind) => path.startsWith(kind)));
}

describe.each(WIRES)('over %s, DryRun', (wire) => {
  it('changes nothing, and says that the call would have succeeded only if it would have', async () => {
    const world = await World.start();
    const { keyId, arn } = world;
    const { grantId, grantToken } = await world.grant({ name: 'n' });
    const before = await world.store.everything();
    const [admin, stranger] = [world.over(wire, 'admin').grants, world.over(wire, 'stranger').grants];
    const dryRun = true;
    const calls = (grants: typeof admin) => [
      grants.createGrant(world.request({ dryRun })),
      grants.createGrant(world.request({ dryRun, name: 'n' })),
      grants.createGrant(world.request({ dryRun, name: 'm', retiringPrincipal: arnOf('billing') })),
      grants.retireGrant({ grantToken, dryRun }),
      grants.retireGrant({ keyId: arn, grantId, dryRun }),
      grants.revokeGrant({ keyId, grantId, dryRun }),
    ];
    for (const call of calls(admin)) {
      expect(await failureOf(call)).toMatchObject({
        code: 'FailedPrecondition',
        exception: 'DryRunOperationException',
        message: 'The request would have succeeded, but the DryRun option is set.',
      });
    }
    for (const call of calls(stranger)) expect(await outcomeOf(call)).toBe('AccessDeniedException');
    expect(await outcomeOf(admin.revokeGrant({ keyId, grantId: 'f'.repeat(64), dryRun }))).toBe('NotFoundException');
    expect(await outcomeOf(admin.createGrant(world.request({ dryRun, operations: [] })))).toBe('ValidationException');
    expect(await world.store.everything()).toEqual(before);
    expect(await world.generate('orders')).toBe('OK');
  });
});

describe('a key', () => {
  it('that is disabled takes no grants, does not heed them, and lets them be listed and taken back', async () => {
    const world = await World.start();
    const { keyId, arn } = world;
    const { grants, keys } = world.as('admin');
    const made = [];
    for (let n = 0; n < 3; n++)
      made.push(await world.grant({ operations: [GENERATE_MAC, RETIRE_GRANT], name: `${n}` }));
    await keys.disableKey({ keyId });
    const disabled = ['DisabledException', `${arn} is disabled.`];
    expect(await refusalOf(grants.createGrant(world.request()))).toEqual(disabled);
    expect(await refusalOf(grants.createGrant(world.request({ name: '0', dryRun: true })))).toEqual(disabled);
    expect(await world.generate('orders', [made[0]!.grantToken])).toBe('DisabledException');
    expect((await world.listed()).length).toBe(3);
    await grants.revokeGrant({ keyId, grantId: made[0]!.grantId });
    await world.as('orders').grants.retireGrant({ grantToken: made[1]!.grantToken });
    expect(await world.listedIds()).toEqual([made[2]!.grantId]);
    await keys.enableKey({ keyId });
    expect(await world.generate('orders')).toBe('OK');
  });

  it('that is pending deletion takes no grants, and lets them be listed and taken back', async () => {
    const world = await World.start();
    const { keyId, arn } = world;
    const { grants, keys } = world.as('admin');
    const first = await world.grant({ retiringPrincipal: arnOf('billing') });
    const second = await world.grant({ retiringPrincipal: arnOf('billing') });
    const third = await world.grant();
    await keys.scheduleKeyDeletion({ keyId, pendingWindowInDays: 7 });
    expect(await refusalOf(grants.createGrant(world.request()))).toEqual([
      'KMSInvalidStateException',
      `${arn} is pending deletion.`,
    ]);
    expect(await world.generate('orders', [first.grantToken])).toBe('KMSInvalidStateException');
    const { grants: retirable } = await grants.listRetirableGrants({ retiringPrincipal: arnOf('billing') });
    expect(retirable.length).toBe(2);
    await grants.revokeGrant({ keyId, grantId: first.grantId });
    await world.as('billing').grants.retireGrant({ grantToken: second.grantToken });
    expect(await world.listedIds()).toEqual([third.grantId]);
  });

  it('takes its grants along when it ends', async () => {
    const world = await World.start();
    const { keyId } = world;
    const { grants, keys } = world.as('admin');
    const retiringPrincipal = arnOf('billing');
    const { keyId: kept } = await world.makeKey();
    const { grantId: keptGrant } = await world.grant({ keyId: kept, retiringPrincipal });
    const expiresAt = timestampFromMs(world.clock.now() + 30 * DAY);
    for (let n = 0; n < 20; n++) await world.grant({ name: `${n}`, retiringPrincipal, expiresAt });
    const { grantId, grantToken } = await world.grant({ operations: [GENERATE_MAC, RETIRE_GRANT] });
    await keys.scheduleKeyDeletion({ keyId, pendingWindowInDays: 7 });
    const listed = async () =>
      (await grants.listRetirableGrants({ retiringPrincipal })).grants.map((each) => each.grantId);
    expect((await listed()).length).toBe(21);
    world.clock.advance(7 * DAY);
    const gone = async () => {
      expect(await world.generate('orders', [grantToken])).toBe('NotFoundException');
      expect(await outcomeOf(grants.listGrants({ keyId }))).toBe('NotFoundException');
      expect(await outcomeOf(grants.createGrant(world.request()))).toBe('NotFoundException');
      expect(await outcomeOf(grants.revokeGrant({ keyId, grantId }))).toBe('NotFoundException');
      expect(await outcomeOf(world.as('orders').grants.retireGrant({ grantToken }))).toBe('NotFoundException');
    };
    await gone();
    const { deletion, failures } = deletionOf(world.store, world.clock, openSealer);
    expect(await deletion.sweep()).toBe(1);
    expect(failures).toEqual([]);
    expect((await world.store.paths()).filter((path) => path.startsWith(paths.under(keyId)))).toEqual([]);
    expect(await listed()).toEqual([keptGrant]);
    expect(await pathsBesideKeys(world)).toEqual([grantPaths.retirable(retiringPrincipal, kept, keptGrant)]);
    await gone();
  });

  it('leaves its grants out of ListRetirableGrants from its date on, swept or not', async () => {
    const world = await World.start();
    const retiringPrincipal = arnOf('billing');
    const { grants, keys } = world.as('admin');
    await world.grant({ retiringPrincipal });
    await keys.scheduleKeyDeletion({ keyId: world.keyId, pendingWindowInDays: 7 });
    world.clock.advance(7 * DAY - 1);
    expect((await grants.listRetirableGrants({ retiringPrincipal })).grants.length).toBe(1);
    world.clock.advance(1);
    expect((await grants.listRetirableGrants({ retiringPrincipal })).grants).toEqual([]);
  });
});

describe('the limit of grants', () => {
  const full = {
    code: 'ResourceExhausted',
    exception: 'LimitExceededException',
    message: `Grants per key quota for this account in this region is ${LIMIT}, current usage is ${LIMIT}.`,
  };

  it('is 50,000 for a key, and one that is taken back makes room', async () => {
    const world = await World.start();
    const { keyId } = world;
    const { grants } = world.as('admin');
    const { grantId } = await world.grant({ name: 'n' });
    await fill(world, LIMIT - 2);
    await world.grant();
    expect(await failureOf(grants.createGrant(world.request()))).toMatchObject(full);
    expect(await failureOf(grants.createGrant(world.request({ dryRun: true })))).toMatchObject(full);
    // What makes no new one is not refused.
    expect((await world.grant({ name: 'n' })).grantId).toBe(grantId);
    const { keyId: other } = await world.makeKey();
    await world.grant({ keyId: other });
    await grants.revokeGrant({ keyId, grantId });
    await world.grant();
    expect(await failureOf(grants.createGrant(world.request()))).toMatchObject(full);
  });

  it('keeps nobody from taking grants back while others make them without a pause', async () => {
    const world = await World.start();
    const { keyId } = world;
    const { grants } = world.as('admin');
    const { grantId } = await world.grant();
    // Others come first whenever somebody is about to commit.
    const before = world.store.counts.commit;
    let made = 0;
    world.store.before = async (method) => {
      if (method !== 'commit' || made === 10) return;
      made++;
      await world.grant();
    };
    await grants.revokeGrant({ keyId, grantId });
    expect(made).toBe(10);
    expect(world.store.counts.commit).toBe(before + made + 1);
    expect((await world.listed()).length).toBe(made);
  });

  it('one grant is taken back once that several take back at the same time', async () => {
    const world = await World.start();
    const { keyId } = world;
    const { grantId: kept } = await world.grant();
    const { grantId, grantToken } = await world.grant();
    const { grants } = world.as('root');
    const outcomes = await Promise.all([
      ...Array.from({ length: 5 }, () => outcomeOf(grants.revokeGrant({ keyId, grantId }))),
      ...Array.from({ length: 5 }, () => outcomeOf(grants.retireGrant({ grantToken }))),
    ]);
    expect(outcomes.toSorted()).toEqual([...Array<string>(9).fill('NotFoundException'), 'OK']);
    expect(await world.listedIds()).toEqual([kept]);
  });
});

describe('a named grant that is asked for again and again', () => {
  it('keeps the tokens of the last hour, and works by any of them', async () => {
    const world = await World.start();
    const tokens = async () =>
      (await world.store.paths()).filter((path) => path.startsWith(grantPaths.tokens(world.keyId, grantId)));
    const { grantId, grantToken: first } = await world.grant({ name: 'n' });
    for (let n = 0; n < 5; n++) await world.grant({ name: 'n' });
    expect((await tokens()).length).toBe(6);
    world.clock.advance(3_600_000);
    const { grantToken: last } = await world.grant({ name: 'n' });
    expect((await tokens()).length).toBe(1);
    for (const token of [first, last]) expect(await world.generate('orders', [token])).toBe('OK');
    await world.as('admin').grants.retireGrant({ grantToken: first });
    expect(await tokens()).toEqual([]);
  });

  it('keeps no more tokens than an hour brings, however many that are, and none when it has ended', async () => {
    const world = await World.start();
    const { grantId } = await world.grant({ name: 'n' });
    const prefix = grantPaths.tokens(world.keyId, grantId);
    const token = (await world.store.paths()).find((path) => path.startsWith(prefix))!;
    const [record] = await world.store.getMany([token]);
    const put = Array.from({ length: 900 }, (_, n) => ({
      ...record!,
      path: token.slice(0, -64) + hash('sha256', String(n)),
      version: randomUUID(),
    }));
    for (const part of [put.slice(0, 450), put.slice(450)]) {
      await world.store.commit({ expect: [], put: part, remove: [] });
    }
    const left = async () => await world.store.count(prefix);
    world.clock.advance(3_600_000);
    const counts = [];
    for (let n = 0; n < 4; n++) {
      await world.grant({ name: 'n' });
      counts.push(await left());
    }
    expect(counts).toEqual([502, 103, 3, 4]);
    await world.store.commit({ expect: [], put: put.slice(0, 450), remove: [] });
    // Somebody else sweeps at the same time: the grant is taken back all the same.
    const { commit } = world.store.counts;
    world.store.before = async (method) => {
      if (method !== 'commit' || world.store.counts.commit !== commit + 2) return;
      await world.store.commit({ expect: [], put: [], remove: [put.map(({ path }) => path).toSorted()[449]!] });
    };
    const ticking = setInterval(() => world.clock.advance(10), 5);
    onTestFinished(() => clearInterval(ticking));
    await world.as('admin').grants.revokeGrant({ keyId: world.keyId, grantId });
    expect(world.store.counts.commit).toBeGreaterThan(commit + 2);
    expect(await left()).toBe(0);
  });

  it('is one grant when it is asked for twice at the same time', async () => {
    const world = await World.start();
    let other: Promise<{ grantId: string }> | undefined;
    world.store.before = async (method) => {
      if (method !== 'count' || other !== undefined) return;
      other = world.grant({ name: 'n' });
      await other;
    };
    // Who came second tries again after a while.
    const ticking = setInterval(() => world.clock.advance(10), 5);
    onTestFinished(() => clearInterval(ticking));
    const { grantId } = await world.grant({ name: 'n' });
    expect((await other!).grantId).toBe(grantId);
    expect(await world.listedIds()).toEqual([grantId]);
  });

  it('keeps the tokens of a grant that is not effective yet', async () => {
    const world = await World.start({ GRANT_DELAY: '5m' });
    const { grantToken } = await world.grant({ name: 'n' });
    world.clock.advance(299_999);
    await world.grant({ name: 'n' });
    expect(await world.generate('orders')).toBe('AccessDeniedException');
    expect(await world.generate('orders', [grantToken])).toBe('OK');
  });
});
