import type { KeyObject } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { AllowingGrant, GrantQuestion, Grants } from '../access/authorizer.ts';
import type { Principal } from '../access/principal.ts';
import type { Clock } from '../clock.ts';
import { type Grant, GrantSchema, GrantTokenSchema } from '../gen/hmacd/store/v1/records_pb.ts';
import type { GrantOperation } from '../gen/hmacd/v1/grant_pb.ts';
import type { ChangeFollower } from '../records/change-follower.ts';
import { RecordCache } from '../records/record-cache.ts';
import type { DamagedEntry, Records } from '../records/records.ts';
import { allows } from './grant.ts';
import { grantOperationOf } from './grant-operations.ts';
import type { GrantPaths } from './grant-paths.ts';
import type { GrantEntry } from './grant-records.ts';
import { digestOfToken, readToken, type TokenClaims } from './grant-token.ts';
import { GrantsToPrincipal } from './grants-to-principal.ts';

/** How many grants are read at once. */
const PAGE = 200;

/** For how many keys of a caller the prefixes of its grants are remembered. */
const REMEMBERED = 1_000;

/** Reads what is not at hand; not begun before it is waited for, since a failure that nobody waits for ends the process. */
type Read = () => Promise<unknown>;

/** The grants that callers use, at hand without a look at the store for as long as that is safe. */
export class GrantBook implements Grants {
  readonly #paths: GrantPaths;
  readonly #tokenKey: KeyObject;
  readonly #tokenTtl: number;
  readonly #clock: Clock;
  /** By the prefix of the grants of a key to a principal. */
  readonly #toPrincipals: RecordCache<GrantsToPrincipal>;
  readonly #grants: RecordCache<{ readonly grant: Grant | undefined }>;
  readonly #tokens: RecordCache<{ readonly issued: boolean }>;
  /** Of the grants of keys to callers and to their accounts, by the key ID: long texts, put together once. */
  readonly #prefixes = new WeakMap<Principal, Map<string, readonly string[]>>();

  /**
   * @param tokenTtl for how long a token is worth anything, in milliseconds; Infinity for as long as its grant
   * @param capacity how many grants, by key and grantee, and how many grants and tokens that were named by tokens, to keep
   *   at hand
   */
  constructor(
    records: Records,
    follower: ChangeFollower,
    paths: GrantPaths,
    tokenKey: KeyObject,
    tokenTtl: number,
    clock: Clock,
    capacity: number,
  ) {
    this.#paths = paths;
    this.#tokenKey = tokenKey;
    this.#tokenTtl = tokenTtl;
    this.#clock = clock;
    this.#toPrincipals = new RecordCache(follower, (prefix, known) => loadGrantsTo(records, prefix, known), capacity, {
      placeOf: (path) => paths.prefixOf(path),
      // A grant that is added or taken back does not make those beside it be read again, unless many are.
      revise: (value, path) => (value.forget(path), value.unread.size <= PAGE),
      isWhole: ({ unread }) => unread.size === 0,
      sizeOf: ({ size }) => size,
    });
    this.#grants = new RecordCache(
      follower,
      async (path) => ({ grant: (await records.get(GrantSchema, path))?.message }),
      capacity,
    );
    this.#tokens = new RecordCache(
      follower,
      async (path) => ({ issued: (await records.get(GrantTokenSchema, path)) !== undefined }),
      capacity,
    );
  }

  allowing(question: GrantQuestion): AllowingGrant | undefined | Promise<void> {
    const operation = grantOperationOf(question.operation);
    if (operation === undefined) return undefined;
    const reads: Read[] = [];
    const sufficient = this.#search(question, operation, reads);
    if (sufficient !== undefined) return { grantId: sufficient.grantId, sufficient: true };
    // One that suffices may still be found.
    if (reads.length > 0) return Promise.all(reads.map((read) => read())).then(() => undefined);
    const other = this.#search({ ...question, suffices: () => true }, operation, reads);
    return other && { grantId: other.grantId, sufficient: false };
  }

  requireGenuine(tokens: readonly string[]): void {
    for (const token of tokens) readToken(this.#tokenKey, token);
  }

  /**
   * Looks for a grant to the caller itself or to its account.
   *
   * @param reads gets what has to be read first
   */
  #search(question: GrantQuestion, operation: GrantOperation, reads: Read[]): Grant | undefined {
    return this.#find(question, operation, reads) ?? this.#findByToken(question, operation, reads);
  }

  #find(
    { keyId, principal, suffices, covers }: GrantQuestion,
    operation: GrantOperation,
    reads: Read[],
  ): Grant | undefined {
    const now = this.#clock.now();
    const serves = (grant: Grant): boolean =>
      allows(grant, operation, now, false) && suffices(grant) && (covers === undefined || covers(grant));
    for (const prefix of this.#prefixesOf(keyId, principal)) {
      const granted = this.#toPrincipals.peek(prefix);
      const grant = granted?.find(operation, serves);
      if (grant !== undefined) return grant;
      if (granted === undefined || granted.unread.size > 0) reads.push(() => this.#toPrincipals.read(prefix));
    }
    return undefined;
  }

  #prefixesOf(keyId: string, principal: Principal): readonly string[] {
    let byKey = this.#prefixes.get(principal);
    if (byKey === undefined || byKey.size >= REMEMBERED) {
      byKey = new Map();
      this.#prefixes.set(principal, byKey);
    }
    let prefixes = byKey.get(keyId);
    if (prefixes === undefined) {
      prefixes = granteesOf(principal).map((grantee) => this.#paths.grantsTo(keyId, grantee));
      byKey.set(keyId, prefixes);
    }
    return prefixes;
  }

  #findByToken(
    { keyId, principal, tokens, suffices, covers }: GrantQuestion,
    operation: GrantOperation,
    reads: Read[],
  ): Grant | undefined {
    const now = this.#clock.now();
    for (const token of tokens) {
      const claims = readToken(this.#tokenKey, token);
      // One of another key, or that is too old, adds nothing.
      if (claims.keyId !== keyId || now - claims.issuedAt >= this.#tokenTtl) continue;
      const grant = this.#grantOf(token, claims, reads);
      const fits =
        grant !== undefined &&
        granteesOf(principal).includes(grant.granteePrincipal) &&
        allows(grant, operation, now, true) &&
        suffices(grant) &&
        (covers === undefined || covers(grant));
      if (fits) return grant;
    }
    return undefined;
  }

  #grantOf(token: string, { keyId, grantId, issuedAt }: TokenClaims, reads: Read[]): Grant | undefined {
    const tokenPath = this.#paths.token({ keyId, grantId, issuedAt }, digestOfToken(token));
    const grantPath = this.#paths.grant(keyId, grantId);
    const state = this.#tokens.peek(tokenPath);
    const found = this.#grants.peek(grantPath);
    if (state === undefined) reads.push(() => this.#tokens.read(tokenPath));
    if (found === undefined) reads.push(() => this.#grants.read(grantPath));
    return state?.issued === true ? found?.grant : undefined;
  }
}

/** By whom a grant may mean a caller: itself, or its account. */
function granteesOf({ names, accountArn }: Principal): readonly string[] {
  return [...names, accountArn];
}

/** The grants under a prefix, or, where most of them are known, with those that are not; a damaged one allows nothing. */
async function loadGrantsTo(
  records: Records,
  prefix: string,
  known: GrantsToPrincipal | undefined,
): Promise<GrantsToPrincipal> {
  if (known !== undefined) {
    return known.with(grantsOf(await records.find(GrantSchema, [...known.unread])));
  }
  const grants = new Map<string, Grant>();
  for (let after = ''; ;) {
    const found = await records.list(GrantSchema, prefix, after, PAGE);
    for (const [path, grant] of grantsOf(found)) grants.set(path, grant);
    if (found.length < PAGE) return new GrantsToPrincipal(grants);
    after = found.at(-1)!.path;
    // Others shall not have to wait until many have been opened.
    await setImmediate();
  }
}

function grantsOf(found: readonly (GrantEntry | DamagedEntry)[]): Map<string, Grant> {
  const grants = new Map<string, Grant>();
  for (const { path, message } of found) if (message !== undefined) grants.set(path, message);
  return grants;
}
