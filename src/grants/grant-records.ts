import { hash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { timestampDate, timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import type { Clock } from '../clock.ts';
import { KmsError } from '../errors.ts';
import {
  ExpiringGrantSchema,
  type Grant,
  GrantSchema,
  GrantTokenSchema,
  NamedGrantSchema,
  RetirableGrantSchema,
} from '../gen/hmacd/store/v1/records_pb.ts';
import {
  type Change,
  createRecord,
  type DamagedEntry,
  type Entry,
  type Found,
  putRecord,
  type Records,
  removeRecord,
} from '../records/records.ts';
import { type GrantTerms, isThere } from './grant.ts';
import type { GrantPaths } from './grant-paths.ts';

/** How many tokens of a grant go in one commit. */
const TOKENS_AT_ONCE = 400;
/** For how long a token of a grant that is effective is kept, in milliseconds: by then every replica knows the grant. */
const TOKEN_USE = 3_600_000;
/** How many records are looked at in one step, where it takes several. */
const BATCH = 100;

/** A grant's record. */
export type GrantEntry = Entry<typeof GrantSchema>;

/** Keeps the records that belong to a grant together. */
export class GrantRecords {
  readonly #records: Records;
  readonly #paths: GrantPaths;
  readonly #delay: number;
  readonly #clock: Clock;
  readonly #quota: number;

  /**
   * @param delay how long it takes until a grant counts without a token, in milliseconds
   * @param quota the most grants of a key
   */
  constructor(records: Records, paths: GrantPaths, delay: number, clock: Clock, quota: number) {
    this.#records = records;
    this.#paths = paths;
    this.#delay = delay;
    this.#clock = clock;
    this.#quota = quota;
  }

  /**
   * The grant of an ID, if it is there. Where its record is damaged, its copy under the grantee says what it said, if that
   * opens.
   */
  async find(keyId: string, grantId: string): Promise<GrantEntry | DamagedEntry | undefined> {
    const grant = isGrantId(grantId) ? await this.stored(keyId, grantId) : undefined;
    return grant?.message === undefined || isThere(grant.message, this.#clock.now()) ? grant : undefined;
  }

  /** Like `find`, also when the grant has expired. */
  async stored(keyId: string, grantId: string): Promise<GrantEntry | DamagedEntry | undefined> {
    const [grant] = await this.#records.find(GrantSchema, [this.#paths.grant(keyId, grantId)]);
    if (grant === undefined || grant.message !== undefined) return grant;
    const message = (await this.#copyOf(keyId, grantId))?.message;
    return message === undefined ? grant : { ...grant, message };
  }

  /** What has to go with a grant, and the grant itself. What is damaged goes as well. */
  async removals(grant: GrantEntry | DamagedEntry): Promise<Change[]> {
    const { keyId, grantId } = this.#paths.ofGrant(grant.path);
    const tokens = await this.#records.listPaths(this.#paths.tokens(keyId, grantId), '', TOKENS_AT_ONCE);
    const others = grant.message === undefined ? [await this.#copyOf(keyId, grantId)] : await this.#others(grant);
    return [grant, ...others, ...tokens].filter((found) => found !== undefined).map(removeRecord);
  }

  /** Removes the tokens that are left of a grant that was removed. */
  async removeTokens(keyId: string, grantId: string): Promise<void> {
    for (;;) {
      const tokens = await this.#records.listPaths(this.#paths.tokens(keyId, grantId), '', TOKENS_AT_ONCE);
      if (tokens.length === 0) return;
      // It only adds: they were worth nothing any more.
      await this.#records.commit(tokens.map(removeRecord), 'adds');
      await setImmediate();
    }
  }

  /** The records beside a grant's own. */
  async #others({ message }: GrantEntry): Promise<Found[]> {
    const { keyId, grantId, granteePrincipal } = message;
    const [named] = await this.#records.find(NamedGrantSchema, [
      this.#paths.named(keyId, digestOf(message, message.issuingAccount)),
    ]);
    const isItsName = named !== undefined && (named.message === undefined || named.message.grantId === grantId);
    const found = await this.#records.findPaths([
      this.#paths.grantTo(keyId, granteePrincipal, grantId),
      ...this.#elsewhere(message),
    ]);
    return isItsName ? [...found, named] : found;
  }

  /** The paths of a grant's records that are not under its key. */
  #elsewhere({ keyId, grantId, retiringPrincipal, expiresAt }: Grant): string[] {
    return [
      ...(retiringPrincipal === '' ? [] : [this.#paths.retirable(retiringPrincipal, keyId, grantId)]),
      ...(expiresAt === undefined ? [] : [this.#paths.expiry(timestampDate(expiresAt), keyId, grantId)]),
    ];
  }

  /** The copy of a grant under its grantee, which nothing else tells: a walk over the key's grants finds it. */
  async #copyOf(keyId: string, grantId: string): Promise<GrantEntry | DamagedEntry | undefined> {
    for (let after = ''; ;) {
      const found = await this.#records.listPaths(this.#paths.grantees(keyId), after, BATCH);
      const path = found.map((each) => each.path).find((each) => this.#paths.isOfGrant(each, grantId));
      if (path !== undefined) return (await this.#records.find(GrantSchema, [path]))[0];
      if (found.length < BATCH) return undefined;
      after = found.at(-1)!.path;
      await setImmediate();
    }
  }

  /** Removes the grants of a key that is no more, with all that is not under the key. */
  async removeAll(keyId: string): Promise<void> {
    for (;;) {
      const grants = await this.#records.list(GrantSchema, this.#paths.grants(keyId), '', BATCH);
      if (grants.length === 0) return;
      const paths = grants.flatMap(({ message }) => (message === undefined ? [] : this.#elsewhere(message)));
      const elsewhere = await this.#records.findPaths(paths);
      // It only adds: nobody could use them any more.
      await this.#records.commit([...grants, ...elsewhere].map(removeRecord), 'adds');
      // The embedded store works at once; calls shall have their turn in between.
      await setImmediate();
    }
  }

  /**
   * What a new grant adds.
   *
   * @param issuingAccount the account that makes it
   * @param name the record of its name, as `named` found it
   * @throws KmsError LimitExceededException when the key has as many as it may; those made at the same moment may come to
   *   be a few more
   */
  async additions(
    keyId: string,
    grantId: string,
    terms: GrantTerms,
    issuingAccount: string,
    name: Found | undefined,
  ): Promise<Change[]> {
    const current = await this.#records.count(this.#paths.grants(keyId));
    if (current >= this.#quota) {
      throw new KmsError(
        'LimitExceededException',
        `Grants per key quota for this account in this region is ${this.#quota}, current usage is ${current}.`,
      );
    }
    const namedPath = this.#paths.named(keyId, digestOf(terms, issuingAccount));
    const now = this.#clock.now();
    const grant = {
      ...terms,
      operations: [...terms.operations],
      expiresAt: terms.expiresAt,
      grantId,
      keyId,
      issuingAccount,
      creationDate: timestampFromMs(now),
      effectiveFrom: timestampFromMs(now + this.#delay),
    };
    const { granteePrincipal, retiringPrincipal, expiresAt } = terms;
    return [
      createRecord(this.#paths.grant(keyId, grantId), GrantSchema, grant),
      createRecord(this.#paths.grantTo(keyId, granteePrincipal, grantId), GrantSchema, grant),
      ...(retiringPrincipal === ''
        ? []
        : [
            createRecord(this.#paths.retirable(retiringPrincipal, keyId, grantId), RetirableGrantSchema, {
              keyId,
              grantId,
            }),
          ]),
      ...(expiresAt === undefined
        ? []
        : [
            createRecord(this.#paths.expiry(timestampDate(expiresAt), keyId, grantId), ExpiringGrantSchema, {
              keyId,
              grantId,
            }),
          ]),
      ...(terms.name === '' ? [] : [putRecord(namedPath, name, NamedGrantSchema, { grantId })]),
    ];
  }

  /** The records of a grant's tokens that add nothing any more to what the grant allows without them. */
  async spentTokens({ message: { keyId, grantId, effectiveFrom } }: GrantEntry): Promise<Change[]> {
    const end = this.#clock.now() - TOKEN_USE;
    if (effectiveFrom !== undefined && timestampMs(effectiveFrom) > end) return [];
    const tokens = await this.#records.list(GrantTokenSchema, this.#paths.tokens(keyId, grantId), '', TOKENS_AT_ONCE);
    return tokens
      .filter(({ message }) => message?.creationDate === undefined || timestampMs(message.creationDate) <= end)
      .map(removeRecord);
  }

  /** The grant that was made for the same named request, if it is there still, and the record of the name. */
  async named(
    keyId: string,
    terms: GrantTerms,
    issuingAccount: string,
  ): Promise<{ name?: Found | undefined; existing?: GrantEntry | undefined }> {
    if (terms.name === '') return {};
    const path = this.#paths.named(keyId, digestOf(terms, issuingAccount));
    const [name] = await this.#records.find(NamedGrantSchema, [path]);
    const existing = name?.message && (await this.find(keyId, name.message.grantId));
    // One whose records are damaged is made anew.
    return { name, existing: existing?.message === undefined ? undefined : existing };
  }
}

/** Whether a text is the ID of a grant: 64 hexadecimal digits in lower case. */
export function isGrantId(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

/** Everything that is asked for, and by whom: what is the same twice under one name is one grant. */
function digestOf(
  { name, granteePrincipal, retiringPrincipal, operations, sourceArn, expiresAt }: GrantTerms,
  issuingAccount: string,
): string {
  const expiry = expiresAt && timestampDate(expiresAt).toISOString();
  return hash(
    'sha256',
    JSON.stringify([issuingAccount, name, granteePrincipal, retiringPrincipal, operations, sourceArn, expiry ?? null]),
  );
}
