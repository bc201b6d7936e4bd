import type { ConditionValues } from '../access/condition-context.ts';
import { awsNameIn } from '../aws-name.ts';
import { KmsError } from '../errors.ts';
import {
  type CreateKeyRequest,
  KeySpec,
  KeySpecSchema,
  KeyUsage,
  KeyUsageSchema,
  Origin,
  OriginSchema,
} from '../gen/hmacd/v1/key_pb.ts';
import { algorithmOfKeySpec, type HmacAlgorithm } from './algorithms.ts';

/**
 * Demands that a request asks for a key that this service keeps.
 *
 * @throws KmsError ValidationException where AWS KMS refuses it too, else UnsupportedOperationException.
 */
export function requireHmacKey(request: CreateKeyRequest): HmacAlgorithm {
  const { keyUsage, origin, multiRegion } = request;
  const keySpec = keySpecOf(request);
  if (request.keySpec !== KeySpec.UNSPECIFIED && request.customerMasterKeySpec !== KeySpec.UNSPECIFIED) {
    throw new KmsError(
      'ValidationException',
      'You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.',
    );
  }
  const algorithm = algorithmOfKeySpec(keySpec);
  if (algorithm === undefined) {
    const symmetric = keySpec === KeySpec.UNSPECIFIED || keySpec === KeySpec.SYMMETRIC_DEFAULT;
    if (keyUsage === KeyUsage.UNSPECIFIED && !symmetric) throw usageMissing();
    throw unsupported('KeySpec', 'HMAC_224, HMAC_256, HMAC_384 or HMAC_512');
  }
  if (keyUsage === KeyUsage.UNSPECIFIED) throw usageMissing();
  if (keyUsage !== KeyUsage.GENERATE_VERIFY_MAC) {
    throw new KmsError(
      'ValidationException',
      `KeyUsage ${awsNameIn(KeyUsageSchema, keyUsage)} is not compatible with KeySpec ${algorithm.keySpecName}`,
    );
  }
  if (origin === Origin.AWS_CLOUDHSM || origin === Origin.EXTERNAL_KEY_STORE) {
    throw unsupported('Origin', 'AWS_KMS or EXTERNAL');
  }
  if (multiRegion) throw unsupported('MultiRegion', 'false');
  if (request.rotationEnabled && origin === Origin.EXTERNAL) throw unsupported('Origin', 'AWS_KMS for versions');
  return algorithm;
}

/** The values of the condition keys of a key that there is not yet. */
export function specValues(request: CreateKeyRequest): ConditionValues {
  const { keyUsage, origin, multiRegion } = request;
  return {
    'kms:keyspec': [awsNameIn(KeySpecSchema, keySpecOf(request)) ?? 'SYMMETRIC_DEFAULT'],
    'kms:keyusage': [awsNameIn(KeyUsageSchema, keyUsage) ?? 'ENCRYPT_DECRYPT'],
    'kms:keyorigin': [awsNameIn(OriginSchema, origin) ?? 'AWS_KMS'],
    'kms:multiregion': [String(multiRegion ?? false)],
  };
}

/** The spec that is asked for, by either of its names. */
function keySpecOf({ keySpec, customerMasterKeySpec }: CreateKeyRequest): KeySpec {
  return keySpec === KeySpec.UNSPECIFIED ? customerMasterKeySpec : keySpec;
}

function usageMissing(): KmsError {
  return new KmsError(
    'ValidationException',
    'You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.',
  );
}

function unsupported(member: string, supported: string): KmsError {
  return new KmsError('UnsupportedOperationException', `hmacd keeps HMAC keys: ${member} must be ${supported}.`);
}
