import { hash, randomBytes } from 'node:crypto';

/** The form of the token; another one would begin with another byte. */
const VERSION = 1;
const LENGTH = 1 + 6 + 32;

/** A new import token: its form, until when it is good in milliseconds since 1970 (6 bytes), and 32 random bytes. */
export function newImportToken(validTo: Date): Buffer {
  const token = Buffer.concat([Buffer.from([VERSION]), Buffer.alloc(6), randomBytes(32)]);
  token.writeUIntBE(validTo.getTime(), 1, 6);
  return token;
}

/** Until when a token says that it is good; `undefined` where it is none. Whether it was issued is for the store to say. */
export function validToOf(token: Uint8Array): Date | undefined {
  if (token.length !== LENGTH || token[0] !== VERSION) return undefined;
  const date = new Date(Buffer.from(token).readUIntBE(1, 6));
  // Later ones have another form in ISO 8601, and another place in the order of paths.
  return date.getTime() < Date.UTC(10_000) ? date : undefined;
}

/** What a token is known by, in hexadecimal. */
export function digestOf(token: Uint8Array): string {
  return hash('sha256', token);
}
