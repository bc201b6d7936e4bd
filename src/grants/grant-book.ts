import type { KeyObject } from 'node:crypto';
import type { AllowingGrant, GrantQuestion, Grants } from '../access/authorizer.ts';
import type { Clock } from '../clock.ts';
import { type Grant, GrantSchema, GrantTokenSchema } from '../gen/hmacd/store/v1/records_pb.ts';
import type { GrantOperation } from '../gen/hmacd/v1/grant_pb.ts';
import type { ChangeFollower } from '../records/change-follower.ts';
import { RecordCache } from '../records/record-cache.ts';
import type { Records } from '../records/records.ts';
import { allows } from './grant.ts';
import { grantOperationOf } from './grant-operations.ts';
import type { GrantPaths } from './grant-paths.ts';
import { digestOfToken, readToken, type TokenClaims } from './grant-token.ts';

/** How many grants are read at once. */
const PAGE = 1_000;

/** Reads what is not at hand; not begun before it is waited for, since a failure that nobody waits for ends the process. */
type Read = () => Promise<unknown>;

/** The grants that callers use, at hand without a look at the store for as long as that is safe. */
export class GrantBook implements Grants {
  readonly #paths: GrantPaths;
  readonly #tokenKey: KeyObject;
  readonly #tokenTtl: number;
  readonly #clock: Clock;
  /** By the prefix of the grants of a key to a principal: by operation, so that one that allows it is found at once. */
  readonly #toPrincipals: RecordCache<ReadonlyMap<GrantOperation, readonly Grant[]>>;
  readonly #grants: RecordCache<{ readonly grant: Grant | undefined }>;
  readonly #tokens: RecordCache<{ readonly issued: boolean }>;

  /**
   * @param tokenTtl for how long a token is worth anything, in milliseconds; Infinity for as long as its grant
   * @param capacity how many pairs of a key and a principal, and as many grants and tokens, to keep at hand
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
    this.#toPrincipals = new RecordCache(
      follower,
      (prefix) => loadGrantsTo(records, prefix),
      capacity,
      (path) => paths.prefixOf(path),
    );
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
    const { names, accountArn } = question.principal;
    const grantees = [...names, accountArn];
    return this.#find(question, operation, grantees, reads) ?? this.#findByToken(question, operation, grantees, reads);
  }

  #find(
    { keyId, suffices, covers }: GrantQuestion,
    operation: GrantOperation,
    granteePrincipals: readonly string[],
    reads: Read[],
  ): Grant | undefined {
    const now = this.#clock.now();
    for (const grantee of granteePrincipals) {
      const prefix = this.#paths.grantsTo(keyId, grantee);
      const byOperation = this.#toPrincipals.peek(prefix);
      if (byOperation === undefined) reads.push(() => this.#toPrincipals.read(prefix));
      const grant = byOperation
        ?.get(operation)
        ?.find(
          (each) => allows(each, operation, now, false) && suffices(each) && (covers === undefined || covers(each)),
        );
      if (grant !== undefined) return grant;
    }
    return undefined;
  }

  #findByToken(
    { keyId, tokens, suffices, covers }: GrantQuestion,
    operation: GrantOperation,
    granteePrincipals: readonly string[],
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
        granteePrincipals.includes(grant.granteePrincipal) &&
        allows(grant, operation, now, true) &&
        suffices(grant) &&
        (covers === undefined || covers(grant));
      if (fits) return grant;
    }
    return undefined;
  }

  #grantOf(token: string, { keyId, grantId }: TokenClaims, reads: Read[]): Grant | undefined {
    const tokenPath = this.#paths.token(keyId, grantId, digestOfToken(token));
    const grantPath = this.#paths.grant(keyId, grantId);
    const state = this.#tokens.peek(tokenPath);
    const found = this.#grants.peek(grantPath);
    if (state === undefined) reads.push(() => this.#tokens.read(tokenPath));
    if (found === undefined) reads.push(() => this.#grants.read(grantPath));
    return state?.issued === true ? found?.grant : undefined;
  }
}

/** The grants under a prefix, by what they allow; a damaged one allows nothing. */
async function loadGrantsTo(records: Records, prefix: string): Promise<ReadonlyMap<GrantOperation, readonly Grant[]>> {
  const byOperation = new Map<GrantOperation, Grant[]>();
  for (let after = ''; ;) {
    const found = await records.list(GrantSchema, prefix, after, PAGE);
    for (const { message } of found) {
      // One that can never allow anything is not worth remembering.
      if (message === undefined || message.sourceArn !== '') continue;
      for (const operation of message.operations) {
        const grants = byOperation.get(operation);
        if (grants === undefined) byOperation.set(operation, [message]);
        else grants.push(message);
      }
    }
    if (found.length < PAGE) return byOperation;
    after = found.at(-1)!.path;
  }
}
