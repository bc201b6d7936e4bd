import { createDecipheriv, createPrivateKey, generateKeyPair, webcrypto } from 'node:crypto';
import { promisify } from 'node:util';
import { WrappingAlgorithm, WrappingKeySpec } from '../gen/hmacd/v1/import_pb.ts';

/** How material is wrapped. */
export interface Wrapping {
  readonly wrappingAlgorithm: WrappingAlgorithm;
  /** Of RSAES-OAEP and its MGF1, as Web Crypto calls it. */
  readonly hash: 'SHA-1' | 'SHA-256';
  /** Whether RSA wraps an AES key, and that the material. */
  readonly byAesKey: boolean;
}

/** A kind of RSA key that wraps. */
export interface WrappingKey {
  readonly wrappingKeySpec: WrappingKeySpec;
  /** Of its modulus, in bits. */
  readonly length: number;
}

/** @see https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys-get-public-key-and-token.html */
export const WRAPPINGS: readonly Wrapping[] = [
  {
    wrappingAlgorithm: WrappingAlgorithm.RSAES_OAEP_SHA_1,
    hash: 'SHA-1',
    byAesKey: false,
  },
  {
    wrappingAlgorithm: WrappingAlgorithm.RSAES_OAEP_SHA_256,
    hash: 'SHA-256',
    byAesKey: false,
  },
  {
    wrappingAlgorithm: WrappingAlgorithm.RSA_AES_KEY_WRAP_SHA_1,
    hash: 'SHA-1',
    byAesKey: true,
  },
  {
    wrappingAlgorithm: WrappingAlgorithm.RSA_AES_KEY_WRAP_SHA_256,
    hash: 'SHA-256',
    byAesKey: true,
  },
];

export const WRAPPING_KEYS: readonly WrappingKey[] = [
  { wrappingKeySpec: WrappingKeySpec.RSA_2048, length: 2_048 },
  { wrappingKeySpec: WrappingKeySpec.RSA_3072, length: 3_072 },
  { wrappingKeySpec: WrappingKeySpec.RSA_4096, length: 4_096 },
];

/** What RFC 5649 puts before what it wraps. */
const AES_WRAP_PREFIX = Buffer.from('A65959A6', 'hex');

/** Makes a key pair to wrap with: the public key as SubjectPublicKeyInfo, the private one as PKCS #8, both in DER. */
export async function makeKeyPair({ length }: WrappingKey): Promise<{ publicKey: Buffer; privateKey: Buffer }> {
  // Off this thread: it takes up to seconds.
  return await promisify(generateKeyPair)('rsa', {
    modulusLength: length,
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  });
}

/**
 * What was wrapped with the public key of a pair; `undefined` when it does not unwrap, and nobody is told why: who knew
 * could unwrap what others have wrapped (RFC 8017, section 7.1.2).
 *
 * @param privateKey PKCS #8, in DER
 */
export async function unwrap(
  wrapped: Uint8Array,
  { hash, byAesKey }: Wrapping,
  privateKey: Uint8Array,
): Promise<Buffer | undefined> {
  const rsaKey = createPrivateKey({ key: Buffer.from(privateKey), format: 'der', type: 'pkcs8' });
  const size = rsaKey.asymmetricKeyDetails!.modulusLength! / 8;
  const cryptoKey = rsaKey.toCryptoKey({ name: 'RSA-OAEP', hash }, false, ['decrypt']);
  try {
    // Off this thread: it takes milliseconds.
    const bytes = Buffer.from(
      await webcrypto.subtle.decrypt({ name: 'RSA-OAEP' }, cryptoKey, wrapped.slice(0, byAesKey ? size : undefined)),
    );
    if (!byAesKey) return bytes;
    const decipher = createDecipheriv('id-aes256-wrap-pad', bytes, AES_WRAP_PREFIX);
    return Buffer.concat([decipher.update(wrapped.subarray(size)), decipher.final()]);
  } catch {
    return undefined;
  }
}
