import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/deployment.ts';
import { startService } from '../support/running-service.ts';
import { AwsWorld, type RawRequest, sendRaw, unsigned } from './world.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** A service that takes every caller for the root of the account. */
async function startAnonymous(settings: Readonly<Record<string, string>> = {}) {
  const running = await startService(settings);
  const world = { url: `http://127.0.0.1:${running.httpPort}` } as AwsWorld;
  const send = async (operation: string, body: unknown = {}) => await sendRaw(world, unsigned(operation, body));
  const error = async (operation: string, body: unknown): Promise<unknown> => {
    const { status, body: answer } = await send(operation, body);
    expect(status).toBe(400);
    return answer;
  };
  return { running, world, send, error, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() };
}

/** A request of ListKeys that is not quite as it should be. */
const other = (headers: Record<string, string>, init: Partial<RawRequest> = {}): RawRequest => {
  const request = unsigned('ListKeys');
  return { ...request, headers: { ...request.headers, ...headers }, ...init };
};

describe('an answer', () => {
  it('has the headers of AWS', async () => {
    await using service = await startAnonymous();
    const { status, headers, body } = await service.send('ListKeys');
    expect(status).toBe(200);
    expect(body).toEqual({ Keys: [], Truncated: false });
    expect(headers.get('content-type')).toBe('application/x-amz-json-1.1');
    expect(headers.get('x-amzn-requestid')).toMatch(UUID);
    expect(headers.get('cache-control')).toBe('no-cache, no-store, must-revalidate, private');
    expect([headers.get('pragma'), headers.get('expires')]).toEqual(['no-cache', '0']);
  });

  it('has the request ID of the audit log, whatever became of the call', async () => {
    const auditLog = join(temporaryFolder(), 'audit.log');
    const ids: (string | null)[] = [];
    {
      await using service = await startAnonymous({ AUDIT_LOG: auditLog });
      for (const [operation, body] of [
        ['ListKeys', {}],
        ['DescribeKey', { KeyId: 'alias/none' }],
        ['ListKeys', { Limit: 'x' }],
        ['ListKeys', '{'],
      ] as const) {
        ids.push((await service.send(operation, body)).headers.get('x-amzn-requestid'));
      }
    }
    const lines = readFileSync(auditLog, 'utf8').trim().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { requestId: string }).requestId)).toEqual(ids);
  });

  it('of an operation that answers nothing is empty', async () => {
    await using service = await startAnonymous();
    const { body } = await service.send('CreateKey', { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' });
    const { KeyId } = body['KeyMetadata'] as { KeyId: string };
    const { status, text, headers } = await service.send('DisableKey', { KeyId });
    expect([status, text, headers.get('content-length')]).toEqual([200, '', '0']);
  });

  it('writes dates as seconds, blobs in Base64, and enums as AWS spells them', async () => {
    await using service = await startAnonymous();
    const before = Date.now() / 1_000;
    const made = await service.send('CreateKey', {
      CustomerMasterKeySpec: 'HMAC_224',
      KeyUsage: 'GENERATE_VERIFY_MAC',
      Description: 'ä "quoted"',
    });
    const metadata = made.body['KeyMetadata'] as Record<string, unknown>;
    const { KeyId, Arn, CreationDate } = metadata as { KeyId: string; Arn: string; CreationDate: number };
    expect(metadata).toEqual({
      AWSAccountId: '000000000000',
      KeyId,
      Arn: `arn:aws:kms:us-east-1:000000000000:key/${KeyId}`,
      CreationDate,
      Enabled: true,
      Description: 'ä "quoted"',
      KeyUsage: 'GENERATE_VERIFY_MAC',
      KeyState: 'Enabled',
      Origin: 'AWS_KMS',
      KeyManager: 'CUSTOMER',
      CustomerMasterKeySpec: 'HMAC_224',
      KeySpec: 'HMAC_224',
      MultiRegion: false,
      MacAlgorithms: ['HMAC_SHA_224'],
    });
    expect(CreationDate).toBeGreaterThanOrEqual(Math.floor(before));
    expect(CreationDate).toBeLessThan(before + 60);
    expect(made.text).toMatch(/"CreationDate":\d{10}(\.\d{1,3})?,/);
    const generated = await service.send('GenerateMac', {
      KeyId: Arn,
      MacAlgorithm: 'HMAC_SHA_224',
      Message: Buffer.from('message').toString('base64'),
    });
    const { Mac } = generated.body as { Mac: string };
    expect(generated.body).toEqual({ Mac, MacAlgorithm: 'HMAC_SHA_224', KeyId: Arn });
    expect(Buffer.from(Mac, 'base64').length).toBe(28);
    const grant = { KeyId, GranteePrincipal: 'arn:aws:iam::000000000000:role/orders', Operations: ['GenerateMac'] };
    await service.send('CreateGrant', grant);
    const { Grants } = (await service.send('ListGrants', { KeyId })).body as { Grants: Record<string, unknown>[] };
    expect(Grants).toEqual([
      {
        KeyId: Arn,
        GrantId: expect.stringMatching(/^[0-9a-f]{64}$/),
        Name: '',
        CreationDate: expect.any(Number),
        GranteePrincipal: grant.GranteePrincipal,
        IssuingAccount: 'arn:aws:iam::000000000000:root',
        Operations: ['GenerateMac'],
      },
    ]);
    expect(Number.isInteger(Grants[0]!['CreationDate'])).toBe(true);
  });

  it('has none of the members that AWS does not have', async () => {
    await using service = await startAnonymous();
    const { keyMetadata } = await service.running.clients.gRPC.keys.createKey({ keySpec: 2, keyUsage: 1 });
    const { keyId } = keyMetadata!;
    const expiresAt = { seconds: BigInt(Math.floor(Date.now() / 1_000) + 1_000), nanos: 0 };
    const granteePrincipal = 'arn:aws:iam::000000000000:role/orders';
    await service.running.clients.gRPC.grants.createGrant({ keyId, granteePrincipal, operations: [1], expiresAt });
    const { body } = await service.send('ListGrants', { KeyId: keyId });
    expect(Object.keys((body['Grants'] as object[])[0]!)).not.toContain('ExpiresAt');
  });

  it('has a key with versions as any other, which rotates', async () => {
    await using service = await startAnonymous();
    const { send } = service;
    const { createKey } = service.running.clients.gRPC.keys;
    const { keyMetadata } = await createKey({ keySpec: 2, keyUsage: 1, rotationEnabled: true });
    const KeyId = keyMetadata!.keyId;
    const plain = (
      await send('CreateKey', { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC', RotationEnabled: true })
    ).body['KeyMetadata'] as Record<string, unknown>;
    expect((await send('RotateKeyOnDemand', { KeyId: plain['KeyId'] })).body).toEqual({
      __type: 'UnsupportedOperationException',
    });
    const described = (await send('DescribeKey', { KeyId })).body['KeyMetadata'] as object;
    expect(Object.keys(described).toSorted()).toEqual(Object.keys(plain).toSorted());
    const mac = { KeyId, Message: 'aGVsbG8=', MacAlgorithm: 'HMAC_SHA_256' };
    const { body: made } = await send('GenerateMac', mac);
    expect(Object.keys(made).toSorted()).toEqual(['KeyId', 'Mac', 'MacAlgorithm']);
    expect((await send('RotateKeyOnDemand', { KeyId })).body).toEqual({ KeyId: keyMetadata!.arn });
    expect((await send('ListKeyRotations', { KeyId })).body).toEqual({
      Rotations: [{ KeyId: keyMetadata!.arn, RotationDate: expect.any(Number), RotationType: 'ON_DEMAND' }],
      Truncated: false,
    });
    const { body: verified } = await send('VerifyMac', { ...mac, Mac: made['Mac'] });
    expect(verified).toEqual({ KeyId: keyMetadata!.arn, MacAlgorithm: 'HMAC_SHA_256', MacValid: true });
    const retired = await send('RetireKeyVersion', { KeyId, KeyVersion: 1 });
    expect([retired.status, retired.body]).toEqual([400, { __type: 'UnknownOperationException' }]);
  });
});

describe('before an operation', () => {
  it.each(['TrentService.Nothing', 'TrentService.listkeys', 'ListKeys', 'TrentService.', 'constructor', '__proto__'])(
    'the target %s is unknown',
    async (target) => {
      await using service = await startAnonymous();
      const { status, body } = await sendRaw(service.world, other({ 'x-amz-target': target }));
      expect([status, body]).toEqual([400, { __type: 'UnknownOperationException' }]);
    },
  );

  it('a request without a target is unknown, and without the type of AWS JSON 1.1 not found', async () => {
    await using service = await startAnonymous();
    const { 'x-amz-target': _, ...headers } = unsigned('ListKeys').headers;
    const without = await sendRaw(service.world, { ...unsigned('ListKeys'), headers });
    expect([without.status, without.body]).toEqual([400, { __type: 'UnknownOperationException' }]);
    for (const type of ['application/x-amz-json-1.0', 'application/json', 'text/plain']) {
      const { status, text } = await sendRaw(service.world, other({ 'content-type': type }));
      expect([status, text]).toEqual([404, '<UnknownOperationException/>\n']);
    }
    expect((await sendRaw(service.world, other({}, { method: 'GET' }))).status).toBe(404);
    for (const type of ['application/x-amz-json-1.1; charset=utf-8', 'Application/X-Amz-JSON-1.1']) {
      expect((await sendRaw(service.world, other({ 'content-type': type }))).status).toBe(200);
    }
  });

  it.each(['', '{', 'null', '"x"', '1', '{"Limit":1,}', '\u{feff}{'])('the body %j is no request', async (body) => {
    await using service = await startAnonymous();
    expect(await service.error('ListKeys', body)).toEqual({ __type: 'SerializationException' });
  });

  it('a list is no request, nor is what is no UTF-8', async () => {
    await using service = await startAnonymous();
    expect(await service.error('ListKeys', '[]')).toEqual({
      __type: 'SerializationException',
      Message: 'Start of list found where not expected',
    });
    const response = await fetch(service.world.url, {
      method: 'POST',
      headers: unsigned('ListKeys').headers,
      body: Buffer.from([0x7b, 0xff, 0x7d]),
    });
    expect([response.status, await response.json()]).toEqual([400, { __type: 'SerializationException' }]);
  });

  it('a body of more than 256 KiB is too long, and the next request is served', async () => {
    await using service = await startAnonymous();
    const long = await service.send('ListKeys', ' '.repeat(256 * 1_024 + 1));
    expect([long.status, long.body]).toEqual([413, { __type: 'RequestEntityTooLargeException' }]);
    expect((await service.send('ListKeys', `{}${' '.repeat(256 * 1_024 - 2)}`)).status).toBe(200);
  });

  it('a body that does not end is cut off', async () => {
    await using service = await startAnonymous();
    const socket = connect(service.running.httpPort, '127.0.0.1');
    const headers = Object.entries(unsigned('ListKeys').headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.on('error', () => {}).resume();
    socket.write(`POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n${headers.join('')}\r\n`);
    const chunk = Buffer.alloc(64 * 1_024, ' ');
    let sent = 0;
    while (!socket.destroyed && sent < 100e6) {
      socket.write(chunk);
      sent += chunk.length;
      await new Promise(setImmediate);
    }
    socket.destroy();
    expect(sent).toBeLessThan(100e6);
  });

  it('comes what is wrong with it, and then who calls', async () => {
    const world = await AwsWorld.start();
    const missing = { __type: 'MissingAuthenticationTokenException', message: 'Missing Authentication Token' };
    expect((await sendRaw(world, unsigned('ListKeys'))).body).toEqual(missing);
    expect((await sendRaw(world, unsigned('ListKeys', { Limit: 'x' }))).body).toEqual(missing);
    expect((await sendRaw(world, { ...unsigned('ListKeys'), path: '/?X-Amz-Algorith' })).body).toEqual(missing);
    expect((await sendRaw(world, unsigned('ListKeys', '{'))).body).toEqual({ __type: 'SerializationException' });
    expect((await sendRaw(world, unsigned('Nothing'))).body).toEqual({ __type: 'UnknownOperationException' });
  });
});

describe('a member', () => {
  it.each([
    ['ListKeys', { Limit: '10' }, 'STRING_VALUE can not be converted to an Integer'],
    ['ListKeys', { Limit: true }, 'TRUE_VALUE can not be converted to an Integer'],
    ['ListKeys', { Limit: [] }, 'Start of list found where not expected'],
    ['ListKeys', { Limit: {} }, 'Start of structure or map found where not expected.'],
    ['DescribeKey', { KeyId: 1 }, 'NUMBER_VALUE can not be converted to a String'],
    ['DescribeKey', { KeyId: true }, 'TRUE_VALUE can not be converted to a String'],
    ['DescribeKey', { KeyId: false }, 'FALSE_VALUE can not be converted to a String'],
    ['DescribeKey', { GrantTokens: 'x' }, 'Expected list or null'],
    ['DescribeKey', { GrantTokens: {} }, 'Start of structure or map found where not expected.'],
    ['DescribeKey', { GrantTokens: [1] }, 'NUMBER_VALUE can not be converted to a String'],
    ['DescribeKey', { GrantTokens: [null] }, 'NULL_VALUE can not be converted to a String'],
    ['DescribeKey', { KeyId: '\ud800' }, 'The text is not well-formed'],
    ['GenerateMac', { MacAlgorithm: '\ud800' }, 'The text is not well-formed'],
    ['TagResource', { Tags: [null] }, 'NULL_VALUE can not be converted to a Structure'],
    ['CreateGrant', { Constraints: 'x' }, 'Expected null'],
    ['CreateGrant', { Constraints: [] }, 'Start of list found where not expected'],
    ['CreateGrant', { Constraints: { EncryptionContextEquals: 1 } }, 'Expected map or null'],
    ['GenerateMac', { DryRun: 'true' }, 'STRING_VALUE can not be converted to a Boolean'],
    ['GenerateMac', { MacAlgorithm: 1 }, 'NUMBER_VALUE can not be converted to a String'],
    ['GenerateMac', { Message: 1 }, 'NUMBER_VALUE can not be converted to a Blob'],
    [
      'GenerateMac',
      { Message: '23456' },
      'The value can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: 5',
    ],
    ['GenerateMac', { Message: 'ab-_' }, 'The value can not be converted to a Blob: Invalid Base64 character'],
  ])('of another type, in %s %j, says which', async (operation, body, Message) => {
    await using service = await startAnonymous();
    expect(await service.error(operation, body)).toEqual({ __type: 'SerializationException', Message });
  });

  it('may be null, of another name, or a decimal for an integer', async () => {
    await using service = await startAnonymous();
    const unsupported = { CustomKeyStoreId: null, KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' };
    expect((await service.send('CreateKey', unsupported)).status).toBe(200);
    for (const body of [{ Limit: null }, { limit: 'x', Foo: [1], toString: 1 }, { Limit: 1.9 }]) {
      expect((await service.send('ListKeys', body)).status).toBe(200);
    }
  });

  it('that is out of its limits is told of as AWS does, together with the others', async () => {
    await using service = await startAnonymous();
    const violations = async (operation: string, body: object) => {
      const answer = (await service.error(operation, body)) as Record<string, string>;
      expect(answer['__type']).toBe('ValidationException');
      return answer['message'];
    };
    expect(await violations('GenerateMac', {})).toBe(
      "3 validation errors detected: Value null at 'message' failed to satisfy constraint: Member must not be null; Value null at 'keyId' failed to satisfy constraint: Member must not be null; Value null at 'macAlgorithm' failed to satisfy constraint: Member must not be null",
    );
    for (const name of ['HMAC_SHA_1', '', 'UNSPECIFIED', 'toString', '2', 'MAC_ALGORITHM_HMAC_SHA_256']) {
      expect(await violations('GenerateMac', { Message: 'YQ==', KeyId: 'x', MacAlgorithm: name })).toBe(
        `1 validation error detected: Value '${name}' at 'macAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: [HMAC_SHA_384, HMAC_SHA_256, HMAC_SHA_224, HMAC_SHA_512]`,
      );
    }
    expect(await violations('ListKeys', { Limit: 3e9 })).toContain("Value '3000000000' at 'limit'");
    expect(
      await violations('CreateGrant', {
        KeyId: 'x',
        GranteePrincipal: 'arn:aws:iam::000000000000:root',
        Operations: ['GenerateMac', 'Foo'],
      }),
    ).toContain("Value '[GenerateMac, Foo]' at 'operations'");
  });

  it.each([
    ['CreateKey', 'CustomKeyStoreId'],
    ['CreateKey', 'XksKeyId'],
    ['CreateGrant', 'GranteeServicePrincipal'],
    ['CreateGrant', 'RetiringServicePrincipal'],
    ['ListGrants', 'GranteeServicePrincipal'],
    ['ListRetirableGrants', 'RetiringServicePrincipal'],
  ])('that would change what %s does is refused: %s', async (operation, member) => {
    await using service = await startAnonymous();
    expect(await service.error(operation, { [member]: 'x' })).toEqual({
      __type: 'UnsupportedOperationException',
      message: `${member} is not supported.`,
    });
  });
});

describe('an operation that is not for HMAC keys', () => {
  it('says so in the words of AWS', async () => {
    await using service = await startAnonymous();
    const { body } = await service.send('CreateKey', { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' });
    const { KeyId, Arn } = body['KeyMetadata'] as { KeyId: string; Arn: string };
    const usage = (operation: string) => ({
      __type: 'InvalidKeyUsageException',
      message: `${Arn} key usage is GENERATE_VERIFY_MAC which is not valid for ${operation}.`,
    });
    expect(await service.error('Decrypt', { KeyId, CiphertextBlob: 'AAAA' })).toEqual({
      __type: 'IncorrectKeyException',
      message: 'The key ID in the request does not identify a CMK that can perform this operation.',
    });
    for (const operation of ['Encrypt', 'GenerateDataKey', 'Sign', 'Verify', 'DeriveSharedSecret']) {
      expect(await service.error(operation, { KeyId })).toEqual(usage(operation));
    }
    expect(await service.error('GetPublicKey', { KeyId })).toEqual({
      __type: 'UnsupportedOperationException',
      message: `${Arn} key spec is HMAC_256 which is not valid for GetPublicKey.`,
    });
    expect(await service.error('ReplicateKey', { KeyId, ReplicaRegion: 'eu-west-1' })).toEqual({
      __type: 'UnsupportedOperationException',
      message: `${Arn} is not a multi-region primary key.`,
    });
    expect(await service.error('UpdatePrimaryRegion', { KeyId })).toEqual({
      __type: 'KMSInvalidStateException',
      message: `${Arn} is not a multi-Region primary key.`,
    });
    expect(await service.error('ReplicateKey', { KeyId: 'alias/a' })).toEqual({
      __type: 'InvalidArnException',
      message: 'Key Aliases are not supported for this operation.',
    });
    expect(await service.error('Encrypt', {})).toEqual({
      __type: 'ValidationException',
      message:
        "1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null",
    });
    for (const operation of ['Decrypt', 'ReEncrypt', 'GenerateRandom', 'DescribeCustomKeyStores']) {
      expect(await service.error(operation, {})).toEqual({ __type: 'UnsupportedOperationException' });
    }
    await service.send('DisableKey', { KeyId });
    expect(await service.error('Encrypt', { KeyId })).toEqual({
      __type: 'DisabledException',
      message: `${Arn} is disabled.`,
    });
    expect(await service.error('Encrypt', { KeyId: 'alias/none' })).toMatchObject({ __type: 'NotFoundException' });
  });
});

it('ListKeys lists the keys of others only where there are any', async () => {
  await using service = await startAnonymous();
  await service.send('CreateKey', { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' });
  const count = async (ResourceOwners: string[]) =>
    ((await service.send('ListKeys', { ResourceOwners })).body['Keys'] as object[]).length;
  expect(await count(['SELF'])).toBe(1);
  expect(await count(['OTHER_ACCOUNTS_VIA_RAM'])).toBe(0);
  expect(await count(['OTHER_ACCOUNTS_VIA_RAM', 'SELF'])).toBe(1);
  expect(await count([])).toBe(1);
});
