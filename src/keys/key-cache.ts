import { createSecretKey, type KeyObject } from 'node:crypto';
import type { Timestamp } from '@bufbuild/protobuf/wkt';
import { aliasArn, type Deployment, keyArn } from '../arn.ts';
import { foreignAccountDenied } from '../access/authorizer.ts';
import type { Call } from '../access/call.ts';
import type { Clock } from '../clock.ts';
import { AliasSchema, KeySchema } from '../gen/hmacd/store/v1/records_pb.ts';
import type { KeyState } from '../gen/hmacd/v1/key_pb.ts';
import type { ChangeFollower } from '../records/change-follower.ts';
import { RecordCache } from '../records/record-cache.ts';
import { StoreUnavailableError } from '../records/record-store.ts';
import type { Records } from '../records/records.ts';
import { isAliasName } from './alias-name.ts';
import { algorithmOfKeySpec, type HmacAlgorithm } from './algorithms.ts';
import { aliasIn } from './alias.ts';
import { exists } from './key.ts';
import type { KeyPaths } from './key-paths.ts';
import { aliasNotFound, keyNotFound, parseKeyReference } from './key-reference.ts';

/** How often an alias is read again that moved while its key was read. */
const ATTEMPTS = 10;

/** What a MAC needs of a key. */
export interface CachedKey {
  readonly keyId: string;
  readonly arn: string;
  readonly keyState: KeyState;
  readonly deletionDate?: Timestamp | undefined;
  readonly algorithm: HmacAlgorithm;
  readonly material: KeyObject;
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
  readonly #paths: KeyPaths;
  readonly #clock: Clock;
  readonly #observer: CacheObserver;
  readonly #keys: RecordCache<CachedKey>;
  readonly #aliases: RecordCache<CachedAlias>;

  /** @param capacity how many keys, and as many aliases, to keep at hand */
  constructor(
    records: Records,
    follower: ChangeFollower,
    deployment: Deployment,
    paths: KeyPaths,
    clock: Clock,
    observer: CacheObserver,
    capacity: number,
  ) {
    this.#deployment = deployment;
    this.#paths = paths;
    this.#clock = clock;
    this.#observer = observer;
    this.#keys = new RecordCache(follower, (path) => loadKey(records, deployment, path), capacity);
    this.#aliases = new RecordCache(follower, (path) => loadAlias(records, paths, path), capacity);
  }

  /**
   * The key that a key ID, key ARN, alias name or alias ARN names, as it is at this moment; at once, if it is at hand.
   *
   * @throws KmsError NotFoundException; AccessDeniedException for another account's
   */
  resolve(reference: string, call: Call): CachedKey | Promise<CachedKey> {
    const parsed = parseKeyReference(reference, this.#deployment);
    if (parsed.kind === 'foreign') throw foreignAccountDenied(call);
    if (parsed.kind === 'key') {
      return this.#key(this.#paths.key(parsed.keyId), () => keyNotFound(this.#deployment, parsed.keyId));
    }
    const notFound = () => aliasNotFound(aliasArn(this.#deployment, parsed.aliasName));
    if (!isAliasName(parsed.aliasName)) throw notFound();
    const path = this.#paths.alias(parsed.aliasName);
    const alias = this.#aliases.peek(path);
    const key = alias && this.#keys.peek(alias.keyPath);
    if (key === undefined) return this.#byAlias(path, notFound);
    this.#observer.cacheHit();
    return this.#existing(key, notFound);
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
    return key;
  }
}

async function loadAlias(records: Records, paths: KeyPaths, path: string): Promise<CachedAlias | undefined> {
  const alias = aliasIn(await records.get(AliasSchema, path));
  return alias && { keyPath: paths.key(alias.message.targetKeyId) };
}

async function loadKey(records: Records, deployment: Deployment, path: string): Promise<CachedKey | undefined> {
  const entry = await records.get(KeySchema, path);
  if (entry === undefined) return undefined;
  const { keyId, keySpec, keyState, deletionDate, material } = entry.message;
  const algorithm = algorithmOfKeySpec(keySpec);
  if (algorithm === undefined) throw new Error(`the record at ${path} is of a key spec that is not for HMACs`);
  return {
    keyId,
    arn: keyArn(deployment, keyId),
    keyState,
    deletionDate,
    algorithm,
    material: createSecretKey(material),
  };
}
