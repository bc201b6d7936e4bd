import type { Call } from '../access/call.ts';
import { KmsError } from '../errors.ts';
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

const notOfItsSpec: Reason = ({ protection: { arn, keySpecName } }, operation) =>
  new KmsError(
    'UnsupportedOperationException',
    `${arn} key spec is ${keySpecName} which is not valid for ${operation}.`,
  );

const notMultiRegion: Reason = ({ protection: { arn } }) =>
  new KmsError('UnsupportedOperationException', `${arn} is not a multi-region primary key.`);

/** The operations that are on a key. */
const ON_KEYS: Readonly<Record<string, Reason>> = {
  Decapsulate: notOfItsUsage,
  Decrypt: notOfItsUsage,
  DeriveSharedSecret: notOfItsUsage,
  Encapsulate: notOfItsUsage,
  Encrypt: notOfItsUsage,
  GenerateDataKey: notOfItsUsage,
  GenerateDataKeyPair: notOfItsUsage,
  GenerateDataKeyPairWithoutPlaintext: notOfItsUsage,
  GenerateDataKeyWithoutPlaintext: notOfItsUsage,
  GetPublicKey: notOfItsSpec,
  ReplicateKey: notMultiRegion,
  Sign: notOfItsUsage,
  UpdatePrimaryRegion: notMultiRegion,
  Verify: notOfItsUsage,
};

/** Answers the operations of AWS KMS that hmacd has not: says why not, to who might do them. */
export class InapplicableService {
  readonly #keys: KeyReader;

  constructor(keys: KeyReader) {
    this.#keys = keys;
  }

  async refuse({ keyId, grantTokens }: InapplicableRequest, call: Call): Promise<never> {
    const reason = ON_KEYS[call.operation];
    // Some are on no key, and what decrypts need not name it.
    if (reason === undefined || keyId === undefined) throw new KmsError('UnsupportedOperationException');
    const key = await this.#keys.byAnyName(keyId, call, { grantTokens });
    requireUsable(key.message.keyState, key.protection.arn);
    throw reason(key, call.operation);
  }
}
