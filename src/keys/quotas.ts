import { KmsError } from '../errors.ts';
import type { Records } from '../records/records.ts';
import type { KeyPaths } from './key-paths.ts';
import type { KeyReader } from './key-reader.ts';

/**
 * How much callers may make. What the seed file has is made in any case, and counts.
 *
 * @see https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html
 */
export interface Quotas {
  /** The most keys of the account: those pending deletion count, those that are destroyed do not. */
  readonly keys: number;
  /** The most aliases of a key. */
  readonly aliasesPerKey: number;
  /** The most grants of a key. */
  readonly grantsPerKey: number;
  /** The longest policy of a key, in bytes of UTF-8. */
  readonly keyPolicySize: number;
}

/** AWS's, for an account that has not asked for others. */
export const AWS_QUOTAS: Quotas = {
  keys: 100_000,
  aliasesPerKey: 50,
  grantsPerKey: 50_000,
  keyPolicySize: 32_768,
};

/**
 * Demands that the account has room for another key. It costs one count of the store, unless the account is full. Keys
 * that are made at the same moment may come to be a few more than the quota, and while a full account is swept a key may
 * be refused that would have had room a moment later.
 *
 * @throws KmsError LimitExceededException when it has as many as it may
 */
export async function requireRoomForKey(
  quota: number,
  records: Records,
  keys: KeyReader,
  paths: KeyPaths,
): Promise<void> {
  let current = await records.count(paths.keys);
  if (current < quota) return;
  // The records of keys whose window has ended are there until they are swept away, and are not keys any more.
  const ended = [...(await keys.ended())].map((keyId) => paths.key(keyId));
  for (let n = 0; n < ended.length && current >= quota; n += BATCH) {
    const left = await Promise.all(ended.slice(n, n + BATCH).map((path) => records.count(path)));
    current -= left.reduce((sum, count) => sum + count, 0);
  }
  if (current < quota) return;
  throw new KmsError(
    'LimitExceededException',
    `Key quota for this account in this region is ${quota} but the current usage is ${current}.`,
  );
}

/** How many keys are looked for at once. */
const BATCH = 500;
