import {
  type DescEnum,
  type DescMessage,
  type DescMethodUnary,
  type DescService,
  type MessageShape,
} from '@bufbuild/protobuf';
import { awsNameOf } from '../aws-name.ts';
import type { FieldViolation } from '../errors.ts';
import type { AliasService } from '../gen/hmacd/v1/alias_pb.ts';
import {
  type KeyService,
  KeySpecSchema,
  KeyUsageSchema,
  OriginSchema,
  ResourceOwnerSchema,
  type Tag,
} from '../gen/hmacd/v1/key_pb.ts';
import { GrantOperationSchema, type GrantService } from '../gen/hmacd/v1/grant_pb.ts';
import {
  ExpirationModelSchema,
  type ImportService,
  ImportTypeSchema,
  WrappingAlgorithmSchema,
  WrappingKeySpecSchema,
} from '../gen/hmacd/v1/import_pb.ts';
import { MacAlgorithmSchema, type MacService } from '../gen/hmacd/v1/mac_pb.ts';
import { IncludeKeyMaterialSchema, type RotationService } from '../gen/hmacd/v1/rotation_pb.ts';
import {
  atLeastOne,
  bytes,
  characters,
  type Constraint,
  each,
  optional,
  optionalSecret,
  range,
  required,
  requiredTexts,
  requiredValueOf,
  requiredValuesOf,
  secrets,
  sentence,
  valueOf,
  valuesOf,
} from './constraints.ts';

/** The limits of a service's requests: a row for each rpc, a constraint for each field that has one. */
export type Limits<S extends DescService> = {
  readonly [M in keyof S['method']]: S['method'][M] extends DescMethodUnary<infer I>
    ? { readonly [F in keyof MessageShape<I>]?: Constraint<MessageShape<I>[F]> }
    : never;
};

// The numbers and patterns are those of AWS's model of KMS, the lists of enum values those of its recorded errors: values
// that are newer than these are in the contract and not in the lists.

const keyId = required(characters(1, 2_048));
const message = required(bytes(1, 4_096));
const grantTokens = secrets(10, 1, 8_192);
const macAlgorithm = requiredValueOf(MacAlgorithmSchema, [
  'HMAC_SHA_384',
  'HMAC_SHA_256',
  'HMAC_SHA_224',
  'HMAC_SHA_512',
]);
const aliasName = required(characters(1, 256, /^[a-zA-Z0-9:/_-]+$/));
const limit = optional(range(1, 1_000));
const marker = optional(characters(1, 1_024, /^[\u0020-\u00FF]*$/));
const description = characters(0, 8_192);
const policyName = optional(characters(1, 128, /^[\w]+$/));
// oxlint-disable-next-line no-control-regex -- AWS's own
const policy = characters(1, 131_072, /^[\u0009\u000A\u000D\u0020-\u00FF]+$/);
const principal = characters(1, 256, /^[\w+=,.@:/-]+$/);
const grantId = characters(1, 128);
const tags = each<Tag>({ tagKey: required(characters(1, 128)), tagValue: required(characters(0, 256)) });
const sourceArn = optional(characters(1, 2_048));

/** AWS's names of an enum's values, in the order of the contract. */
function awsNamesOf(desc: DescEnum): string[] {
  return desc.values.filter((value) => value.number !== 0).map(awsNameOf);
}

const keySpec = valueOf(KeySpecSchema, [
  'RSA_2048',
  'ECC_NIST_P384',
  'ECC_NIST_P256',
  'ECC_NIST_P521',
  'HMAC_384',
  'RSA_3072',
  'ECC_SECG_P256K1',
  'RSA_4096',
  'SYMMETRIC_DEFAULT',
  'HMAC_256',
  'HMAC_224',
  'HMAC_512',
  'SM2',
  'ML_DSA_44',
  'ML_DSA_65',
  'ML_DSA_87',
  'ECC_NIST_EDWARDS25519',
]);

export const macLimits: Limits<typeof MacService> = {
  generateMac: { message, keyId, macAlgorithm, grantTokens },
  verifyMac: { message, keyId, macAlgorithm, mac: required(bytes(1, 6_144)), grantTokens },
};

export const keyLimits: Limits<typeof KeyService> = {
  createKey: {
    description: optional(description),
    keyUsage: valueOf(KeyUsageSchema, ['ENCRYPT_DECRYPT', 'SIGN_VERIFY', 'GENERATE_VERIFY_MAC', 'KEY_AGREEMENT']),
    keySpec,
    customerMasterKeySpec: keySpec,
    origin: valueOf(OriginSchema, ['AWS_KMS', 'EXTERNAL', 'AWS_CLOUDHSM', 'EXTERNAL_KEY_STORE']),
    policy: optional(policy),
    tags,
  },
  describeKey: { keyId, grantTokens },
  listKeys: { limit, marker, resourceOwners: valuesOf(ResourceOwnerSchema, awsNamesOf(ResourceOwnerSchema)) },
  enableKey: { keyId },
  disableKey: { keyId },
  updateKeyDescription: { keyId, description: required(description) },
  // What the model allows; the operation itself demands 7 to 30.
  scheduleKeyDeletion: { keyId, pendingWindowInDays: optional(range(1, 365)) },
  cancelKeyDeletion: { keyId },
  getKeyPolicy: { keyId, policyName },
  putKeyPolicy: { keyId, policyName, policy: required(policy) },
  listKeyPolicies: { keyId, limit, marker },
  tagResource: { keyId, tags: atLeastOne(tags) },
  untagResource: { keyId, tagKeys: requiredTexts(1, 128) },
  listResourceTags: { keyId, limit, marker },
  getKeyLastUsage: { keyId },
};

export const rotationLimits: Limits<typeof RotationService> = {
  enableKeyRotation: { keyId, rotationPeriodInDays: optional(range(90, 2_560)) },
  disableKeyRotation: { keyId },
  getKeyRotationStatus: { keyId },
  listKeyRotations: {
    keyId,
    includeKeyMaterial: valueOf(IncludeKeyMaterialSchema, awsNamesOf(IncludeKeyMaterialSchema)),
    limit,
    marker,
  },
  rotateKeyOnDemand: { keyId },
  retireKeyVersion: { keyId, keyVersion: required(range(1, 2_147_483_647)) },
};

const importBytes = required(bytes(1, 6_144));
const keyMaterialId = optional(characters(64, 64, /^[a-f0-9]+$/));

export const importLimits: Limits<typeof ImportService> = {
  getParametersForImport: {
    keyId,
    wrappingAlgorithm: requiredValueOf(WrappingAlgorithmSchema, awsNamesOf(WrappingAlgorithmSchema)),
    wrappingKeySpec: requiredValueOf(WrappingKeySpecSchema, awsNamesOf(WrappingKeySpecSchema)),
  },
  importKeyMaterial: {
    keyId,
    importToken: importBytes,
    encryptedKeyMaterial: importBytes,
    expirationModel: valueOf(ExpirationModelSchema, awsNamesOf(ExpirationModelSchema)),
    importType: valueOf(ImportTypeSchema, awsNamesOf(ImportTypeSchema)),
    keyMaterialDescription: optional(characters(0, 256)),
    keyMaterialId,
  },
  deleteImportedKeyMaterial: { keyId, keyMaterialId },
};

export const grantLimits: Limits<typeof GrantService> = {
  createGrant: {
    keyId,
    granteePrincipal: required(principal),
    retiringPrincipal: optional(principal),
    operations: requiredValuesOf(GrantOperationSchema, awsNamesOf(GrantOperationSchema)),
    constraints: optional((constraints) => {
      const failure = sourceArn(constraints.sourceArn);
      return failure && { ...failure, within: 'sourceArn' };
    }),
    grantTokens,
    name: optional(characters(1, 256, /^[a-zA-Z0-9:/_-]+$/)),
  },
  listGrants: { keyId, grantId: optional(grantId), granteePrincipal: optional(principal), limit, marker },
  listRetirableGrants: { retiringPrincipal: required(principal), limit, marker },
  retireGrant: {
    grantToken: optionalSecret(1, 8_192),
    keyId: optional(characters(1, 2_048)),
    grantId: optional(grantId),
  },
  revokeGrant: { keyId, grantId: required(grantId) },
};

export const aliasLimits: Limits<typeof AliasService> = {
  createAlias: { aliasName, targetKeyId: keyId },
  updateAlias: { aliasName, targetKeyId: keyId },
  deleteAlias: { aliasName },
  listAliases: { keyId: optional(characters(1, 2_048)), limit, marker },
};

/** The limits of an operation that HMAC keys have no use for. */
export const inapplicableLimits = { keyId: optional(characters(1, 2_048)), grantTokens };

/** Says what is out of its limits in a request; in a way that costs little when nothing is. */
export type Validator = (request: object) => readonly FieldViolation[];

/**
 * The validator of one row of limits.
 *
 * @throws Error when an enum has none: a value that it does not have must not get past
 */
export function validator(input: DescMessage, row: object): Validator {
  const unlimited = input.fields.find((field) => field.enum !== undefined && !(field.localName in row));
  if (unlimited !== undefined) throw new Error(`${unlimited.toString()} has no limits`);
  const rules = input.fields.flatMap(({ localName, name, jsonName }) => {
    const constraint = (row as Record<string, Constraint<unknown> | undefined>)[localName];
    return constraint === undefined ? [] : [{ localName, name, jsonName, constraint }];
  });
  return (request) => {
    let violations: FieldViolation[] = NONE;
    for (const { localName, name, jsonName, constraint } of rules) {
      const failure = constraint((request as Record<string, unknown>)[localName]);
      if (failure === undefined) continue;
      if (violations === NONE) violations = [];
      violations.push({ field: name, description: sentence(jsonName, failure) });
    }
    return violations;
  };
}

const NONE: FieldViolation[] = [];
