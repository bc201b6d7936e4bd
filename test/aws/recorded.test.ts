import {
  CancelKeyDeletionCommand,
  CreateAliasCommand,
  CreateGrantCommand,
  CreateKeyCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  EncryptCommand,
  GenerateMacCommand,
  GetKeyPolicyCommand,
  type KMSClient,
  ListGrantsCommand,
  PutKeyPolicyCommand,
  RetireGrantCommand,
  RevokeGrantCommand,
  ScheduleKeyDeletionCommand,
  UpdateAliasCommand,
  VerifyMacCommand,
} from '@aws-sdk/client-kms';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../support/running-service.ts';
import { ACCOUNT, AwsWorld, PEOPLE, type Person } from './world.ts';

// What AWS KMS itself was seen to answer, character by character, through AWS's own SDK.

const SPECS = ['HMAC_224', 'HMAC_256', 'HMAC_384', 'HMAC_512'] as const;
const ALGORITHMS = ['HMAC_SHA_224', 'HMAC_SHA_256', 'HMAC_SHA_384', 'HMAC_SHA_512'] as const;
const LENGTHS = [28, 32, 48, 64] as const;
const DRY_RUN = ['DryRunOperationException', 'The request would have succeeded, but the DryRun option is set.'];
const ROLE = PEOPLE.orders.arn;

/** What the SDK throws: the name of the exception and its text, which is empty where AWS sends none. */
async function refusalOf(call: Promise<unknown>): Promise<[name: string, message: string, status: number]> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason as { name: string; message: string; $metadata: { httpStatusCode: number } },
  );
  if (error === undefined) throw new Error('it succeeded');
  // Of an error without a text, the SDK makes one of its name.
  const message = error.message === error.name || error.message === 'UnknownError' ? '' : error.message;
  return [error.name, message, error.$metadata.httpStatusCode];
}

interface Setting {
  readonly world: AwsWorld;
  readonly kms: KMSClient;
  readonly clock: FakeClock;
  readonly keyId: string;
  readonly arn: string;
  readonly spec: (typeof SPECS)[number];
  readonly algorithm: (typeof ALGORITHMS)[number];
  readonly as: (person: Person) => KMSClient;
}

async function set(n = 1): Promise<Setting> {
  const clock = new FakeClock(Math.floor(Date.now() / 1_000) * 1_000);
  const world = await AwsWorld.start({}, { clock });
  const kms = world.kms();
  const spec = SPECS[n]!;
  const made = await kms.send(new CreateKeyCommand({ KeySpec: spec, KeyUsage: 'GENERATE_VERIFY_MAC' }));
  const { KeyId, Arn } = made.KeyMetadata!;
  const algorithm = ALGORITHMS[n]!;
  return { world, kms, clock, keyId: KeyId!, arn: Arn!, spec, algorithm, as: (person) => world.kms(person) };
}

const message = Buffer.from('message');
const generate = ({ kms, keyId, algorithm }: Setting, more: object = {}, client = kms) =>
  client.send(new GenerateMacCommand({ KeyId: keyId, MacAlgorithm: algorithm, Message: message, ...more }));
const verify = ({ kms, keyId, algorithm }: Setting, Mac: Uint8Array, more: object = {}) =>
  kms.send(new VerifyMacCommand({ KeyId: keyId, MacAlgorithm: algorithm, Message: message, Mac, ...more }));
const grant = ({ kms, keyId }: Setting, more: object = {}) =>
  kms.send(new CreateGrantCommand({ KeyId: keyId, GranteePrincipal: ROLE, Operations: ['GenerateMac'], ...more }));

describe.each([0, 1, 2, 3])('MACs of key spec %d', (n) => {
  it('have the length of the hash, and are the same for the same input', async () => {
    const setting = await set(n);
    const [one, other] = [await generate(setting), await generate(setting)];
    expect(one.Mac!.length).toBe(LENGTHS[n]);
    expect(one.Mac).toEqual(other.Mac);
    expect([one.KeyId, one.MacAlgorithm]).toEqual([setting.arn, setting.algorithm]);
    expect(await verify(setting, one.Mac!)).toMatchObject({ MacValid: true, KeyId: setting.arn });
    expect((await generate(setting, { Message: Buffer.alloc(4_096) })).Mac!.length).toBe(LENGTHS[n]);
  });

  it('are refused as recorded', async () => {
    const setting = await set(n);
    const { kms, keyId, arn, spec } = setting;
    const Mac = (await generate(setting)).Mac!;
    const wrong = Uint8Array.from(Mac, (byte, at) => (at === 0 ? byte ^ 1 : byte));
    const cases: [Promise<unknown>, readonly string[]][] = [
      [
        generate(setting, { Message: new Uint8Array() }),
        [
          'ValidationException',
          "1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ],
      ],
      [
        generate(setting, { Message: Buffer.alloc(4_097) }),
        [
          'ValidationException',
          "1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length less than or equal to 4096",
        ],
      ],
      [
        generate(setting, { MacAlgorithm: ALGORITHMS[(n + 1) % 4] }),
        ['InvalidKeyUsageException', `Algorithm ${ALGORITHMS[(n + 1) % 4]} is incompatible with key spec ${spec}.`],
      ],
      [verify(setting, wrong), ['KMSInvalidMacException', '']],
      [verify(setting, Mac.subarray(1)), ['KMSInvalidMacException', '']],
      [generate(setting, { DryRun: true }), DRY_RUN],
      [verify(setting, Mac, { DryRun: true }), DRY_RUN],
      [verify(setting, wrong, { DryRun: true }), ['KMSInvalidMacException', '']],
      [
        kms.send(new EncryptCommand({ KeyId: keyId, Plaintext: message })),
        ['InvalidKeyUsageException', `${arn} key usage is GENERATE_VERIFY_MAC which is not valid for Encrypt.`],
      ],
      [
        grant(setting, { Operations: ['Encrypt'] }),
        [
          'ValidationException',
          'Operations [Encrypt] are not supported when creating a grant for a symmetric KMS key with key usage GENERATE_VERIFY_MAC. Valid operations are [CreateGrant, RetireGrant, DescribeKey, GenerateMac, VerifyMac]',
        ],
      ],
      [
        grant(setting, { Constraints: { EncryptionContextEquals: { a: 'b' } } }),
        [
          'ValidationException',
          'EncryptionContext is supported only when creating a grant for a symmetric encryption KMS key.',
        ],
      ],
    ];
    for (const [call, expected] of cases) expect(await refusalOf(call)).toEqual([...expected, 400]);
  });

  it('are refused by the state of the key before the algorithm', async () => {
    const setting = await set(n);
    const { kms, keyId, arn } = setting;
    await kms.send(new DisableKeyCommand({ KeyId: keyId }));
    for (const MacAlgorithm of ALGORITHMS) {
      expect(await refusalOf(generate(setting, { MacAlgorithm }))).toEqual([
        'DisabledException',
        `${arn} is disabled.`,
        400,
      ]);
    }
    const scheduled = await kms.send(new ScheduleKeyDeletionCommand({ KeyId: keyId, PendingWindowInDays: 7 }));
    expect(scheduled).toMatchObject({ KeyId: arn, KeyState: 'PendingDeletion', PendingWindowInDays: 7 });
    expect(scheduled.DeletionDate).toBeInstanceOf(Date);
    expect(await refusalOf(generate(setting))).toEqual([
      'KMSInvalidStateException',
      `${arn} is pending deletion.`,
      400,
    ]);
  });
});

describe('keys and aliases', () => {
  it('are refused as recorded', async () => {
    const setting = await set();
    const { kms, keyId, arn } = setting;
    const AliasName = 'alias/x';
    await kms.send(new CreateAliasCommand({ AliasName, TargetKeyId: keyId }));
    const unknown = '00000000-0000-4000-8000-000000000000';
    const cases: [Promise<unknown>, readonly string[]][] = [
      [
        kms.send(new CreateAliasCommand({ AliasName, TargetKeyId: keyId })),
        ['AlreadyExistsException', `An alias with the name arn:aws:kms:us-east-1:${ACCOUNT}:alias/x already exists`],
      ],
      [
        kms.send(new DescribeKeyCommand({ KeyId: unknown })),
        ['NotFoundException', `Key 'arn:aws:kms:us-east-1:${ACCOUNT}:key/${unknown}' does not exist`],
      ],
      [
        kms.send(new ScheduleKeyDeletionCommand({ KeyId: keyId, PendingWindowInDays: 1 })),
        ['ValidationException', 'PendingWindowInDays must be between 7 and 30'],
      ],
      [
        kms.send(new CreateGrantCommand({ KeyId: AliasName, GranteePrincipal: ROLE, Operations: ['GenerateMac'] })),
        ['InvalidArnException', 'Key Aliases are not supported for this operation.'],
      ],
      [
        grant(setting, { Operations: ['CreateGrant'] }),
        ['ValidationException', 'Grants must not contain only the CreateGrant operation.'],
      ],
      [
        grant(setting, { GranteePrincipal: `arn:aws:sts::${ACCOUNT}:assumed-role/path/role/session` }),
        ['InvalidArnException', `ARN is not valid: arn:aws:sts::${ACCOUNT}:assumed-role/path/role/session`],
      ],
      [
        kms.send(
          new PutKeyPolicyCommand({
            KeyId: keyId,
            Policy: JSON.stringify({
              Version: '2012-10-17',
              Statement: [{ Effect: 'Allow', Principal: { AWS: ROLE }, Action: 'kms:DescribeKey', Resource: '*' }],
            }),
          }),
        ),
        [
          'MalformedPolicyDocumentException',
          'The new key policy will not allow you to update the key policy in the future.',
        ],
      ],
    ];
    for (const [call, expected] of cases) expect(await refusalOf(call)).toEqual([...expected, 400]);
    await kms.send(new UpdateAliasCommand({ AliasName, TargetKeyId: keyId }));
    expect((await kms.send(new CancelKeyDeletionCommand({ KeyId: keyId })).catch(refusalName)) as string).toBe(
      'KMSInvalidStateException',
    );
    expect(arn).toContain(keyId);
  });

  it('that are past their date are not found', async () => {
    const setting = await set();
    const { kms, keyId, arn, clock, world } = setting;
    await kms.send(new ScheduleKeyDeletionCommand({ KeyId: keyId, PendingWindowInDays: 7 }));
    clock.advance(7 * 86_400_000);
    const late = world.kms('root', { systemClockOffset: 7 * 86_400_000 });
    expect(await refusalOf(late.send(new DescribeKeyCommand({ KeyId: keyId })))).toEqual([
      'NotFoundException',
      `Key '${arn}' does not exist`,
      400,
    ]);
  });

  it('have the default policy, character by character', async () => {
    const { kms, keyId } = await set();
    const { Policy, PolicyName } = await kms.send(new GetKeyPolicyCommand({ KeyId: keyId, PolicyName: 'default' }));
    expect(PolicyName).toBe('default');
    expect(Policy).toBe(`{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "arn:aws:iam::${ACCOUNT}:root"
    },
    "Action" : "kms:*",
    "Resource" : "*"
  } ]
}`);
  });
});

describe('grants', () => {
  it('are listed as recorded, and taken back without an answer', async () => {
    const setting = await set();
    const { kms, keyId, arn } = setting;
    const made = await grant(setting);
    expect(made.GrantId).toMatch(/^[0-9a-f]{64}$/);
    expect(made.GrantToken).toMatch(/^A[\w-]+$/);
    const { Grants, Truncated } = await kms.send(new ListGrantsCommand({ KeyId: keyId }));
    expect(Truncated).toBe(false);
    expect(Grants).toEqual([
      {
        KeyId: arn,
        GrantId: made.GrantId,
        Name: '',
        CreationDate: expect.any(Date),
        GranteePrincipal: ROLE,
        IssuingAccount: `arn:aws:iam::${ACCOUNT}:root`,
        Operations: ['GenerateMac'],
      },
    ]);
    const { $metadata: _, ...answer } = await kms.send(new RevokeGrantCommand({ KeyId: keyId, GrantId: made.GrantId }));
    expect(answer).toEqual({});
    const again = kms.send(new RevokeGrantCommand({ KeyId: keyId, GrantId: made.GrantId }));
    expect(await refusalOf(again)).toEqual(['NotFoundException', '', 400]);
    const other = await grant(setting);
    const { $metadata, ...retired } = await kms.send(new RetireGrantCommand({ GrantToken: other.GrantToken }));
    expect([retired, $metadata.httpStatusCode]).toEqual([{}, 200]);
  });

  it('of a name are the same grant for the same request, and another for another', async () => {
    const setting = await set();
    const Name = 'n';
    const [one, same, other] = [
      await grant(setting, { Name }),
      await grant(setting, { Name }),
      await grant(setting, { Name, Operations: ['VerifyMac'] }),
    ];
    expect(same.GrantId).toBe(one.GrantId);
    expect(same.GrantToken).not.toBe(one.GrantToken);
    expect(other.GrantId).not.toBe(one.GrantId);
  });
});

describe('callers', () => {
  it('are denied as recorded', async () => {
    const setting = await set();
    const { keyId, arn, kms, as } = setting;
    expect(await refusalOf(generate(setting, {}, as('orders')))).toEqual([
      'AccessDeniedException',
      `User: ${ROLE} is not authorized to perform: kms:GenerateMac on resource: ${arn} because no identity-based policy allows the kms:GenerateMac action`,
      400,
    ]);
    const unknown = `on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access`;
    expect(await refusalOf(as('partner').send(new DescribeKeyCommand({ KeyId: arn })))).toEqual([
      'AccessDeniedException',
      `User: ${PEOPLE.partner.arn} is not authorized to perform: kms:DescribeKey ${unknown}`,
      400,
    ]);
    await grant(setting);
    expect((await generate(setting, {}, as('orders'))).KeyId).toBe(arn);
    const Policy = JSON.stringify({
      Version: '2012-10-17',
      Statement: [
        { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` }, Action: 'kms:*', Resource: '*' },
        { Effect: 'Deny', Principal: { AWS: ROLE }, Action: 'kms:GenerateMac', Resource: '*' },
      ],
    });
    await kms.send(new PutKeyPolicyCommand({ KeyId: keyId, Policy }));
    expect(await refusalOf(generate(setting, {}, as('orders')))).toEqual([
      'AccessDeniedException',
      `User: ${ROLE} is not authorized to perform: kms:GenerateMac on resource: ${arn} with an explicit deny in a resource-based policy`,
      400,
    ]);
  });
});

function refusalName(error: unknown): string {
  return (error as Error).name;
}
