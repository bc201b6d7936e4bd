import { createSecretKey, type KeyObject } from 'node:crypto';
import { type Timestamp, timestampMs } from '@bufbuild/protobuf/wkt';
import { aliasArn, type Deployment } from '../arn.ts';
import { foreignAccountDenied } from '../access/access-denied.ts';
import type { Authorizer, ProtectedKey } from '../access/authorizer.ts';
import type { Call } from '../access/call.ts';
import type { Clock } from '../clock.ts';
import { AliasSchema, type Key, KeySchema } from '../gen/hmacd/store/v1/records_pb.ts';
import type { KmsError } from '../errors.ts';
import type { KeyState } from '../gen/hmacd/v1/key_pb.ts';
import type { ChangeFollower } from '../records/change-follower.ts';
import { RecordCache } from '../records/record-cache.ts';
import { StoreUnavailableError } from '../records/record-store.ts';
import type { Records } from '../records/records.ts';
import { isAliasName } from './alias-name.ts';
import { algorithmOfKeySpec, type HmacAlgorithm } from './algorithms.ts';
import { aliasIn } from './alias.ts';
import { readAliasNames } from './key-aliases.ts';
import { exists, stateWithoutMaterial } from './key.ts';
import type { KeyPaths } from './key-paths.ts';
import { aliasNotFound, keyNotFound, parseKeyReference } from './key-reference.ts';
import type { KeyPolicies } from './protected-key.ts';

/** How often an alias is read again that moved while its key was read. */
const ATTEMPTS = 10;

/** How many bytes of memory a key takes at most that was made without a policy, and has a few tags. */
const USUAL_SIZE = 2_000;

/** What a MAC needs of a key. */
export interface CachedKey extends ProtectedKey {
  readonly keyState: KeyState;
  readonly deletionDate?: Timestamp | undefined;
  /** When its imported material ends, in milliseconds since 1970; `undefined` for never. */
  readonly validTo: number | undefined;
  readonly algorithm: HmacAlgorithm;
  /** All that there is of its material, in the order of the versions; empty while it is to be imported. */
  readonly versions: readonly CachedVersion[];
  /** What makes MACs; `undefined` while there is none. */
  readonly current: CachedVersion | undefined;
  /** How many usual keys take as much memory. */
  readonly size: number;
}

/** A version of a key's material. */
export interface CachedVersion {
  /** 0 of a key without versions. */
  readonly version: number;
  readonly material: KeyObject;
}

/** A key, and the alias by which it was named, if any. */
export interface ResolvedKey {
  readonly key: CachedKey;
  readonly requestAlias: string | undefined;
}

/** What a MAC needs of an alias. */
interface CachedAlias {
  /** Of the key it names. */
  readonly keyPath: string;
}

/** Counts how often a key was at hand. */
export interface CacheObserver {
  cacheHit(): void;
  cacheMiss(): void;
}

/** The keys in use, at hand without a look at the store for as long as that is safe. */
export class KeyCache {
  readonly #deployment: Deployment;
  readonly #authorizer: Authorizer;
  readonly #paths: KeyPaths;
  readonly #clock: Clock;
  readonly #observer: CacheObserver;
  readonly #keys: RecordCache<CachedKey>;
  readonly #aliases: RecordCache<CachedAlias>;

  /** @param capacity how many usual keys, and as many aliases, to keep at hand */
  constructor(
    records: Records,
    follower: ChangeFollower,
    authorizer: Authorizer,
    policies: KeyPolicies,
    deployment: Deployment,
    paths: KeyPaths,
    clock: Clock,
    observer: CacheObserver,
    capacity: number,
  ) {
    this.#authorizer = authorizer;
    this.#deployment = deployment;
    this.#paths = paths;
    this.#clock = clock;
    this.#observer = observer;
    this.#keys = new RecordCache(follower, (path) => loadKey(records, policies, paths, path), capacity, {
      placeOf: (path) => paths.keyOfAliases(path) ?? path,
      sizeOf: ({ size }) => size,
    });
    this.#aliases = new RecordCache(follower, (path) => loadAlias(records, paths, path), capacity);
  }

  /**
   * The key that a key ID, key ARN, alias name or alias ARN names, as it is at this moment; at once, if it is at hand.
   *
   * @throws KmsError NotFoundException; AccessDeniedException for another account's, and for another account's caller
   */
  resolve(reference: string, call: Call): ResolvedKey | Promise<ResolvedKey> {
    const parsed = parseKeyReference(reference, this.#deployment);
    if (parsed.kind === 'foreign') throw foreignAccountDenied(call);
    if (parsed.kind === 'key') {
      const { keyId } = parsed;
      const found = this.#key(
        this.#paths.key(keyId),
        this.#absence(call, () => keyNotFound(this.#deployment, keyId)),
      );
      return found instanceof Promise ? found.then(asItself) : asItself(found);
    }
    const requestAlias = parsed.aliasName;
    const notFound = this.#absence(call, () => aliasNotFound(aliasArn(this.#deployment, requestAlias)));
    if (!isAliasName(requestAlias)) throw notFound();
    const path = this.#paths.alias(requestAlias);
    const alias = this.#aliases.peek(path);
    const key = alias && this.#keys.peek(alias.keyPath);
    if (key === undefined) return this.#byAlias(path, notFound).then((read) => ({ key: read, requestAlias }));
    this.#observer.cacheHit();
    return { key: this.#existing(key, notFound), requestAlias };
  }

  /** What a caller is told of a key that is not there: those of other accounts cannot tell it from one they may not use. */
  #absence(call: Call, notFound: () => KmsError): () => KmsError {
    return this.#authorizer.isAtHome(call) ? notFound : () => foreignAccountDenied(call);
  }

  async #byAlias(path: string, notFound: () => Error): Promise<CachedKey> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const alias = await this.#aliases.read(path);
      if (alias === undefined) throw notFound();
      const key = await this.#key(alias.keyPath, notFound);
      // It may have been moved while the key was read.
      if (this.#aliases.peek(path) === alias) return key;
    }
    throw new StoreUnavailableError('the alias moves faster than it can be read');
  }

  #key(path: string, notFound: () => Error): CachedKey | Promise<CachedKey> {
    const key = this.#keys.peek(path);
    if (key !== undefined) {
      this.#observer.cacheHit();
      return this.#existing(key, notFound);
    }
    this.#observer.cacheMiss();
    return this.#keys.read(path).then((read) => this.#existing(read, notFound));
  }

  #existing(key: CachedKey | undefined, notFound: () => Error): CachedKey {
    if (key === undefined) throw notFound();
    if (key.deletionDate !== undefined && !exists(key, this.#clock.now())) throw notFound();
    return key.validTo !== undefined && this.#clock.now() >= key.validTo ? withoutMaterial(key) : key;
  }
}

async function loadAlias(records: Records, paths: KeyPaths, path: string): Promise<CachedAlias | undefined> {
  const alias = aliasIn(await records.get(AliasSchema, path));
  return alias && { keyPath: paths.key(alias.message.targetKeyId) };
}

async function loadKey(
  records: Records,
  policies: KeyPolicies,
  paths: KeyPaths,
  path: string,
): Promise<CachedKey | undefined> {
  const [entry, aliasNames] = await Promise.all([
    records.get(KeySchema, path),
    readAliasNames(records, paths, paths.keyIdOf(path)),
  ]);
  if (entry === undefined) return undefined;
  const { keySpec, keyState, deletionDate, imported, currentVersion } = entry.message;
  const algorithm = algorithmOfKeySpec(keySpec);
  if (algorithm === undefined) throw new Error(`the record at ${path} is of a key spec that is not for HMACs`);
  const versions = versionsOf(entry.message);
  return {
    ...policies.protect(entry.message, aliasNames),
    keyState,
    deletionDate,
    validTo: imported?.validTo && timestampMs(imported.validTo),
    algorithm,
    versions,
    current: versions.find(({ version }) => version === currentVersion),
    size: sizeOf(entry.message),
  };
}

/**
 * How many usual keys take as much memory as a key does, at most. What a policy becomes when it is read was measured: the
 * worst, many short patterns, is 400 bytes for each text in it.
 */
function sizeOf({ policy, tags, versions }: Key): number {
  const policyBytes = 2 * policy.length + 400 * (policy.split('"').length >> 1);
  const tagBytes = tags.reduce((sum, { tagKey, tagValue }) => sum + 200 + 2 * (tagKey!.length + tagValue!.length), 0);
  return Math.ceil((1_200 + policyBytes + tagBytes + 500 * versions.length) / USUAL_SIZE);
}

function versionsOf({ material, versions }: Key): CachedVersion[] {
  const all = material.length > 0 ? [{ version: 0, material }] : versions;
  return all.map((each) => ({ version: each.version, material: createSecretKey(each.material) }));
}

/** A key whose imported material has ended. */
function withoutMaterial(key: CachedKey): CachedKey {
  return { ...key, keyState: stateWithoutMaterial(key), versions: [], current: undefined };
}

function asItself(key: CachedKey): ResolvedKey {
  return { key, requestAlias: undefined };
}
