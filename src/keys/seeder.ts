import { randomUUID, timingSafeEqual } from 'node:crypto';
import { timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { awsNameIn } from '../aws-name.ts';
import type { Clock } from '../clock.ts';
import { AliasSchema, DestroyedKeySchema, KeyAliasesSchema, KeySchema } from '../gen/hmacd/store/v1/records_pb.ts';
import { KeyState, OriginSchema } from '../gen/hmacd/v1/key_pb.ts';
import { type Change, createRecord, keepRecord, putRecord, type Records } from '../records/records.ts';
import { UnsealError } from '../records/sealer.ts';
import { type AliasEntry, aliasIn } from './alias.ts';
import { newKey } from './key.ts';
import { type KeyAliasesEntry, withAlias } from './key-aliases.ts';
import type { KeyPaths } from './key-paths.ts';
import type { KeyEntry } from './key-reader.ts';
import type { SeedKey } from './seed-file.ts';
import type { SeedGrant } from './seed-grant.ts';

/** What a grant on a new key adds. */
export type GrantAdditions = (keyId: string, grant: SeedGrant) => Promise<Change[]>;

/**
 * Makes sure that the keys of a seed file, and their aliases, are there. Whatever exists is left as it is: a key that
 * was described anew or disabled, an alias that was moved to another key, a key that was destroyed. No quota keeps a key
 * of the seed out: callers could use it up, and so keep the service from starting.
 *
 * @param grantAdditions what the grants of a new key add, in their order
 * @param destroyEnded destroys a key whose deletion window has ended, and answers whether it has
 * @param onDamage told of a record that does not open; it costs its key, and not the others
 * @param warn told what the seed asks for and does not get, or should not
 * @throws Error when a key exists, by its key ID, with another spec or other material than the seed gives it; earlier ones
 *   of the seed are there by then.
 */
export async function plantSeed(
  seed: readonly SeedKey[],
  records: Records,
  paths: KeyPaths,
  clock: Clock,
  grantAdditions: GrantAdditions,
  destroyEnded: (keyId: string) => Promise<boolean>,
  onDamage: (error: UnsealError) => void,
  warn: (sentence: string) => void,
): Promise<void> {
  for (const key of seed) {
    try {
      const plant = (): Promise<string | undefined> => plantKey(key, records, paths, clock, grantAdditions, warn);
      const pending = await records.untilUncontended(plant);
      // The aliases of a key whose window has ended are free, once it is destroyed.
      if (pending !== undefined && (await destroyEnded(pending))) await records.untilUncontended(plant);
    } catch (error) {
      if (!(error instanceof UnsealError)) throw error;
      onDamage(error);
    }
  }
}

/** Answers the ID of the key if it is pending deletion, and so is not given what it lacks. */
async function plantKey(
  seed: SeedKey,
  records: Records,
  paths: KeyPaths,
  clock: Clock,
  grantAdditions: GrantAdditions,
  warn: (sentence: string) => void,
): Promise<string | undefined> {
  const found = await records.getMany(seed.aliases.map((name) => [AliasSchema, paths.alias(name)] as const));
  const aliases = found.map(aliasIn);
  const keyId = seed.keyId ?? aliases[0]?.message.targetKeyId ?? randomUUID();
  const [key, keyAliases, destroyed] = await records.getMany([
    [KeySchema, paths.key(keyId)],
    [KeyAliasesSchema, paths.keyAliases(keyId)],
    [DestroyedKeySchema, paths.destroyedKey(keyId)],
  ]);
  if (destroyed !== undefined) return undefined;
  const names = seed.aliases.filter((_, index) => aliases[index] === undefined);
  const pending = key?.message.keyState === KeyState.PENDING_DELETION ? keyId : undefined;
  // An alias that was moved is left as it is, and so is the key that it was moved to.
  if (seed.keyId === undefined && aliases[0] !== undefined && wasMoved(aliases[0])) {
    if (names.length > 0)
      warn(`${seed.aliases[0]} was moved to another key: the seed's ${names.join(', ')} is not made`);
    return pending;
  }
  const conflict = key && conflictOf(seed, key);
  if (conflict !== undefined) {
    // A caller may have given the alias to a key of another kind, and shall not keep the service from starting so.
    if (seed.keyId !== undefined) throw new Error(conflict);
    warn(`${conflict}; it is left as it is, and so are the other aliases that the seed gives it`);
    return pending;
  }
  if (key !== undefined) for (const sentence of disagreements(seed, key)) warn(sentence);
  if (key === undefined && seed.locks) warn(`nobody can ever replace the policy that the seed gives the key ${keyId}`);
  if (pending !== undefined || (key !== undefined && names.length === 0)) return pending;
  const now = clock.now();
  const keyChange =
    key === undefined ? createRecord(paths.key(keyId), KeySchema, newKey({ ...seed, keyId }, now)) : keepRecord(key);
  const known = seed.keyId === undefined && aliases[0] !== undefined ? [keepRecord(aliases[0])] : [];
  const marks = found.filter((alias) => alias?.message.deleted === true);
  const changes = newAliases(names, keyId, keyAliases, marks, paths, now);
  const grants = key === undefined ? await Promise.all(seed.grants.map((grant) => grantAdditions(keyId, grant))) : [];
  await records.commit([keyChange, ...known, ...changes, ...grants.flat()], 'adds');
  return undefined;
}

function newAliases(
  names: readonly string[],
  keyId: string,
  found: KeyAliasesEntry | undefined,
  marks: readonly (AliasEntry | undefined)[],
  paths: KeyPaths,
  now: number,
): Change[] {
  if (names.length === 0) return [];
  const date = timestampFromMs(now);
  return [
    // No caller shall be able to keep the service from starting by giving the key other aliases up to the quota.
    withAlias(paths.keyAliases(keyId), found, Infinity, ...names),
    ...names.map((aliasName) =>
      putRecord(
        paths.alias(aliasName),
        marks.find((mark) => mark?.message.aliasName === aliasName),
        AliasSchema,
        { aliasName, targetKeyId: keyId, creationDate: date, lastUpdatedDate: date },
      ),
    ),
  ];
}

function wasMoved({ message: { creationDate, lastUpdatedDate } }: AliasEntry): boolean {
  return timestampMs(lastUpdatedDate!) !== timestampMs(creationDate!);
}

/** What the seed says of a key that makes it another key than the one that exists. */
function conflictOf(seed: SeedKey, { message: key }: KeyEntry): string | undefined {
  if (key.keySpec !== seed.algorithm.keySpec) {
    return `the seed says that the key ${key.keyId} is of the spec ${seed.algorithm.keySpecName}, and it is not`;
  }
  const first = key.versions.length === 0 ? key.material : key.versions.find(({ version }) => version === 1)?.material;
  // Of a key with versions, the first one may be retired.
  if (seed.material === undefined || first === undefined || sameMaterial(first, seed.material)) return undefined;
  return `the seed gives the key ${key.keyId} other material than it has`;
}

/** What the seed says of a key that exists, and that only a new one could be. */
function disagreements(seed: SeedKey, { message: { keyId, origin, versions } }: KeyEntry): string[] {
  const told: string[] = [];
  if (origin !== seed.origin) {
    told.push(
      `the seed says that the key ${keyId} is of the origin ${awsNameIn(OriginSchema, seed.origin)}, and it is not`,
    );
  }
  if (versions.length > 0 !== seed.hasVersions) {
    const [said, found] = seed.hasVersions ? ['versions', 'has none'] : ['no versions', 'has some'];
    told.push(`the seed says that the key ${keyId} has ${said}, and it ${found}`);
  }
  return told;
}

function sameMaterial(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}
