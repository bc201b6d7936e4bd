import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { afterAll, describe, expect, it } from 'vitest';
import { ExpirationModel } from '../../src/gen/hmacd/v1/import_pb.ts';
import { KeyManager, KeySpec, KeyState, KeyUsage, Origin } from '../../src/gen/hmacd/v1/key_pb.ts';
import { MacAlgorithm } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { ControlledStore } from '../records/controlled-store.ts';
import { failureOf } from '../support/clients.ts';
import { FakeClock, startService } from '../support/running-service.ts';
import { ACCOUNT, ARN, openSealer, storedKey } from './fixture.ts';

const NOW = Date.UTC(2026, 1, 3, 4, 5, 6, 789);
const store = new ControlledStore({ exclusive: true });
const running = await startService({}, { clock: new FakeClock(NOW), store, sealer: openSealer });
afterAll(async () => {
  await running[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
});
const { keys } = running.clients.gRPC;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const { GENERATE_VERIFY_MAC, ENCRYPT_DECRYPT, SIGN_VERIFY, KEY_AGREEMENT } = KeyUsage;

const SPECS = [
  { name: 'HMAC_224', keySpec: KeySpec.HMAC_224, macAlgorithm: MacAlgorithm.HMAC_SHA_224, length: 28 },
  { name: 'HMAC_256', keySpec: KeySpec.HMAC_256, macAlgorithm: MacAlgorithm.HMAC_SHA_256, length: 32 },
  { name: 'HMAC_384', keySpec: KeySpec.HMAC_384, macAlgorithm: MacAlgorithm.HMAC_SHA_384, length: 48 },
  { name: 'HMAC_512', keySpec: KeySpec.HMAC_512, macAlgorithm: MacAlgorithm.HMAC_SHA_512, length: 64 },
] as const;

describe('CreateKey', () => {
  it.each(SPECS)('of $name answers the metadata that DescribeKey gives', async ({ keySpec, macAlgorithm }) => {
    const { keyMetadata } = await keys.createKey({ keySpec, keyUsage: GENERATE_VERIFY_MAC, description: 'of a test' });
    const { $typeName: _, ...members } = keyMetadata!;
    expect(members.keyId).toMatch(UUID);
    expect(members).toEqual({
      awsAccountId: ACCOUNT,
      keyId: members.keyId,
      arn: `${ARN}key/${members.keyId}`,
      creationDate: timestampFromMs(NOW),
      enabled: true,
      description: 'of a test',
      keyUsage: GENERATE_VERIFY_MAC,
      keyState: KeyState.ENABLED,
      origin: Origin.AWS_KMS,
      keyManager: KeyManager.CUSTOMER,
      customerMasterKeySpec: keySpec,
      keySpec,
      multiRegion: false,
      macAlgorithms: [macAlgorithm],
      expirationModel: ExpirationModel.UNSPECIFIED,
      versions: [],
    });
    expect((await keys.describeKey({ keyId: members.keyId })).keyMetadata).toEqual(keyMetadata);
  });

  it('has no deletion date, and an empty description when it was given none', async () => {
    const { keyMetadata } = await keys.createKey({ keySpec: KeySpec.HMAC_256, keyUsage: GENERATE_VERIFY_MAC });
    expect(keyMetadata).toMatchObject({ description: '' });
    expect(keyMetadata).not.toHaveProperty('deletionDate');
  });

  it.each(SPECS)('of $name makes $length bytes of material, others each time', async ({ keySpec, length }) => {
    const materials = new Set<string>();
    for (let round = 0; round < 5; round++) {
      const { keyMetadata } = await keys.createKey({ keySpec, keyUsage: GENERATE_VERIFY_MAC });
      const { material } = (await storedKey(store, keyMetadata!.keyId))!;
      expect(material.length).toBe(length);
      materials.add(Buffer.from(material).toString('hex'));
    }
    expect(materials.size).toBe(5);
  });

  it('takes the origin AWS_KMS, multi_region false and a description of 8,192 characters', async () => {
    const { keyMetadata } = await keys.createKey({
      keySpec: KeySpec.HMAC_256,
      keyUsage: GENERATE_VERIFY_MAC,
      origin: Origin.AWS_KMS,
      multiRegion: false,
      description: 'd'.repeat(8_192),
    });
    expect(keyMetadata!.description).toBe('d'.repeat(8_192));
  });

  const NO_USAGE = 'You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.';
  const NOT_KEPT = 'hmacd keeps HMAC keys: KeySpec must be HMAC_224, HMAC_256, HMAC_384 or HMAC_512.';
  const hmac = { keySpec: KeySpec.HMAC_256, keyUsage: GENERATE_VERIFY_MAC };
  it.each([
    ['no usage', { keySpec: KeySpec.HMAC_256 }, NO_USAGE],
    ['no usage, of another kind', { keySpec: KeySpec.RSA_2048 }, NO_USAGE],
    [
      'the usage ENCRYPT_DECRYPT',
      { ...hmac, keyUsage: ENCRYPT_DECRYPT },
      'KeyUsage ENCRYPT_DECRYPT is not compatible with KeySpec HMAC_256',
    ],
    [
      'the usage SIGN_VERIFY',
      { keySpec: KeySpec.HMAC_512, keyUsage: SIGN_VERIFY },
      'KeyUsage SIGN_VERIFY is not compatible with KeySpec HMAC_512',
    ],
    [
      'the usage KEY_AGREEMENT',
      { keySpec: KeySpec.HMAC_224, keyUsage: KEY_AGREEMENT },
      'KeyUsage KEY_AGREEMENT is not compatible with KeySpec HMAC_224',
    ],
  ])('of %s is a ValidationException', async (_, request, message) => {
    const before = await store.paths();
    const failure = await failureOf(keys.createKey(request));
    expect(failure).toMatchObject({ exception: 'ValidationException', code: 'InvalidArgument', message });
    expect(await store.paths()).toEqual(before);
  });

  it.each([
    ['no spec and no usage, AWS’s default', {}, NOT_KEPT],
    ['SYMMETRIC_DEFAULT', { keySpec: KeySpec.SYMMETRIC_DEFAULT }, NOT_KEPT],
    ['SYMMETRIC_DEFAULT for MACs', { ...hmac, keySpec: KeySpec.SYMMETRIC_DEFAULT }, NOT_KEPT],
    ['no spec, for MACs', { keyUsage: GENERATE_VERIFY_MAC }, NOT_KEPT],
    ['RSA_2048', { keySpec: KeySpec.RSA_2048, keyUsage: SIGN_VERIFY }, NOT_KEPT],
    [
      'the origin AWS_CLOUDHSM',
      { ...hmac, origin: Origin.AWS_CLOUDHSM },
      'hmacd keeps HMAC keys: Origin must be AWS_KMS or EXTERNAL.',
    ],
    ['several Regions', { ...hmac, multiRegion: true }, 'hmacd keeps HMAC keys: MultiRegion must be false.'],
  ])('of %s is an UnsupportedOperationException', async (_, request, message) => {
    const before = await store.paths();
    const failure = await failureOf(keys.createKey(request));
    expect(failure).toMatchObject({ exception: 'UnsupportedOperationException', code: 'Unimplemented', message });
    expect(await store.paths()).toEqual(before);
  });
});
