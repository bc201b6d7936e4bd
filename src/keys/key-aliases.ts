import { KmsError } from '../errors.ts';
import { KeyAliasesSchema } from '../gen/hmacd/store/v1/records_pb.ts';
import {
  type Change,
  type DamagedEntry,
  type Entry,
  putRecord,
  type Records,
  removeRecord,
  replaceRecord,
} from '../records/records.ts';
import type { KeyPaths } from './key-paths.ts';

/** The record of the names of a key's aliases. */
export type KeyAliasesEntry = Entry<typeof KeyAliasesSchema>;

/**
 * Reads the names of a key's aliases.
 *
 * @returns what tells them; it throws when their record is damaged, so that this costs only who asks
 */
export async function readAliasNames(
  records: Records,
  paths: KeyPaths,
  keyId: string,
): Promise<() => readonly string[]> {
  const [found] = await records.find(KeyAliasesSchema, [paths.keyAliases(keyId)]);
  if (found === undefined) return () => [];
  const { path, message } = found;
  return () => {
    if (message === undefined) throw new Error(`the record at ${path} is damaged`);
    return message.aliasNames;
  };
}

/**
 * Adds names to those of a key.
 *
 * @param quota the most that the key may have
 * @throws KmsError LimitExceededException when it would have more
 */
export function withAlias(
  path: string,
  found: KeyAliasesEntry | undefined,
  quota: number,
  ...aliasNames: string[]
): Change {
  const before = found?.message.aliasNames ?? [];
  if (before.length + aliasNames.length > quota) {
    throw new KmsError(
      'LimitExceededException',
      `Aliases per key quota for this account in this region is ${quota}, current usage is ${before.length}.`,
    );
  }
  return putRecord(path, found, KeyAliasesSchema, { aliasNames: [...before, ...aliasNames].toSorted() });
}

/** Takes a name from those of a key; nothing to do where there are none, or none that could be read. */
export function withoutAlias(found: KeyAliasesEntry | DamagedEntry | undefined, aliasName: string): Change | undefined {
  if (found?.message === undefined) return undefined;
  const aliasNames = found.message.aliasNames.filter((name) => name !== aliasName);
  return aliasNames.length === 0 ? removeRecord(found) : replaceRecord(found, KeyAliasesSchema, { aliasNames });
}
