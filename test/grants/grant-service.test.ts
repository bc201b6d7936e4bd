import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import { type GrantOperation, GrantOperationSchema } from '../../src/gen/hmacd/v1/grant_pb.ts';
import { type Failure, failureOf, WIRES } from '../support/clients.ts';
import {
  arnOf,
  CREATE_GRANT,
  DESCRIBE_KEY,
  GENERATE_MAC,
  type GrantInit,
  macRequest,
  notAllowed,
  outcomeOf,
  refusalOf,
  RETIRE_GRANT,
  unknownTo,
  VERIFY_MAC,
  World,
} from './world.ts';

const VALID = '[CreateGrant, RetireGrant, DescribeKey, GenerateMac, VerifyMac]';

describe.each(WIRES)('over %s, a grant', (wire) => {
  it('is made, used, listed, found by who may retire it, and taken back', async () => {
    const world = await World.start();
    const { keyId, arn } = world;
    const { grants } = world.over(wire, 'admin');
    const orders = world.over(wire, 'orders');
    expect(await refusalOf(orders.mac.generateMac(macRequest(keyId)))).toEqual(
      notAllowed('orders', 'GenerateMac', arn),
    );
    const request = {
      ...world.request({ operations: [VERIFY_MAC, GENERATE_MAC, VERIFY_MAC], name: 'a/b:c_d-1' }),
      retiringPrincipal: arnOf('billing'),
      expiresAt: timestampFromMs(world.clock.now() + 60_000),
    };
    const { grantId, grantToken } = await grants.createGrant(request);
    expect(grantId).toMatch(/^[0-9a-f]{64}$/);
    expect(grantToken).toMatch(/^[\w-]{1,8192}$/);
    const { mac } = await orders.mac.generateMac(macRequest(keyId));
    expect((await orders.mac.verifyMac({ ...macRequest(keyId), mac })).macValid).toBe(true);
    const entry = {
      keyId: arn,
      grantId,
      name: 'a/b:c_d-1',
      creationDate: timestampFromMs(Math.floor(world.clock.now() / 1_000) * 1_000),
      granteePrincipal: arnOf('orders'),
      retiringPrincipal: arnOf('billing'),
      issuingAccount: arnOf('root'),
      operations: [GENERATE_MAC, VERIFY_MAC],
      expiresAt: request.expiresAt,
    };
    const page = await grants.listGrants({ keyId });
    expect(page).toMatchObject({ grants: [entry], truncated: false });
    expect(page.grants[0]!.constraints).toBeUndefined();
    expect(page.nextMarker).toBeUndefined();
    const retiringPrincipal = arnOf('billing');
    expect(await grants.listRetirableGrants({ retiringPrincipal })).toMatchObject({
      grants: [entry],
      truncated: false,
    });
    expect(await grants.revokeGrant({ keyId, grantId })).toEqual({ $typeName: 'hmacd.v1.RevokeGrantResponse' });
    expect(await outcomeOf(orders.mac.generateMac(macRequest(keyId)))).toBe('AccessDeniedException');
    expect((await grants.listGrants({ keyId })).grants).toEqual([]);
    expect((await grants.listRetirableGrants({ retiringPrincipal })).grants).toEqual([]);
    const again = await grants.createGrant({ ...request, name: 'other' });
    expect(again).toMatchObject({ grantId: expect.stringMatching(/^[0-9a-f]{64}$/) as string });
    const retired = await world.over(wire, 'billing').grants.retireGrant({ grantToken: again.grantToken });
    expect(retired).toEqual({ $typeName: 'hmacd.v1.RetireGrantResponse' });
    expect((await grants.listGrants({ keyId })).grants).toEqual([]);
  });

  it('without a name, a retiring principal and an end is listed so', async () => {
    const world = await World.start();
    const { grants } = world.over(wire, 'admin');
    await grants.createGrant(world.request({ constraints: { sourceArn: 'arn:aws:s3:::bucket' } }));
    const [entry] = (await grants.listGrants({ keyId: world.arn })).grants;
    expect(entry).toMatchObject({ name: '', constraints: { sourceArn: 'arn:aws:s3:::bucket' } });
    expect(entry!.retiringPrincipal).toBeUndefined();
    expect(entry!.expiresAt).toBeUndefined();
    // No AWS service calls on behalf of the bucket.
    expect(await world.generate('orders')).toBe('AccessDeniedException');
  });
});

const most = (length: number) => `Member must have length less than or equal to ${length}`;
const pattern = (text: string) => `Member must satisfy regular expression pattern: ${text}`;

/** How CreateGrant of a grant fails. */
async function refused(init: GrantInit, world: World): Promise<Failure> {
  return await failureOf(world.as('admin').grants.createGrant(world.request(init)));
}

describe('CreateGrant refuses', () => {
  it('what is not within its limits, in AWS words', async () => {
    const world = await World.start();
    const { grants } = world.as('admin');
    const long = 'a'.repeat(257);
    const cut = `${long.slice(1)}…`;
    const least = 'Member must have length greater than or equal to 1';
    const cases: [init: GrantInit, value: string, member: string, constraint: string][] = [
      [{ operations: [] }, 'null ', 'operations', 'Member must not be null'],
      [{ name: 'a b' }, "'a b' ", 'name', pattern('^[a-zA-Z0-9:/_-]+$')],
      [{ name: '' }, "'' ", 'name', least],
      [{ name: long }, `'${cut}' `, 'name', most(256)],
      [{ granteePrincipal: long }, `'${cut}' `, 'granteePrincipal', most(256)],
      [{ granteePrincipal: 'a b' }, "'a b' ", 'granteePrincipal', pattern('^[\\w+=,.@:/-]+$')],
      [{ retiringPrincipal: '' }, "'' ", 'retiringPrincipal', least],
      [{ grantTokens: Array<string>(11).fill('x') }, '', 'grantTokens', most(10)],
      [{ keyId: 'a'.repeat(2_049) }, `'${cut}' `, 'keyId', most(2_048)],
    ];
    for (const [init, value, member, constraint] of cases) {
      expect(await refused(init, world)).toMatchObject({
        code: 'InvalidArgument',
        exception: 'ValidationException',
        message: `1 validation error detected: Value ${value}at '${member}' failed to satisfy constraint: ${constraint}`,
      });
    }
    const missing = ['keyId', 'granteePrincipal', 'operations'].map(
      (member) => `Value null at '${member}' failed to satisfy constraint: Member must not be null`,
    );
    expect((await failureOf(grants.createGrant({}))).message).toBe(
      `3 validation errors detected: ${missing.join('; ')}`,
    );
    expect(await world.listed()).toEqual([]);
  });

  it('a constraint that is not within its limits', async () => {
    const world = await World.start();
    for (const sourceArn of ['', 'a'.repeat(2_049)]) {
      const { exception } = await refused({ constraints: { sourceArn } }, world);
      expect([sourceArn.length, exception]).toEqual([sourceArn.length, 'ValidationException']);
    }
  });

  it('operations that HMAC keys do not have', async () => {
    const world = await World.start();
    const others = GrantOperationSchema.values.filter(({ number }) => number > 5);
    expect(others.length).toBe(14);
    const names = (operations: readonly number[]) =>
      `Operations [${operations.map((number) => awsNames.get(number)).join(', ')}] are not supported when creating a grant for a symmetric KMS key with key usage GENERATE_VERIFY_MAC. Valid operations are ${VALID}`;
    const awsNames = new Map(
      others.map(({ number, localName }) => [
        number,
        localName
          .split('_')
          .map((word) => word[0] + word.slice(1).toLowerCase())
          .join(''),
      ]),
    );
    for (const { number } of others) {
      const failure = await refused({ operations: [GENERATE_MAC, number as GrantOperation] }, world);
      expect(failure).toMatchObject({ exception: 'ValidationException', message: names([number]) });
    }
    const all = others.map(({ number }) => number as GrantOperation);
    expect((await refused({ operations: [DESCRIBE_KEY, ...all] }, world)).message).toBe(names(all));
    expect(await world.listed()).toEqual([]);
  });

  it('what makes no sense', async () => {
    const world = await World.start();
    const now = world.clock.now();
    const context = 'EncryptionContext is supported only when creating a grant for a symmetric encryption KMS key.';
    const cases: [GrantInit, string, string][] = [
      [
        { operations: [CREATE_GRANT] },
        'ValidationException',
        'Grants must not contain only the CreateGrant operation.',
      ],
      [
        { operations: [CREATE_GRANT, CREATE_GRANT] },
        'ValidationException',
        'Grants must not contain only the CreateGrant operation.',
      ],
      [{ constraints: { encryptionContextEquals: { a: 'b' } } }, 'ValidationException', context],
      [{ constraints: { encryptionContextSubset: { a: 'b' } } }, 'ValidationException', context],
      [{ expiresAt: timestampFromMs(now) }, 'ValidationException', 'ExpiresAt must be in the future'],
      [{ expiresAt: timestampFromMs(0) }, 'ValidationException', 'ExpiresAt must be in the future'],
      [{ keyId: 'alias/a' }, 'InvalidArnException', 'Key Aliases are not supported for this operation.'],
      ...[
        'orders',
        'arn:aws:sts::000000000000:assumed-role/path/orders/1',
        'arn:aws:iam::12:root',
        'arn:aws:iam::000000000000:group/admins',
      ].flatMap((arn): [GrantInit, string, string][] => [
        [{ granteePrincipal: arn }, 'InvalidArnException', `ARN is not valid: ${arn}`],
        [{ retiringPrincipal: arn }, 'InvalidArnException', `ARN is not valid: ${arn}`],
      ]),
    ];
    for (const [init, exception, message] of cases) {
      expect(await refused(init, world)).toMatchObject({ code: 'InvalidArgument', exception, message });
    }
    expect(await world.listed()).toEqual([]);
  });

  it('an end that no calendar has', async () => {
    const world = await World.start();
    for (const seconds of [253_402_300_800n, 2n ** 60n]) {
      const failure = await refused({ expiresAt: { seconds, nanos: 0 } }, world);
      expect([seconds, failure.exception]).toEqual([seconds, 'ValidationException']);
    }
  });

  it('callers who may not, and tells those of other accounts nothing of the key', async () => {
    const world = await World.start();
    const create = (person: 'orders' | 'partner', keyId = world.keyId) =>
      refusalOf(world.as(person).grants.createGrant(world.request({ keyId })));
    expect(await create('orders')).toEqual(notAllowed('orders', 'CreateGrant', world.arn));
    expect(await create('partner')).toEqual(unknownTo('partner', 'CreateGrant'));
    expect(await create('partner', crypto.randomUUID())).toEqual(unknownTo('partner', 'CreateGrant'));
  });
});

describe('a name', () => {
  it('makes the same request the same grant, with another token each time that works', async () => {
    const world = await World.start({ GRANT_DELAY: '1h' });
    const init = { name: 'n', operations: [GENERATE_MAC, VERIFY_MAC], retiringPrincipal: arnOf('billing') };
    const first = await world.grant(init);
    const again = await world.grant({ ...init, operations: [VERIFY_MAC, GENERATE_MAC, GENERATE_MAC] });
    expect(again.grantId).toBe(first.grantId);
    expect(again.grantToken).not.toBe(first.grantToken);
    expect(await world.generate('orders')).toBe('AccessDeniedException');
    expect(await world.generate('orders', [first.grantToken])).toBe('OK');
    expect(await world.generate('orders', [again.grantToken])).toBe('OK');
    expect(await world.listedIds()).toEqual([first.grantId]);
    // However many make it at the same time.
    const many = await Promise.all(Array.from({ length: 20 }, () => world.grant({ ...init, name: 'm' })));
    expect(new Set(many.map(({ grantId }) => grantId)).size).toBe(1);
    expect((await world.listed()).length).toBe(2);
  });

  it('makes a request that differs in anything another grant', async () => {
    const world = await World.start();
    const expiresAt = timestampFromMs(world.clock.now() + 60_000);
    const inits: GrantInit[] = [
      {},
      { operations: [VERIFY_MAC] },
      { operations: [GENERATE_MAC, RETIRE_GRANT] },
      { granteePrincipal: arnOf('billing') },
      { retiringPrincipal: arnOf('billing') },
      { constraints: { sourceArn: 'arn:aws:s3:::bucket' } },
      { expiresAt },
      { expiresAt: timestampFromMs(world.clock.now() + 60_001) },
    ];
    const made = await Promise.all(inits.map((init) => world.grant({ ...init, name: 'n' })));
    expect(new Set(made.map(({ grantId }) => grantId)).size).toBe(inits.length);
    const { keyId } = await world.makeKey();
    made.push(await world.grant({ keyId, name: 'n' }), await world.grant(), await world.grant());
    expect(new Set(made.map(({ grantId }) => grantId)).size).toBe(inits.length + 3);
  });

  it('makes a new grant when the first was taken back, or has ended', async () => {
    const world = await World.start();
    const init = { name: 'n', expiresAt: timestampFromMs(world.clock.now() + 60_000) };
    const first = await world.grant({ name: 'n' });
    await world.as('admin').grants.revokeGrant({ keyId: world.keyId, grantId: first.grantId });
    const second = await world.grant({ name: 'n' });
    expect(second.grantId).not.toBe(first.grantId);
    expect((await world.grant({ name: 'n' })).grantId).toBe(second.grantId);
    expect(await world.generate('orders')).toBe('OK');
    const third = await world.grant(init);
    world.clock.advance(60_000);
    expect(await world.listedIds()).toEqual([second.grantId]);
    const later = { ...init, expiresAt: timestampFromMs(world.clock.now() + 60_000) };
    expect([first, second, third].map(({ grantId }) => grantId)).not.toContain((await world.grant(later)).grantId);
  });
});
