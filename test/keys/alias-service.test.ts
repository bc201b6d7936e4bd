import { timestampMs } from '@bufbuild/protobuf/wkt';
import { afterAll, describe, expect, it } from 'vitest';
import { KeySpec } from '../../src/gen/hmacd/v1/key_pb.ts';
import { failureOf } from '../support/clients.ts';
import { FakeClock, startService } from '../support/running-service.ts';
import { ARN, makeKey } from './fixture.ts';

const clock = new FakeClock();
const running = await startService({}, { clock });
afterAll(() => running[Symbol.asyncDispose]());
const { aliases } = running.clients.gRPC;

const { keyId, arn } = await makeKey(running.clients.gRPC);
const other = await makeKey(running.clients.gRPC);
const unlike = await makeKey(running.clients.gRPC, KeySpec.HMAC_512);
const UNKNOWN = '00000000-0000-4000-8000-000000000000';
let count = 0;
const newName = (): string => `alias/rules-${++count}`;

async function namesOf(ofKey: string): Promise<string[]> {
  return (await aliases.listAliases({ keyId: ofKey })).aliases.map(({ aliasName }) => aliasName);
}

const PREFIX =
  'Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html';
const characters = (name: string) =>
  `1 validation error detected: Value '${name}' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$`;

const NAMES = [
  ['without the prefix', 'orders', 'ValidationException', 'InvalidArgument', PREFIX],
  ['with the prefix in capitals', 'ALIAS/orders', 'ValidationException', 'InvalidArgument', PREFIX],
  [
    'with a colon',
    'alias/my:alias',
    'InvalidAliasNameException',
    'InvalidArgument',
    'alias/my:alias contains invalid characters for an alias',
  ],
  [
    'of the prefix alone',
    'alias/',
    'InvalidAliasNameException',
    'InvalidArgument',
    'alias/ contains invalid characters for an alias',
  ],
  ['with a space', 'alias/my alias', 'ValidationException', 'InvalidArgument', characters('alias/my alias')],
  ['with an umlaut', 'alias/ä', 'ValidationException', 'InvalidArgument', characters('alias/ä')],
  ['with a line break at its end', 'alias/x\n', 'ValidationException', 'InvalidArgument', characters('alias/x\n')],
  [
    'that is empty',
    '',
    'ValidationException',
    'InvalidArgument',
    "1 validation error detected: Value '' at 'aliasName' failed to satisfy constraint: Member must have length greater than or equal to 1",
  ],
  ['that is reserved', 'alias/aws/orders', 'NotAuthorizedException', 'PermissionDenied', ''],
  ['that is the reserved prefix', 'alias/aws/', 'NotAuthorizedException', 'PermissionDenied', ''],
] as const;

describe.each([
  ['CreateAlias', (aliasName: string) => aliases.createAlias({ aliasName, targetKeyId: keyId })],
  ['UpdateAlias', (aliasName: string) => aliases.updateAlias({ aliasName, targetKeyId: keyId })],
  ['DeleteAlias', (aliasName: string) => aliases.deleteAlias({ aliasName })],
])('%s', (_operation, act) => {
  it.each(NAMES)('refuses a name %s', async (_, name, exception, code, message) => {
    expect(await failureOf(act(name))).toMatchObject({ exception, code, message });
  });

  it('refuses a name of more than 256 characters', async () => {
    const failure = await failureOf(act(`alias/${'x'.repeat(251)}`));
    expect(failure.message).toMatch(/at 'aliasName' .*: Member must have length less than or equal to 256$/);
  });
});

describe.each([
  ['CreateAlias', async (targetKeyId: string) => await aliases.createAlias({ aliasName: newName(), targetKeyId })],
  [
    'UpdateAlias',
    async (targetKeyId: string) => {
      const aliasName = newName();
      await aliases.createAlias({ aliasName, targetKeyId: keyId });
      return await aliases.updateAlias({ aliasName, targetKeyId });
    },
  ],
])('the target of %s', (operation, act) => {
  it.each([
    ['an unknown key', UNKNOWN, 'NotFoundException', `Key '${ARN}key/${UNKNOWN}' does not exist`],
    ['no identifier', 'orders', 'NotFoundException', "Invalid keyId 'orders'"],
    ['an alias', 'alias/x', 'InvalidArnException', 'Key Aliases are not supported for this operation.'],
    ['an alias ARN', `${ARN}alias/x`, 'InvalidArnException', 'Key Aliases are not supported for this operation.'],
    [
      'a key of another account',
      `arn:aws:kms:us-east-1:111111111111:key/${UNKNOWN}`,
      'AccessDeniedException',
      `User: arn:aws:iam::000000000000:root is not authorized to perform: kms:${operation} on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access`,
    ],
  ])('must not be %s', async (_, targetKeyId, exception, message) => {
    expect(await failureOf(act(targetKeyId))).toMatchObject({ exception, message });
  });

  it('may be named by ARN', async () => {
    await act(arn);
    expect(await namesOf(keyId)).toContain(`alias/rules-${count}`);
  });
});

describe('an alias', () => {
  it('has a name of up to 256 characters of every kind that is allowed', async () => {
    const names = [`alias/${'x'.repeat(250)}`, 'alias/a', 'alias/Az09/_-', 'alias/awsome', 'alias//'];
    const own = await makeKey(running.clients.gRPC);
    for (const aliasName of names) await aliases.createAlias({ aliasName, targetKeyId: own.keyId });
    expect(await namesOf(own.keyId)).toEqual(names.toSorted());
  });

  it('is given once', async () => {
    const aliasName = newName();
    await aliases.createAlias({ aliasName, targetKeyId: keyId });
    for (const targetKeyId of [keyId, other.keyId]) {
      expect(await failureOf(aliases.createAlias({ aliasName, targetKeyId }))).toMatchObject({
        exception: 'AlreadyExistsException',
        code: 'AlreadyExists',
        message: `An alias with the name ${ARN}${aliasName} already exists`,
      });
    }
    expect(await namesOf(keyId)).toContain(aliasName);
  });

  it('that is unknown is neither moved nor deleted', async () => {
    const unknown = { exception: 'NotFoundException', code: 'NotFound', message: `Alias ${ARN}alias/no is not found.` };
    expect(await failureOf(aliases.updateAlias({ aliasName: 'alias/no', targetKeyId: keyId }))).toMatchObject(unknown);
    expect(await failureOf(aliases.deleteAlias({ aliasName: 'alias/no' }))).toMatchObject(unknown);
  });

  it('moves to another key of the same spec, and says when', async () => {
    const aliasName = newName();
    await aliases.createAlias({ aliasName, targetKeyId: keyId });
    const made = clock.now();
    clock.advance(5_000);
    await aliases.updateAlias({ aliasName, targetKeyId: other.keyId });
    expect(await namesOf(keyId)).not.toContain(aliasName);
    const { aliases: listed } = await aliases.listAliases({ keyId: other.keyId });
    const entry = listed.find((alias) => alias.aliasName === aliasName)!;
    expect(entry).toMatchObject({ aliasArn: ARN + aliasName, targetKeyId: other.keyId });
    expect(timestampMs(entry.creationDate!)).toBe(made);
    expect(timestampMs(entry.lastUpdatedDate!)).toBe(made + 5_000);
  });

  it('stays on its key when it is moved there', async () => {
    const aliasName = newName();
    await aliases.createAlias({ aliasName, targetKeyId: keyId });
    const before = await namesOf(keyId);
    await aliases.updateAlias({ aliasName, targetKeyId: keyId });
    expect(await namesOf(keyId)).toEqual(before);
  });

  it('does not move to a key of another spec', async () => {
    const aliasName = newName();
    await aliases.createAlias({ aliasName, targetKeyId: keyId });
    expect(await failureOf(aliases.updateAlias({ aliasName, targetKeyId: unlike.keyId }))).toMatchObject({
      exception: 'ValidationException',
      message: `Alias ${aliasName} cannot be changed from a KMS key with key spec HMAC_256 to a KMS key with key spec HMAC_512. The key spec of the current KMS key and the new KMS key must be the same.`,
    });
    expect(await namesOf(keyId)).toContain(aliasName);
    expect(await namesOf(unlike.keyId)).toEqual([]);
  });

  it('is gone when it was deleted, and can be given again to any key', async () => {
    const aliasName = newName();
    await aliases.createAlias({ aliasName, targetKeyId: keyId });
    await aliases.deleteAlias({ aliasName });
    expect(await namesOf(keyId)).not.toContain(aliasName);
    expect((await failureOf(aliases.deleteAlias({ aliasName }))).exception).toBe('NotFoundException');
    await aliases.createAlias({ aliasName, targetKeyId: unlike.keyId });
    expect(await namesOf(unlike.keyId)).toEqual([aliasName]);
  });
});
