import { createHmac, type Hmac } from 'node:crypto';
import type { RootKey } from './root-keys.ts';

// MAGIC | header | record … | END | number of records (8 bytes) | MAC (32 bytes) of all that is before it.
// The header and each record are messages, each behind its length (4 bytes). Numbers are big-endian.

/** What a backup begins with, and the version of its format. */
export const MAGIC = Buffer.from('hmacd backup 1\n');

/** In the place of the length of a record: there is none any more. */
export const END = Buffer.alloc(4);

/** How long a message may be, in bytes: a value of a record and all that goes with it. */
export const LONGEST_MESSAGE = 1024 * 1024 + 4096;

export const MAC_LENGTH = 32;

/**
 * What authenticates a backup as a whole, so that nothing in it can be changed, moved, added, or left out: HMAC-SHA256
 * under a key that is derived from a root key.
 */
export function backupHmac(rootKey: RootKey, salt: Uint8Array): Hmac {
  return createHmac('sha256', rootKey.derive(salt, 'hmacd backup', 32));
}
