import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import { failureOf } from '../support/clients.ts';
import {
  allowTo,
  arnOf,
  CREATE_GRANT,
  denyTo,
  DESCRIBE_KEY,
  GENERATE_MAC,
  type GrantInit,
  LEFT_TO_ACCOUNT,
  macRequest,
  notAllowed,
  outcomeOf,
  type Person,
  refusalOf,
  RETIRE_GRANT,
  unknownTo,
  VERIFY_MAC,
  World,
} from './world.ts';

const DENIED = 'AccessDeniedException';
const MINUTE = 60_000;

describe('a grant', () => {
  it('allows its operations, and no other', async () => {
    const world = await World.start();
    const { keyId, arn } = world;
    const { keys, mac, grants } = world.as('orders');
    const outcomes = async () => ({
      generate: await world.generate('orders'),
      // A MAC of the right length that is not right: who may is told so.
      verify: await outcomeOf(mac.verifyMac({ ...macRequest(keyId), mac: Buffer.alloc(32) })),
      describe: await outcomeOf(keys.describeKey({ keyId: arn })),
      create: await outcomeOf(grants.createGrant(world.request({ dryRun: true }))),
      disable: await outcomeOf(keys.disableKey({ keyId })),
      policy: await outcomeOf(keys.getKeyPolicy({ keyId })),
      list: await outcomeOf(grants.listGrants({ keyId })),
    });
    const nothing = Object.fromEntries(Object.keys(await outcomes()).map((name) => [name, DENIED]));
    expect(await outcomes()).toEqual(nothing);
    const cases: [GrantInit['operations'], object][] = [
      [[GENERATE_MAC], { generate: 'OK' }],
      [[VERIFY_MAC], { verify: 'KMSInvalidMacException' }],
      [[DESCRIBE_KEY], { describe: 'OK' }],
      [[RETIRE_GRANT], {}],
      [[CREATE_GRANT, GENERATE_MAC], { generate: 'OK', create: 'DryRunOperationException' }],
      [[DESCRIBE_KEY, VERIFY_MAC], { describe: 'OK', verify: 'KMSInvalidMacException' }],
    ];
    for (const [operations, allowed] of cases) {
      const { grantId } = await world.grant({ operations: operations! });
      expect(await outcomes()).toEqual({ ...nothing, ...allowed });
      await world.as('admin').grants.revokeGrant({ keyId, grantId });
      expect(await outcomes()).toEqual(nothing);
    }
  });

  it('to a role with a path allows the sessions of the role, which policies know by it', async () => {
    const world = await World.start();
    const people = ['pathed', 'pathedSession'] as const;
    const { grantId } = await world.grant({ granteePrincipal: arnOf('pathed') });
    for (const person of people) expect(await world.generate(person)).toBe('OK');
    await world.as('admin').grants.revokeGrant({ keyId: world.keyId, grantId });
    for (const person of people) expect(await world.generate(person)).toBe(DENIED);
    const Condition = { ArnLike: { 'aws:PrincipalArn': arnOf('pathed') } };
    await world.putPolicy([LEFT_TO_ACCOUNT, { ...allowTo('root', 'kms:GenerateMac'), Principal: '*', Condition }]);
    for (const person of people) expect(await world.generate(person)).toBe('OK');
    expect(await world.generate('session')).toBe(DENIED);
  });

  it('allows them with its key only, by any of its names', async () => {
    const world = await World.start();
    const other = await world.makeKey();
    const aliasName = 'alias/a';
    await world.as('root').aliases.createAlias({ aliasName, targetKeyId: world.keyId });
    await world.grant({ operations: [GENERATE_MAC, DESCRIBE_KEY] });
    const aliasArn = world.arn.replace(/key\/.*/, aliasName);
    for (const name of [world.keyId, world.arn, aliasName, aliasArn]) {
      expect(await world.generate('orders', [], name)).toBe('OK');
      expect(await outcomeOf(world.as('orders').keys.describeKey({ keyId: name }))).toBe('OK');
    }
    expect(await refusalOf(world.as('orders').mac.generateMac(macRequest(other.arn)))).toEqual(
      notAllowed('orders', 'GenerateMac', other.arn),
    );
  });

  it.each([
    ['orders', ['orders', 'session', 'otherSession']],
    ['session', ['session']],
    // An account's own policies say who of it may.
    ['root', ['generator']],
    ['billing', ['billing']],
    ['partner', ['partner']],
    ['partnerWithout', []],
    ['partnerRoot', ['partner', 'partnerRoot']],
  ] as const)('to %s is for %j', async (grantee, expected) => {
    const world = await World.start();
    // A key that is not left to the account: whoever may, may by the grant.
    await world.putPolicy([allowTo('admin', 'kms:*'), allowTo('root', 'kms:PutKeyPolicy')]);
    const people: Person[] = ['orders', 'session', 'otherSession', 'billing', 'generator', 'stranger'];
    people.push('partner', 'partnerWithout', 'partnerRoot');
    const may = async () => {
      const outcomes = people.map(async (person) => [person, await world.generate(person, [], world.arn)] as const);
      return (await Promise.all(outcomes)).filter(([, outcome]) => outcome === 'OK').map(([person]) => person);
    };
    expect(await may()).toEqual([]);
    const { grantId } = await world.grant({ granteePrincipal: arnOf(grantee) });
    expect(await may()).toEqual(expected);
    await world.as('admin').grants.revokeGrant({ keyId: world.keyId, grantId });
    expect(await may()).toEqual([]);
  });

  it('to another account leaves it to its own policies, and AWS words say so', async () => {
    const world = await World.start();
    const generate = (person: Person) => refusalOf(world.as(person).mac.generateMac(macRequest(world.arn)));
    expect(await generate('partnerWithout')).toEqual(unknownTo('partnerWithout', 'GenerateMac'));
    await world.grant({ granteePrincipal: arnOf('partnerWithout') });
    expect(await generate('partnerWithout')).toEqual([
      DENIED,
      `User: ${arnOf('partnerWithout')} is not authorized to perform: kms:GenerateMac on this resource because no identity-based policy allows the kms:GenerateMac action`,
    ]);
  });

  it('does not help against an explicit deny', async () => {
    const world = await World.start();
    const { grantToken } = await world.grant({ granteePrincipal: arnOf('denied') });
    const generate = (person: Person, grantTokens: string[] = []) =>
      failureOf(world.as(person).mac.generateMac({ ...macRequest(world.keyId), grantTokens }));
    const text = (person: Person, kind: string) => ({
      exception: DENIED,
      message: `User: ${arnOf(person)} is not authorized to perform: kms:GenerateMac on resource: ${world.arn} with an explicit deny in ${kind} policy`,
    });
    expect(await generate('denied')).toMatchObject(text('denied', 'an identity-based'));
    expect(await generate('denied', [grantToken])).toMatchObject(text('denied', 'an identity-based'));
    const ofOrders = await world.grant();
    expect(await world.generate('orders')).toBe('OK');
    await world.putPolicy([LEFT_TO_ACCOUNT, denyTo('orders', 'kms:GenerateMac')]);
    expect(await generate('orders')).toMatchObject(text('orders', 'a resource-based'));
    expect(await generate('session', [ofOrders.grantToken])).toMatchObject(text('session', 'a resource-based'));
    await world.putPolicy([LEFT_TO_ACCOUNT]);
    expect(await world.generate('orders')).toBe('OK');
  });

  it('is of no use from its expiry on, with a token or without', async () => {
    const world = await World.start();
    const expiresAt = timestampFromMs(world.clock.now() + MINUTE);
    const { grantToken, grantId } = await world.grant({
      expiresAt,
      operations: [GENERATE_MAC, RETIRE_GRANT, DESCRIBE_KEY],
    });
    const { keys, grants } = world.as('orders');
    world.clock.advance(MINUTE - 1);
    expect(await world.generate('orders')).toBe('OK');
    expect(await outcomeOf(keys.describeKey({ keyId: world.keyId }))).toBe('OK');
    world.clock.advance(1);
    for (const tokens of [[], [grantToken]]) {
      expect(await world.generate('orders', tokens)).toBe(DENIED);
      expect(await outcomeOf(keys.describeKey({ keyId: world.keyId, grantTokens: tokens }))).toBe(DENIED);
    }
    expect(await outcomeOf(grants.retireGrant({ grantToken }))).toBe('NotFoundException');
    const { keyId } = world;
    expect(await outcomeOf(world.as('admin').grants.revokeGrant({ keyId, grantId }))).toBe('NotFoundException');
  });
});

/** What CreateGrant ends in, of a grant to `billing` unless something else is said. */
async function create(world: World, init: GrantInit, person: Person = 'orders'): Promise<string> {
  return await outcomeOf(world.grant({ granteePrincipal: arnOf('billing'), ...init }, person));
}

describe('who may create grants by a grant alone', () => {
  it('passes on no more than it allows', async () => {
    const world = await World.start();
    await world.grant({ operations: [CREATE_GRANT, GENERATE_MAC, DESCRIBE_KEY] });
    for (const operations of [[GENERATE_MAC], [DESCRIBE_KEY], [GENERATE_MAC, DESCRIBE_KEY, CREATE_GRANT]]) {
      expect(await create(world, { operations })).toBe('OK');
    }
    for (const operations of [[VERIFY_MAC], [GENERATE_MAC, VERIFY_MAC], [RETIRE_GRANT, GENERATE_MAC]]) {
      expect(await create(world, { operations })).toBe(DENIED);
    }
    expect(await create(world, {}, 'stranger')).toBe(DENIED);
    // The child of a child, and no more than that.
    expect(await create(world, { granteePrincipal: arnOf('stranger') }, 'billing')).toBe('OK');
    expect(await create(world, { operations: [VERIFY_MAC] }, 'billing')).toBe(DENIED);
    expect(await create(world, {}, 'stranger')).toBe(DENIED);
    expect(await world.generate('stranger')).toBe('OK');
  });

  it('is told so in AWS words', async () => {
    const world = await World.start();
    await world.grant({ operations: [CREATE_GRANT, GENERATE_MAC] });
    expect(await refusalOf(world.grant({ operations: [VERIFY_MAC] }, 'orders'))).toEqual(
      notAllowed('orders', 'CreateGrant', world.arn),
    );
  });

  it('passes it on for no longer', async () => {
    const world = await World.start();
    const at = (minutes: number) => timestampFromMs(world.clock.now() + minutes * MINUTE);
    await world.grant({ operations: [CREATE_GRANT, GENERATE_MAC], expiresAt: at(2) });
    expect(await create(world, { expiresAt: at(1) })).toBe('OK');
    expect(await create(world, { expiresAt: at(2) })).toBe('OK');
    expect(await create(world, { expiresAt: timestampFromMs(world.clock.now() + 2 * MINUTE + 1) })).toBe(DENIED);
    expect(await create(world, {})).toBe(DENIED);
    world.clock.advance(2 * MINUTE);
    expect(await create(world, { expiresAt: at(1) })).toBe(DENIED);
  });

  it('passes it on under the same constraint, or one that was not there', async () => {
    const world = await World.start();
    await world.grant({ operations: [CREATE_GRANT, GENERATE_MAC] });
    expect(await create(world, { constraints: { sourceArn: 'arn:aws:s3:::bucket' } })).toBe('OK');
    expect(await world.generate('billing')).toBe(DENIED);
  });

  it('cannot put two grants together', async () => {
    const world = await World.start();
    await world.grant({ operations: [CREATE_GRANT, GENERATE_MAC] });
    await world.grant({ operations: [CREATE_GRANT, VERIFY_MAC] });
    await world.grant({ operations: [DESCRIBE_KEY] });
    expect(await create(world, { operations: [GENERATE_MAC] })).toBe('OK');
    expect(await create(world, { operations: [VERIFY_MAC] })).toBe('OK');
    expect(await create(world, { operations: [GENERATE_MAC, VERIFY_MAC] })).toBe(DENIED);
    expect(await create(world, { operations: [DESCRIBE_KEY] })).toBe(DENIED);
  });

  it('may pass on everything when a policy allows it to create grants as well', async () => {
    const world = await World.start();
    await world.grant({ operations: [CREATE_GRANT, GENERATE_MAC] });
    await world.putPolicy([LEFT_TO_ACCOUNT, allowTo('orders', 'kms:CreateGrant')]);
    expect(await create(world, { operations: [VERIFY_MAC] })).toBe('OK');
  });

  it('leaves its grants behind when its own is taken back', async () => {
    const world = await World.start();
    const { grantId } = await world.grant({ operations: [CREATE_GRANT, GENERATE_MAC] });
    expect(await create(world, {})).toBe('OK');
    await world.as('admin').grants.revokeGrant({ keyId: world.keyId, grantId });
    expect(await world.generate('billing')).toBe('OK');
    expect(await create(world, {})).toBe(DENIED);
  });
});
