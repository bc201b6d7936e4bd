import { describe, expect, it } from 'vitest';
import { WIRES } from '../support/clients.ts';
import {
  allowTo,
  arnOf,
  denyTo,
  GENERATE_MAC,
  LEFT_TO_ACCOUNT,
  notAllowed,
  outcomeOf,
  type Person,
  refusalOf,
  RETIRE_GRANT,
  unknownTo,
  World,
} from './world.ts';

const NOT_FOUND = ['NotFoundException', ''];

const named = (person: Person) => ({ retiringPrincipal: arnOf(person) });
const granted = (person: Person) => ({ operations: [RETIRE_GRANT], granteePrincipal: arnOf(person) });

/** What RetireGrant of a new grant ends in; the grant is gone when it is `OK`, and else it is not. */
async function retire(world: World, person: Person, init = {}): Promise<string> {
  const { grantId, grantToken } = await world.grant(init);
  const { grants } = world.as(person);
  const byArn = await outcomeOf(grants.retireGrant({ keyId: world.arn, grantId, dryRun: true }));
  const outcome = await outcomeOf(grants.retireGrant({ grantToken }));
  expect(byArn).toBe(outcome === 'OK' ? 'DryRunOperationException' : outcome);
  const listed = await world.listedIds();
  expect(listed.includes(grantId)).toBe(outcome !== 'OK');
  return outcome;
}

describe.each(WIRES)('over %s, RetireGrant takes back a grant', (wire) => {
  it('by its token, or by the ARN of its key and its ID', async () => {
    const world = await World.start();
    const { grants } = world.over(wire, 'root');
    const first = await world.grant();
    expect(await world.generate('orders')).toBe('OK');
    await grants.retireGrant({ grantToken: first.grantToken });
    expect(await world.listed()).toEqual([]);
    expect(await world.generate('orders')).toBe('AccessDeniedException');
    const { grantId } = await world.grant();
    await grants.retireGrant({ keyId: world.arn, grantId });
    expect(await world.listed()).toEqual([]);
    expect(await world.generate('orders')).toBe('AccessDeniedException');
  });
});

describe('RetireGrant', () => {
  it('is for whoever is named to retire, and for the account', async () => {
    const world = await World.start();
    const retiringPrincipal = arnOf('billing');
    expect(await retire(world, 'billing', { retiringPrincipal })).toBe('OK');
    expect(await retire(world, 'session', { retiringPrincipal: arnOf('orders') })).toBe('OK');
    expect(await retire(world, 'session', { retiringPrincipal: arnOf('session') })).toBe('OK');
    expect(await retire(world, 'root')).toBe('OK');
    expect(await retire(world, 'admin')).toBe('OK');
    // Who may by an identity policy may also what the account may.
    expect(await retire(world, 'admin', { retiringPrincipal: arnOf('root') })).toBe('OK');
  });

  it('is for the grantee only where the grant says so', async () => {
    const world = await World.start();
    expect(await retire(world, 'orders')).toBe('AccessDeniedException');
    expect(await retire(world, 'orders', { operations: [GENERATE_MAC, RETIRE_GRANT] })).toBe('OK');
    expect(await retire(world, 'orders', { operations: [RETIRE_GRANT] })).toBe('OK');
    expect(await retire(world, 'session', { operations: [RETIRE_GRANT] })).toBe('OK');
    const toSession = { operations: [RETIRE_GRANT], granteePrincipal: arnOf('session') };
    expect(await retire(world, 'otherSession', toSession)).toBe('AccessDeniedException');
    expect(await retire(world, 'orders', toSession)).toBe('AccessDeniedException');
    expect(await retire(world, 'session', toSession)).toBe('OK');
  });

  it('is for no stranger, whatever the key policy says', async () => {
    const world = await World.start();
    const { grantId } = await world.grant();
    const init = { retiringPrincipal: arnOf('billing'), operations: [RETIRE_GRANT] };
    const people = ['stranger', 'generator', 'partner', 'partnerRoot'] as const;
    for (const person of people) expect(await retire(world, person, init)).toBe('AccessDeniedException');
    await world.putPolicy([LEFT_TO_ACCOUNT, ...people.map((person) => allowTo(person, 'kms:*'))]);
    for (const person of people) expect(await retire(world, person, init)).toBe('AccessDeniedException');
    const { grants } = world.as('stranger');
    expect(await refusalOf(grants.retireGrant({ keyId: world.arn, grantId }))).toEqual(
      notAllowed('stranger', 'RetireGrant', world.arn),
    );
  });

  it('is no business of key policies', async () => {
    const world = await World.start();
    const init = { retiringPrincipal: arnOf('billing'), operations: [RETIRE_GRANT] };
    await world.putPolicy([LEFT_TO_ACCOUNT, denyTo('billing', 'kms:RetireGrant'), denyTo('orders', 'kms:Retire*')]);
    expect(await retire(world, 'billing', init)).toBe('OK');
    expect(await retire(world, 'orders', init)).toBe('OK');
    expect(await retire(world, 'root', init)).toBe('OK');
  });

  it('is for principals of another account only where their own policies allow it', async () => {
    const world = await World.start();
    expect(await retire(world, 'partner', named('partner'))).toBe('OK');
    expect(await retire(world, 'partnerWithout', named('partnerWithout'))).toBe('AccessDeniedException');
    expect(await retire(world, 'partnerRoot', named('partnerRoot'))).toBe('OK');
    expect(await retire(world, 'partner', named('partnerRoot'))).toBe('OK');
    expect(await retire(world, 'partnerWithout', named('partnerRoot'))).toBe('AccessDeniedException');
    expect(await retire(world, 'partner', granted('partner'))).toBe('OK');
    expect(await retire(world, 'partnerWithout', granted('partnerWithout'))).toBe('AccessDeniedException');
    const { grantToken } = await world.grant(named('partnerWithout'));
    expect(await refusalOf(world.as('partnerWithout').grants.retireGrant({ grantToken }))).toEqual([
      'AccessDeniedException',
      `User: ${arnOf('partnerWithout')} is not authorized to perform: kms:RetireGrant on this resource because no identity-based policy allows the kms:RetireGrant action`,
    ]);
  });

  it('is for the account that made the grant, if that is another one, and for the key’s', async () => {
    const world = await World.start();
    await world.putPolicy([LEFT_TO_ACCOUNT, allowTo('partner', 'kms:CreateGrant')]);
    const request = world.request({ keyId: world.arn, granteePrincipal: arnOf('partnerWithout') });
    for (const person of ['partner', 'partnerRoot', 'admin'] as const) {
      const { grantToken } = await world.as('partner').grants.createGrant(request);
      expect((await world.listed()).map(({ issuingAccount }) => issuingAccount)).toEqual([arnOf('partnerRoot')]);
      expect(await outcomeOf(world.as('orders').grants.retireGrant({ grantToken }))).toBe('AccessDeniedException');
      expect(await outcomeOf(world.as(person).grants.retireGrant({ grantToken }))).toBe('OK');
    }
  });

  it('refuses a request that names no grant, or more than one way', async () => {
    const world = await World.start();
    const { grantId, grantToken } = await world.grant();
    const { keyId, arn } = world;
    const { grants } = world.as('root');
    const invalid = ['ValidationException', expect.stringContaining('grant token')];
    for (const request of [
      {},
      { keyId: arn },
      { grantId },
      { grantToken, keyId: arn, grantId },
      { grantToken, grantId },
      { grantToken, keyId: arn },
    ]) {
      expect(await refusalOf(grants.retireGrant(request))).toEqual(invalid);
    }
    expect(await refusalOf(grants.retireGrant({ keyId, grantId }))).toEqual([
      'NotFoundException',
      `Invalid arn ${keyId}`,
    ]);
    const aliasArn = arn.replace(/key\/.*/, 'alias/a');
    expect((await refusalOf(grants.retireGrant({ keyId: aliasArn, grantId })))[0]).toBe('InvalidArnException');
    for (const token of ['x', grantToken.slice(1), `${grantToken}A`]) {
      expect(await refusalOf(grants.retireGrant({ grantToken: token }))).toEqual(['InvalidGrantTokenException', '']);
    }
    const failed = 'failed to satisfy constraint: Member must have length';
    expect(await refusalOf(grants.retireGrant({ grantToken: '' }))).toEqual([
      'ValidationException',
      `1 validation error detected: Value at 'grantToken' ${failed} greater than or equal to 1`,
    ]);
    expect(await refusalOf(grants.retireGrant({ grantToken: 'x'.repeat(8_193) }))).toEqual([
      'ValidationException',
      `1 validation error detected: Value at 'grantToken' ${failed} less than or equal to 8192`,
    ]);
    expect(await world.listedIds()).toEqual([grantId]);
  });

  it('does not find what is not there, or is no more', async () => {
    const world = await World.start();
    const { grantId, grantToken } = await world.grant();
    const { grants } = world.as('root');
    await grants.retireGrant({ grantToken });
    expect(await refusalOf(grants.retireGrant({ grantToken }))).toEqual(NOT_FOUND);
    for (const unknown of [grantId, 'f'.repeat(64), 'x', '../grants']) {
      expect(await refusalOf(grants.retireGrant({ keyId: world.arn, grantId: unknown }))).toEqual(NOT_FOUND);
    }
  });

  it('tells callers of other accounts nothing of whether there is a key', async () => {
    const world = await World.start();
    const unknownArn = world.arn.replace(/key\/.*/, `key/${crypto.randomUUID()}`);
    const grantId = 'f'.repeat(64);
    for (const person of ['partner', 'partnerWithout'] as const) {
      const [known, unknown] = await Promise.all(
        [world.arn, unknownArn].map((keyId) => refusalOf(world.as(person).grants.retireGrant({ keyId, grantId }))),
      );
      expect(unknown).toEqual(unknownTo(person, 'RetireGrant'));
      expect(known).toEqual(unknown);
    }
  });
});

describe('RevokeGrant', () => {
  it('is for whoever may by a policy, and not for grantees and who may retire', async () => {
    const world = await World.start();
    const { keyId } = world;
    const init = { operations: [GENERATE_MAC, RETIRE_GRANT], retiringPrincipal: arnOf('billing') };
    const { grantId } = await world.grant(init);
    for (const person of ['orders', 'billing', 'generator'] as const) {
      expect(await refusalOf(world.as(person).grants.revokeGrant({ keyId, grantId }))).toEqual(
        notAllowed(person, 'RevokeGrant', world.arn),
      );
    }
    expect(await refusalOf(world.as('partner').grants.revokeGrant({ keyId, grantId }))).toEqual(
      unknownTo('partner', 'RevokeGrant'),
    );
    expect(await world.generate('orders')).toBe('OK');
    await world.putPolicy([LEFT_TO_ACCOUNT, allowTo('billing', 'kms:RevokeGrant')]);
    await world.as('billing').grants.revokeGrant({ keyId, grantId });
    expect(await world.generate('orders')).toBe('AccessDeniedException');
  });

  it('takes back the one grant, and leaves the others', async () => {
    const world = await World.start();
    const [first, second] = [await world.grant(), await world.grant()];
    const other = await world.grant({ granteePrincipal: arnOf('billing') });
    const { grants } = world.as('admin');
    await grants.revokeGrant({ keyId: world.arn, grantId: first.grantId });
    expect(await world.listedIds()).toEqual([second.grantId, other.grantId].toSorted());
    expect(await world.generate('orders')).toBe('OK');
    await grants.revokeGrant({ keyId: world.keyId, grantId: second.grantId });
    expect(await world.generate('orders')).toBe('AccessDeniedException');
    expect(await world.generate('billing')).toBe('OK');
  });

  it('does not find what is not there, and says so without a text', async () => {
    const world = await World.start();
    const { keyId } = await world.makeKey();
    const { grantId } = await world.grant();
    const { grants } = world.as('admin');
    expect(await refusalOf(grants.revokeGrant({ keyId, grantId }))).toEqual(NOT_FOUND);
    for (const unknown of ['f'.repeat(64), grantId.toUpperCase(), 'x', `../${grantId}`]) {
      expect(await refusalOf(grants.revokeGrant({ keyId: world.keyId, grantId: unknown }))).toEqual(NOT_FOUND);
    }
    await grants.revokeGrant({ keyId: world.keyId, grantId });
    expect(await refusalOf(grants.revokeGrant({ keyId: world.keyId, grantId }))).toEqual(NOT_FOUND);
    expect((await refusalOf(grants.revokeGrant({ keyId: 'alias/a', grantId })))[0]).toBe('InvalidArnException');
    expect((await refusalOf(grants.revokeGrant({ keyId })))[1]).toBe(
      "1 validation error detected: Value null at 'grantId' failed to satisfy constraint: Member must not be null",
    );
  });

  it('leaves nothing of the grant in the store', async () => {
    const world = await World.start();
    await world.grant();
    const before = await world.store.paths();
    const init = { name: 'n', retiringPrincipal: arnOf('billing') };
    const { grantId } = await world.grant(init);
    await world.grant(init);
    await world.as('admin').grants.revokeGrant({ keyId: world.keyId, grantId });
    expect(await world.store.paths()).toEqual(before);
  });
});
