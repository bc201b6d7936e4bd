import { create, type MessageInitShape, ScalarType } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { aliasLimits, keyLimits, macLimits, validator } from '../../src/calls/limits.ts';
import { validationError } from '../../src/errors.ts';
import { AliasService } from '../../src/gen/hmacd/v1/alias_pb.ts';
import { CreateKeyRequestSchema, KeyService } from '../../src/gen/hmacd/v1/key_pb.ts';
import { MacAlgorithm, MacService, VerifyMacRequestSchema } from '../../src/gen/hmacd/v1/mac_pb.ts';

type VerifyMac = MessageInitShape<typeof VerifyMacRequestSchema>;
type CreateKey = MessageInitShape<typeof CreateKeyRequestSchema>;

const verifyMac = validator(VerifyMacRequestSchema, macLimits.verifyMac);
const createKey = validator(CreateKeyRequestSchema, keyLimits.createKey);
const violationsOf = (request: VerifyMac) => verifyMac(create(VerifyMacRequestSchema, request));
const good = {
  message: Buffer.of(1),
  keyId: 'k',
  macAlgorithm: MacAlgorithm.HMAC_SHA_256,
  mac: Buffer.of(1),
} satisfies VerifyMac;

const bound = (member: string, text: string) =>
  `Value at '${member}' failed to satisfy constraint: Member must have length ${text}`;

describe('the limits of VerifyMac', () => {
  it.each<[string, VerifyMac]>([
    ['the least of everything', good],
    [
      'the most of everything',
      {
        message: Buffer.alloc(4_096),
        keyId: 'k'.repeat(2_048),
        macAlgorithm: MacAlgorithm.HMAC_SHA_512,
        mac: Buffer.alloc(6_144),
        grantTokens: Array.from({ length: 10 }, () => 't'.repeat(8_192)),
        dryRun: true,
      },
    ],
  ])('take %s', (_, request) => expect(violationsOf(request)).toEqual([]));

  it.each<[string, VerifyMac, string, string]>([
    ['an empty message', { ...good, message: Buffer.of() }, 'message', bound('message', 'greater than or equal to 1')],
    [
      'a message of 4,097 bytes',
      { ...good, message: Buffer.alloc(4_097) },
      'message',
      bound('message', 'less than or equal to 4096'),
    ],
    ['an empty MAC', { ...good, mac: Buffer.of() }, 'mac', bound('mac', 'greater than or equal to 1')],
    ['a MAC of 6,145 bytes', { ...good, mac: Buffer.alloc(6_145) }, 'mac', bound('mac', 'less than or equal to 6144')],
    [
      '11 grant tokens',
      { ...good, grantTokens: Array.from({ length: 11 }, () => 't') },
      'grant_tokens',
      bound('grantTokens', 'less than or equal to 10'),
    ],
    [
      'an algorithm that AWS does not know',
      { ...good, macAlgorithm: 7 as MacAlgorithm },
      'mac_algorithm',
      "Value '7' at 'macAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: [HMAC_SHA_384, HMAC_SHA_256, HMAC_SHA_224, HMAC_SHA_512]",
    ],
    [
      'no algorithm',
      { ...good, macAlgorithm: 0 },
      'mac_algorithm',
      "Value null at 'macAlgorithm' failed to satisfy constraint: Member must not be null",
    ],
  ])('refuse %s', (_, request, field, description) => {
    expect(violationsOf(request)).toEqual([{ field, description }]);
  });

  it('are told all at once, in the order of the fields, in AWS’s one sentence', () => {
    const violations = violationsOf({ message: Buffer.of(), keyId: '', mac: Buffer.of() });
    expect(violations.map(({ field }) => field)).toEqual(['message', 'key_id', 'mac_algorithm', 'mac']);
    expect(validationError(violations)).toMatchObject({
      exception: 'ValidationException',
      violations,
      message:
        "4 validation errors detected: Value at 'message' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
        "Value '' at 'keyId' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
        "Value null at 'macAlgorithm' failed to satisfy constraint: Member must not be null; " +
        "Value at 'mac' failed to satisfy constraint: Member must have length greater than or equal to 1",
    });
    expect(validationError(violations.slice(1, 2)).message).toMatch(
      /^1 validation error detected: Value '' at 'keyId' /,
    );
  });

  it('say nothing of messages, MACs and grant tokens but that they are wrong', () => {
    const secret = 's3cret'.repeat(2_000);
    const violations = violationsOf({
      message: Buffer.from(secret),
      keyId: 'k',
      macAlgorithm: MacAlgorithm.HMAC_SHA_256,
      mac: Buffer.from(secret),
      grantTokens: [secret],
    });
    expect(violations.length).toBe(3);
    const { message } = validationError(violations);
    for (const encoding of ['utf8', 'hex', 'base64'] as const) {
      expect(message).not.toContain(Buffer.from('s3cret').toString(encoding));
    }
  });
});

const violations = (request: CreateKey) =>
  createKey(create(CreateKeyRequestSchema, request)).map(({ description }) => description);

describe('the limits of CreateKey', () => {
  it('are told in AWS’s order of the values', () => {
    const unknown = { keySpec: 99, keyUsage: 98, origin: 97 } as CreateKey;
    expect(violations(unknown)).toEqual([
      "Value '98' at 'keyUsage' failed to satisfy constraint: Member must satisfy enum value set: [ENCRYPT_DECRYPT, SIGN_VERIFY, GENERATE_VERIFY_MAC, KEY_AGREEMENT]",
      "Value '99' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value set: [RSA_2048, ECC_NIST_P384, ECC_NIST_P256, ECC_NIST_P521, HMAC_384, RSA_3072, ECC_SECG_P256K1, RSA_4096, SYMMETRIC_DEFAULT, HMAC_256, HMAC_224, HMAC_512, SM2, ML_DSA_44, ML_DSA_65, ML_DSA_87, ECC_NIST_EDWARDS25519]",
      "Value '97' at 'origin' failed to satisfy constraint: Member must satisfy enum value set: [AWS_KMS, EXTERNAL, AWS_CLOUDHSM, EXTERNAL_KEY_STORE]",
    ]);
  });

  it('take everything left out, and refuse a description of 8,193 characters', () => {
    expect(violations({})).toEqual([]);
    expect(violations({ description: 'd'.repeat(8_192) })).toEqual([]);
    expect(violations({ description: 'd'.repeat(8_193) })).toEqual([
      `Value '${'d'.repeat(256)}…' at 'description' failed to satisfy constraint: Member must have length less than or equal to 8192`,
    ]);
  });
});

describe('the limits of every rpc', () => {
  it.each([
    ['MacService', MacService, macLimits],
    ['KeyService', KeyService, keyLimits],
    ['AliasService', AliasService, aliasLimits],
  ])('of %s name only fields that its requests have, and constrain every text and blob', (_, service, limits) => {
    for (const { localName, input } of service.methods) {
      const row = Object.keys((limits as Record<string, object>)[localName]!);
      const fields = input.fields.map((field) => field.localName);
      expect(fields).toEqual(expect.arrayContaining(row));
      const unbounded = input.fields.filter(
        (field) =>
          !row.includes(field.localName) && !(field.fieldKind === 'scalar' && field.scalar === ScalarType.BOOL),
      );
      expect(unbounded.map((field) => `${localName}.${field.localName}`)).toEqual([]);
    }
  });
});
