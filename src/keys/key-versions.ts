import { randomBytes } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { KmsError } from '../errors.ts';
import { type Key, type KeyVersion, KeyVersionSchema } from '../gen/hmacd/store/v1/records_pb.ts';

// The versions of a key that has versions: pure functions of a key. Only the current one makes MACs.

/** How many versions a key can have: each costs an HMAC of every MAC that is verified. */
const MOST = 100;

/** A version of a key's material. */
export function newVersion(version: number, material: Uint8Array, now: number): KeyVersion {
  return create(KeyVersionSchema, { version, material, creationDate: timestampFromMs(now) });
}

/**
 * Demands that a key has versions.
 *
 * @param text what is said of one without; AWS says nothing of any HMAC key
 * @throws KmsError UnsupportedOperationException
 */
export function requireVersions({ versions }: Key, text = ''): void {
  if (versions.length > 0) return;
  throw new KmsError('UnsupportedOperationException', text).remarked('the key was made without rotation_enabled');
}

/**
 * The key with one more version, which is not current yet; the same object when it has such a one already.
 *
 * @param length of the material, in bytes
 * @throws KmsError LimitExceededException
 */
export function withNextVersion(key: Key, length: number, now: number): Key {
  const newest = newestVersion(key);
  if (newest !== key.currentVersion) return key;
  if (key.versions.length >= MOST) {
    throw new KmsError('LimitExceededException', `Versions per key quota is ${MOST}, current usage is ${MOST}.`);
  }
  return { ...key, versions: [...key.versions, newVersion(newest + 1, randomBytes(length), now)] };
}

/** The key whose current version is this one, or a later one; the same object when it was so already. */
export function withCurrentVersion(key: Key, version: number): Key {
  return version <= key.currentVersion ? key : { ...key, currentVersion: version };
}

/**
 * The key without a version.
 *
 * @throws KmsError NotFoundException; KMSInvalidStateException of the current version, and of one that is to become it
 */
export function withoutVersion(key: Key, version: number, arn: string): Key {
  const versions = key.versions.filter((each) => each.version !== version);
  if (versions.length === key.versions.length) {
    throw new KmsError('NotFoundException', `Version ${version} of key '${arn}' does not exist`);
  }
  if (version >= key.currentVersion) {
    throw new KmsError('KMSInvalidStateException', `Version ${version} of ${arn} is its current version.`);
  }
  return { ...key, versions };
}

/** The newest version of a key; 0 of a key without versions. */
export function newestVersion({ versions }: Key): number {
  return versions.at(-1)?.version ?? 0;
}
