import { KeySpec } from '../gen/hmacd/v1/key_pb.ts';
import { MacAlgorithm } from '../gen/hmacd/v1/mac_pb.ts';

/** One HMAC algorithm, and the one key spec that works with it. */
export interface HmacAlgorithm {
  readonly macAlgorithm: MacAlgorithm;
  /** AWS's name of the algorithm. */
  readonly name: string;
  readonly keySpec: KeySpec;
  /** AWS's name of the key spec. */
  readonly keySpecName: string;
  /** What Node.js calls the hash function. */
  readonly hash: string;
  /** The length of a MAC and of key material, in bytes: a key as long as the hash is what RFC 2104, section 3, advises. */
  readonly length: number;
  /** The length of the longest key material that can be imported, in bytes: a block of the hash. */
  readonly longestMaterial: number;
}

/** Every algorithm there is: https://docs.aws.amazon.com/kms/latest/developerguide/hmac.html */
export const HMAC_ALGORITHMS: readonly HmacAlgorithm[] = [
  {
    macAlgorithm: MacAlgorithm.HMAC_SHA_224,
    name: 'HMAC_SHA_224',
    keySpec: KeySpec.HMAC_224,
    keySpecName: 'HMAC_224',
    hash: 'sha224',
    length: 28,
    longestMaterial: 64,
  },
  {
    macAlgorithm: MacAlgorithm.HMAC_SHA_256,
    name: 'HMAC_SHA_256',
    keySpec: KeySpec.HMAC_256,
    keySpecName: 'HMAC_256',
    hash: 'sha256',
    length: 32,
    longestMaterial: 64,
  },
  {
    macAlgorithm: MacAlgorithm.HMAC_SHA_384,
    name: 'HMAC_SHA_384',
    keySpec: KeySpec.HMAC_384,
    keySpecName: 'HMAC_384',
    hash: 'sha384',
    length: 48,
    longestMaterial: 128,
  },
  {
    macAlgorithm: MacAlgorithm.HMAC_SHA_512,
    name: 'HMAC_SHA_512',
    keySpec: KeySpec.HMAC_512,
    keySpecName: 'HMAC_512',
    hash: 'sha512',
    length: 64,
    longestMaterial: 128,
  },
];

/** The algorithm of a key spec; `undefined` for a spec that is not for HMACs. */
export function algorithmOfKeySpec(keySpec: KeySpec): HmacAlgorithm | undefined {
  return HMAC_ALGORITHMS.find((algorithm) => algorithm.keySpec === keySpec);
}

/** The algorithm of this value in the contract; `undefined` for one that the contract does not know. */
export function algorithmOf(macAlgorithm: MacAlgorithm): HmacAlgorithm | undefined {
  return HMAC_ALGORITHMS.find((algorithm) => algorithm.macAlgorithm === macAlgorithm);
}
