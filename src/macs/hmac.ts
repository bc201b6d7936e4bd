import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';

/**
 * The HMAC of a message (RFC 2104).
 *
 * @param hash what Node.js calls the hash function, such as `sha256`
 * @param key as a KeyObject: given as bytes, a key costs several times as much at each use
 * @returns as many bytes as the hash has
 */
export function hmac(hash: string, key: KeyObject, message: Uint8Array): Buffer {
  return createHmac(hash, key).update(message).digest();
}

/** Whether two MACs are the same, in a time that tells only whether their lengths are. */
export function sameMac(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
