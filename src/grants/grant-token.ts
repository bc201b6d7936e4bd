import { createHmac, hash, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto';
import { KmsError } from '../errors.ts';

/** What a grant token says. */
export interface TokenClaims {
  readonly keyId: string;
  /** 64 hexadecimal digits. */
  readonly grantId: string;
  /** When it was issued, in milliseconds since 1970. */
  readonly issuedAt: number;
}

// A token is the base64url form of: a byte 1, the key ID (16 bytes), the grant ID (32), the time of issue in milliseconds
// (6), a nonce (16), and the HMAC-SHA-256 of all these (32). It begins with an `A`, as AWS's do.
const VERSION = 1;
const KEY_ID = 1;
const GRANT_ID = KEY_ID + 16;
const ISSUED_AT = GRANT_ID + 32;
const NONCE = ISSUED_AT + 6;
const TAG = NONCE + 16;
const LENGTH = TAG + 32;

/** A token for a grant; every one is another. */
export function issueToken(key: KeyObject, { keyId, grantId, issuedAt }: TokenClaims): string {
  const bytes = Buffer.alloc(LENGTH);
  bytes.writeUInt8(VERSION);
  bytes.write(keyId.replaceAll('-', ''), KEY_ID, 'hex');
  bytes.write(grantId, GRANT_ID, 'hex');
  bytes.writeUIntBE(issuedAt, ISSUED_AT, NONCE - ISSUED_AT);
  randomBytes(TAG - NONCE).copy(bytes, NONCE);
  tagOf(key, bytes).copy(bytes, TAG);
  return bytes.toString('base64url');
}

/**
 * What a token says.
 *
 * @throws KmsError InvalidGrantTokenException, without a text, when it was not issued with this key
 */
export function readToken(key: KeyObject, token: string): TokenClaims {
  const bytes = Buffer.from(token, 'base64url');
  const genuine =
    bytes.length === LENGTH &&
    bytes.readUInt8() === VERSION &&
    // Other spellings of the same bytes are other tokens.
    bytes.toString('base64url') === token &&
    timingSafeEqual(tagOf(key, bytes), bytes.subarray(TAG));
  if (!genuine) throw new KmsError('InvalidGrantTokenException');
  const keyId = bytes.toString('hex', KEY_ID, GRANT_ID);
  return {
    keyId: keyId.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'),
    grantId: bytes.toString('hex', GRANT_ID, ISSUED_AT),
    issuedAt: bytes.readUIntBE(ISSUED_AT, NONCE - ISSUED_AT),
  };
}

/** The SHA-256 of a token, in hexadecimal digits: all of it that is stored. */
export function digestOfToken(token: string): string {
  return hash('sha256', token);
}

function tagOf(key: KeyObject, bytes: Buffer): Buffer {
  return createHmac('sha256', key).update(bytes.subarray(0, TAG)).digest();
}
