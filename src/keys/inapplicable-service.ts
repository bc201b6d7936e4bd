import type { Call } from '../access/call.ts';
import { type FieldViolation, KmsError, validationError } from '../errors.ts';
import type { InapplicableRequest } from '../gen/hmacd/aws/v1/inapplicable_pb.ts';
import { requireUsable } from './key.ts';
import type { FoundKey, KeyReader } from './key-reader.ts';

/** Why an operation on a key is not for HMAC keys. */
type Reason = (key: FoundKey, operation: string) => KmsError;

const notOfItsUsage: Reason = ({ protection: { arn } }, operation) =>
  new KmsError(
    'InvalidKeyUsageException',
    `${arn} key usage is GENERATE_VERIFY_MAC which is not valid for ${operation}.`,
  );

const notWhatEncrypted: Reason = () =>
  new KmsError(
    'IncorrectKeyException',
    'The key ID in the request does not identify a CMK that can perform this operation.',
  );

const notOfItsSpec: Reason = ({ protection: { arn, keySpecName } }, operation) =>
  new KmsError(
    'UnsupportedOperationException',
    `${arn} key spec is ${keySpecName} which is not valid for ${operation}.`,
  );

// AWS spells it in these two ways.
const notReplicable: Reason = ({ protection: { arn } }) =>
  new KmsError('UnsupportedOperationException', `${arn} is not a multi-region primary key.`);

const notMovable: Reason = ({ protection: { arn } }) =>
  new KmsError('KMSInvalidStateException', `${arn} is not a multi-Region primary key.`);

/** The operations that are on a key. */
const ON_KEYS: Readonly<Record<string, Reason>> = {
  Decapsulate: notOfItsUsage,
  Decrypt: notWhatEncrypted,
  DeriveSharedSecret: notOfItsUsage,
  Encapsulate: notOfItsUsage,
  Encrypt: notOfItsUsage,
  GenerateDataKey: notOfItsUsage,
  GenerateDataKeyPair: notOfItsUsage,
  GenerateDataKeyPairWithoutPlaintext: notOfItsUsage,
  GenerateDataKeyWithoutPlaintext: notOfItsUsage,
  GetPublicKey: notOfItsSpec,
  ReplicateKey: notReplicable,
  Sign: notOfItsUsage,
  UpdatePrimaryRegion: notMovable,
  Verify: notOfItsUsage,
};

const KEY_ID_MISSING: FieldViolation = {
  field: 'key_id',
  description: "Value null at 'keyId' failed to satisfy constraint: Member must not be null",
};

/** Answers the operations of AWS KMS that hmacd has not: says why not, to who might do them. */
export class InapplicableService {
  readonly #keys: KeyReader;

  constructor(keys: KeyReader) {
    this.#keys = keys;
  }

  async refuse({ keyId, grantTokens }: InapplicableRequest, call: Call): Promise<never> {
    const reason = ON_KEYS[call.operation];
    // What decrypts need not name its key.
    if (reason === undefined || (keyId === undefined && call.operation === 'Decrypt')) {
      throw new KmsError('UnsupportedOperationException');
    }
    if (keyId === undefined) throw validationError([KEY_ID_MISSING]);
    const byAlias = reason !== notReplicable && reason !== notMovable;
    const key = byAlias
      ? await this.#keys.byAnyName(keyId, call, { grantTokens })
      : await this.#keys.byId(keyId, call, { grantTokens });
    requireUsable(key.message.keyState, key.protection.arn);
    throw reason(key, call.operation);
  }
}
