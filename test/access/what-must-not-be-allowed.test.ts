import { describe, expect, it } from 'vitest';
import { Policy } from '../../src/access/policy.ts';
import { principalOf } from '../../src/access/principal.ts';
import { Principals } from '../../src/access/principals.ts';
import { KeySpec, KeyUsage } from '../../src/gen/hmacd/v1/key_pb.ts';
import { failureOf } from '../support/clients.ts';
import { macRequest, outcomeOf, World } from '../grants/world.ts';

const ACCOUNT = '000000000000';
const entry = (arn: string, ...statements: object[]) => ({
  arn,
  policies: statements.length === 0 ? [] : [Policy.ofIdentity({ Statement: statements })],
  tokenDigests: [arn],
  tlsIdentities: [],
  accessKeys: [] as never[],
});
const request = (principal: ReturnType<typeof principalOf>) => ({
  action: 'GenerateMac',
  resource: '*',
  principal,
  context: () => undefined,
});

describe('a session', () => {
  const session = `arn:aws:sts::${ACCOUNT}:assumed-role/ops/1`;

  it('has the policies of its role beside its own, whatever the path of the role', () => {
    const deny = { Effect: 'Deny', Action: 'kms:GenerateMac', Resource: '*' };
    const principals = new Principals([entry(`arn:aws:iam::${ACCOUNT}:role/team/ops`, deny), entry(session)] as never);
    const { policies } = principals.byBearerToken(session)!;
    expect(policies.map((policy) => policy.evaluate(request(principalOf(session, [], 'jwt'))).denied?.name)).toEqual([
      'statement 1',
    ]);
  });

  it('is meant by a key policy that names its role with a path', () => {
    const deny = {
      Effect: 'Deny',
      Principal: { AWS: `arn:aws:iam::${ACCOUNT}:role/team/ops` },
      Action: '*',
      Resource: '*',
    };
    const policy = Policy.ofKey(JSON.stringify({ Statement: deny }), 'aws');
    expect(policy.evaluate(request(principalOf(session, [], 'jwt'))).denied?.name).toBe('statement 1');
    const other = principalOf(`arn:aws:sts::${ACCOUNT}:assumed-role/team/1`, [], 'jwt');
    expect(policy.evaluate(request(other)).denied).toBeUndefined();
  });
});

it('A statement is not named by more than 256 characters of its Sid', () => {
  const statement = { Sid: 'ÿ'.repeat(15_000), Effect: 'Allow', Principal: '*', Action: '*', Resource: '*' };
  const policy = Policy.ofKey(JSON.stringify({ Statement: statement }), 'aws');
  const { allowed } = policy.evaluate(request(principalOf(`arn:aws:iam::${ACCOUNT}:root`, [], 'bearer')));
  expect(allowed?.name.length).toBeLessThanOrEqual(257);
});

describe('a caller of another account', () => {
  it('is not told in the details of an error either that there is a key', async () => {
    const world = await World.start();
    const { mac, keys } = world.as('partner');
    const absent = world.arn.replace(world.keyId, '00000000-0000-4000-8000-000000000000');
    for (const keyId of [world.arn, absent]) {
      expect((await failureOf(mac.generateMac(macRequest(keyId)))).keyArn).toBeUndefined();
      expect((await failureOf(keys.describeKey({ keyId }))).keyArn).toBeUndefined();
    }
  });
});

it('CreateKey is denied by a condition on what is asked for', async () => {
  const world = await World.start();
  const { keys } = world.as('without224');
  const create = (keySpec: KeySpec) => outcomeOf(keys.createKey({ keySpec, keyUsage: KeyUsage.GENERATE_VERIFY_MAC }));
  expect(await create(KeySpec.HMAC_224)).toBe('AccessDeniedException');
  expect(await create(KeySpec.HMAC_256)).toBe('OK');
});
