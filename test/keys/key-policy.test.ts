import { describe, expect, it } from 'vitest';
import { KeySpec, KeyUsage } from '../../src/gen/hmacd/v1/key_pb.ts';
import { MacAlgorithm } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { decisionOf, failureOf, WIRES } from '../support/clients.ts';
import { arnOf, outcomeOf, policyOf, refusalOf, World } from '../grants/world.ts';

const ROOT = { Effect: 'Allow', Principal: { AWS: arnOf('root') }, Action: 'kms:*', Resource: '*' };
const SPEC = { keySpec: KeySpec.HMAC_256, keyUsage: KeyUsage.GENERATE_VERIFY_MAC };
const LOCKOUT = 'The new key policy will not allow you to update the key policy in the future.';

const allowTo = (person: Parameters<typeof arnOf>[0], Action: string, Condition: object = {}) => ({
  Sid: `Allow ${person}`,
  Effect: 'Allow',
  Principal: { AWS: arnOf(person) },
  Action,
  Resource: '*',
  Condition,
});

/** GenerateMac with DryRun. */
const request = (keyId: string) => ({
  keyId,
  macAlgorithm: MacAlgorithm.HMAC_SHA_256,
  message: Buffer.from('m'),
  dryRun: true,
});

/** Puts a policy as the root of the account; answers how it was refused. */
const putRefused = async (world: World, policy: string, bypass = true) =>
  await refusalOf(
    world.as('root').keys.putKeyPolicy({ keyId: world.arn, policy, bypassPolicyLockoutSafetyCheck: bypass }),
  );

describe('GetKeyPolicy', () => {
  it("gives AWS's default policy of a key that was made without one", async () => {
    const world = await World.start();
    const { policy, policyName } = await world.as('root').keys.getKeyPolicy({ keyId: world.keyId });
    expect(policyName).toBe('default');
    expect(policy).toMatch(/^\{\n {2}"Version" : "2012-10-17",\n {2}"Id" : "key-default-1",\n/);
    expect(JSON.parse(policy)).toMatchObject({
      Statement: [{ Sid: 'Enable IAM User Permissions', Principal: { AWS: arnOf('root') }, Action: 'kms:*' }],
    });
  });

  it.each(WIRES)('gives what was put, to the letter, over %s', async (wire) => {
    const world = await World.start();
    const { keys } = world.over(wire, 'root');
    const policy = `\n${JSON.stringify({ Statement: ROOT }, undefined, 3)}\t`;
    await keys.putKeyPolicy({ keyId: world.keyId, policyName: 'default', policy });
    expect((await keys.getKeyPolicy({ keyId: world.arn, policyName: 'default' })).policy).toBe(policy);
  });

  it('refuses aliases, other names of policies, and who may not', async () => {
    const world = await World.start();
    const { keys } = world.as('root');
    const ofAlias = await failureOf(keys.getKeyPolicy({ keyId: 'alias/x' }));
    expect(ofAlias.exception).toBe('InvalidArnException');
    const ofName = await failureOf(keys.getKeyPolicy({ keyId: world.keyId, policyName: 'other' }));
    expect(ofName.exception).toBe('NotFoundException');
    const ofBilling = await failureOf(world.as('billing').keys.getKeyPolicy({ keyId: world.keyId }));
    expect(ofBilling.exception).toBe('AccessDeniedException');
  });
});

describe('ListKeyPolicies', () => {
  it('lists the one there is', async () => {
    const world = await World.start();
    const { keys } = world.as('root');
    const listed = await keys.listKeyPolicies({ keyId: world.keyId });
    expect(listed).toMatchObject({ policyNames: ['default'], truncated: false });
    expect(await refusalOf(keys.listKeyPolicies({ keyId: world.keyId, marker: 'x' }))).toEqual([
      'InvalidMarkerException',
      '',
    ]);
  });
});

describe('PutKeyPolicy', () => {
  it('is in force when it has answered', async () => {
    const world = await World.start();
    expect(await world.generate('billing')).toBe('AccessDeniedException');
    await world.putPolicy([ROOT, allowTo('billing', 'kms:GenerateMac')]);
    expect(await world.generate('billing')).toBe('OK');
    await world.putPolicy([ROOT]);
    expect(await world.generate('billing')).toBe('AccessDeniedException');
  });

  it('is for keys that are pending deletion too', async () => {
    const world = await World.start();
    const { keys } = world.as('root');
    await keys.scheduleKeyDeletion({ keyId: world.keyId });
    await world.putPolicy([ROOT]);
    expect((await keys.getKeyPolicy({ keyId: world.keyId })).policy).toBe(policyOf([ROOT]));
  });

  it('refuses what is no policy, and what could not be enforced, and leaves the policy as it is', async () => {
    const world = await World.start();
    const { keys } = world.as('root');
    const before = (await keys.getKeyPolicy({ keyId: world.keyId })).policy;
    expect(await putRefused(world, 'no policy')).toEqual(['MalformedPolicyDocumentException', '']);
    const stranger = { ...ROOT, Principal: { AWS: 'arn:aws:iam::1:user/x' } };
    expect(await putRefused(world, policyOf([stranger]))).toEqual([
      'MalformedPolicyDocumentException',
      'Policy contains a statement with one or more invalid principals.',
    ]);
    const unknown = { ...ROOT, Condition: { StringEquals: { 'aws:PrincipalOrgID': 'o-1' } } };
    expect(await putRefused(world, policyOf([unknown]))).toEqual([
      'MalformedPolicyDocumentException',
      expect.stringContaining('aws:PrincipalOrgID'),
    ]);
    const service = { ...ROOT, Principal: { Service: 'lambda.amazonaws.com' } };
    expect((await putRefused(world, policyOf([service])))[0]).toBe('MalformedPolicyDocumentException');
    expect((await keys.getKeyPolicy({ keyId: world.keyId })).policy).toBe(before);
  });

  it('takes 32 KiB, and not a byte more', async () => {
    const world = await World.start();
    const { keys } = world.as('root');
    const policy = policyOf([ROOT]);
    const longest = policy + ' '.repeat(32_768 - policy.length);
    await keys.putKeyPolicy({ keyId: world.keyId, policy: longest });
    expect((await putRefused(world, `${longest} `))[0]).toBe('LimitExceededException');
    expect((await putRefused(world, policy + ' '.repeat(131_072)))[0]).toBe('ValidationException');
    expect((await putRefused(world, ''))[0]).toBe('ValidationException');
  });

  it('does not lock its caller out, unless it is told to', async () => {
    const world = await World.start();
    const only = policyOf([allowTo('billing', 'kms:*')]);
    expect(await putRefused(world, only, false)).toEqual(['MalformedPolicyDocumentException', LOCKOUT]);
    const { keys } = world.as('root');
    await keys.putKeyPolicy({ keyId: world.keyId, policy: only, bypassPolicyLockoutSafetyCheck: true });
    expect(await outcomeOf(keys.getKeyPolicy({ keyId: world.keyId }))).toBe('AccessDeniedException');
    expect(await world.generate('billing')).toBe('OK');
  });

  it('may be allowed only without the bypass', async () => {
    const world = await World.start();
    const safe = { Bool: { 'kms:BypassPolicyLockoutSafetyCheck': 'false' } };
    await world.putPolicy([ROOT, allowTo('billing', 'kms:PutKeyPolicy', safe)]);
    const { keys } = world.as('billing');
    const policy = policyOf([ROOT, allowTo('billing', 'kms:PutKeyPolicy')]);
    const put = (bypassPolicyLockoutSafetyCheck: boolean) =>
      outcomeOf(keys.putKeyPolicy({ keyId: world.keyId, policy, bypassPolicyLockoutSafetyCheck }));
    expect([await put(true), await put(false)]).toEqual(['AccessDeniedException', 'OK']);
  });

  it('lets its caller replace it as it was put, where it looks at the bypass', async () => {
    const world = await World.start();
    const policy = policyOf([allowTo('root', '*', { Bool: { 'kms:BypassPolicyLockoutSafetyCheck': 'false' } })]);
    expect(await outcomeOf(world.as('root').keys.putKeyPolicy({ keyId: world.keyId, policy }))).toBe('OK');
  });
});

describe('CreateKey', () => {
  it('takes a policy, which is in force from the beginning', async () => {
    const world = await World.start();
    const { keyId } = await world.makeKey([ROOT, allowTo('billing', 'kms:GenerateMac')]);
    expect(await world.generate('billing', [], keyId)).toBe('OK');
    expect(await world.generate('orders', [], keyId)).toBe('AccessDeniedException');
  });

  it('refuses what PutKeyPolicy refuses', async () => {
    const world = await World.start();
    const { keys } = world.as('root');
    expect(await refusalOf(keys.createKey({ ...SPEC, policy: '{' }))).toEqual(['MalformedPolicyDocumentException', '']);
    const only = policyOf([allowTo('billing', 'kms:*')]);
    expect(await refusalOf(keys.createKey({ ...SPEC, policy: only }))).toEqual([
      'MalformedPolicyDocumentException',
      LOCKOUT,
    ]);
  });

  it('is for the callers of the account whom an identity policy allows it', async () => {
    const world = await World.start();
    expect(await outcomeOf(world.as('admin').keys.createKey(SPEC))).toBe('OK');
    expect(await outcomeOf(world.as('billing').keys.createKey(SPEC))).toBe('AccessDeniedException');
    expect(await outcomeOf(world.as('partnerRoot').keys.createKey(SPEC))).toBe('AccessDeniedException');
  });
});

describe('conditions on', () => {
  it('the algorithm and the alias of a request', async () => {
    const world = await World.start();
    const { aliases, mac } = { aliases: world.as('root').aliases, mac: world.as('billing').mac };
    await aliases.createAlias({ aliasName: 'alias/orders', targetKeyId: world.keyId });
    const byAlias = { StringEquals: { 'kms:RequestAlias': 'alias/orders', 'kms:MacAlgorithm': 'HMAC_SHA_256' } };
    await world.putPolicy([ROOT, allowTo('billing', 'kms:GenerateMac', byAlias)]);
    const ask = (keyId: string, macAlgorithm: MacAlgorithm = MacAlgorithm.HMAC_SHA_256) =>
      outcomeOf(mac.generateMac({ keyId, macAlgorithm, message: Buffer.from('m') }));
    expect(await ask('alias/orders')).toBe('OK');
    expect(await ask(world.keyId)).toBe('AccessDeniedException');
    expect(await ask('alias/orders', MacAlgorithm.HMAC_SHA_512)).toBe('AccessDeniedException');
  });

  it('the aliases of a key follow the aliases', async () => {
    const world = await World.start();
    const { aliases } = world.as('root');
    const shared = { 'ForAnyValue:StringLike': { 'kms:ResourceAliases': 'alias/shared-*' } };
    await world.putPolicy([ROOT, allowTo('billing', 'kms:GenerateMac', shared)]);
    expect(await world.generate('billing')).toBe('AccessDeniedException');
    await aliases.createAlias({ aliasName: 'alias/shared-1', targetKeyId: world.keyId });
    expect(await world.generate('billing')).toBe('OK');
    await aliases.deleteAlias({ aliasName: 'alias/shared-1' });
    expect(await world.generate('billing')).toBe('AccessDeniedException');
  });
});

describe('what decided', () => {
  it('is told by DryRun', async () => {
    const world = await World.start();
    await world.putPolicy([ROOT, allowTo('billing', 'kms:GenerateMac')]);
    const { grantId } = await world.grant();
    const decidedFor = async (person: 'root' | 'billing' | 'orders') =>
      await decisionOf(world.as(person).mac.generateMac(request(world.keyId)));
    expect(await decidedFor('root')).toBe('key policy: statement 1');
    expect(await decidedFor('billing')).toBe('key policy: Allow billing');
    expect(await decidedFor('orders')).toBe(`grant ${grantId}`);
  });

  it('is told by a denial to those who may read the policy', async () => {
    const world = await World.start();
    const deny = { ...allowTo('billing', 'kms:GenerateMac'), Sid: 'Not today', Effect: 'Deny' };
    const denied = async (...statements: object[]) => {
      await world.putPolicy([ROOT, ...statements]);
      return await decisionOf(world.as('billing').mac.generateMac(request(world.keyId)));
    };
    expect(await denied(deny)).toBeUndefined();
    expect(await denied(deny, allowTo('billing', 'kms:GetKeyPolicy'))).toBe('key policy: Not today');
    expect(await denied(allowTo('billing', 'kms:GetKeyPolicy'))).toBe('no statement allows it');
  });
});
