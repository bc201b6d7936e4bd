import { hash } from 'node:crypto';
import { timestampDate, timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { Clock } from '../clock.ts';
import { KmsError } from '../errors.ts';
import {
  ExpiringGrantSchema,
  GrantCountSchema,
  GrantSchema,
  NamedGrantSchema,
  RetirableGrantSchema,
} from '../gen/hmacd/store/v1/records_pb.ts';
import { type Change, createRecord, type Entry, putRecord, type Records, removeRecord } from '../records/records.ts';
import { type GrantTerms, isThere } from './grant.ts';
import type { GrantPaths } from './grant-paths.ts';

/** The most grants of a key: https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html */
const LIMIT = 50_000;
/** How many tokens of a grant go with it in one commit; those that are left are worth nothing. */
const TOKENS_AT_ONCE = 400;

/** A grant's record. */
export type GrantEntry = Entry<typeof GrantSchema>;

/** Keeps the records that belong to a grant together. */
export class GrantRecords {
  readonly #records: Records;
  readonly #paths: GrantPaths;
  readonly #delay: number;
  readonly #clock: Clock;

  /** @param delay how long it takes until a grant counts without a token, in milliseconds */
  constructor(records: Records, paths: GrantPaths, delay: number, clock: Clock) {
    this.#records = records;
    this.#paths = paths;
    this.#delay = delay;
    this.#clock = clock;
  }

  /** The grant of an ID, if it is there. */
  async get(keyId: string, grantId: string): Promise<GrantEntry | undefined> {
    if (!isGrantId(grantId)) return undefined;
    const grant = await this.#records.get(GrantSchema, this.#paths.grant(keyId, grantId));
    return grant !== undefined && isThere(grant.message, this.#clock.now()) ? grant : undefined;
  }

  /** What has to go with a grant, and the grant itself. */
  async removals(grant: GrantEntry): Promise<Change[]> {
    const { keyId, grantId, granteePrincipal, retiringPrincipal, expiresAt } = grant.message;
    const expiry = expiresAt && this.#paths.expiry(timestampDate(expiresAt), keyId, grantId);
    const [count, toGrantee, retirable, named] = await this.#records.getMany([
      [GrantCountSchema, this.#paths.count(keyId)],
      [GrantSchema, this.#paths.grantTo(keyId, granteePrincipal, grantId)],
      [RetirableGrantSchema, this.#paths.retirable(retiringPrincipal, keyId, grantId)],
      [NamedGrantSchema, this.#paths.named(keyId, digestOf(grant.message, grant.message.issuingAccount))],
    ]);
    const expiring = expiry === undefined ? undefined : await this.#records.get(ExpiringGrantSchema, expiry);
    const tokens = await this.#records.listPaths(this.#paths.tokens(keyId, grantId), '', TOKENS_AT_ONCE);
    const ofItsName = named?.message.grantId === grantId ? named : undefined;
    return [
      ...[grant, toGrantee, retirable, ofItsName, expiring, ...tokens]
        .filter((found) => found !== undefined)
        .map(removeRecord),
      ...(count === undefined
        ? []
        : [putRecord(count.path, count, GrantCountSchema, { count: Math.max(0, count.message.count - 1) })]),
    ];
  }

  /**
   * What a new grant adds.
   *
   * @param issuingAccount the account that makes it
   * @throws KmsError LimitExceededException when the key has 50,000
   */
  async additions(keyId: string, grantId: string, terms: GrantTerms, issuingAccount: string): Promise<Change[]> {
    const namedPath = this.#paths.named(keyId, digestOf(terms, issuingAccount));
    const [count, named] = await this.#records.getMany([
      [GrantCountSchema, this.#paths.count(keyId)],
      [NamedGrantSchema, namedPath],
    ]);
    const current = count?.message.count ?? 0;
    if (current >= LIMIT) {
      throw new KmsError(
        'LimitExceededException',
        `Grants per key quota for this account in this region is ${LIMIT}, current usage is ${current}.`,
      );
    }
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
    const { granteePrincipal, retiringPrincipal } = terms;
    return [
      putRecord(this.#paths.count(keyId), count, GrantCountSchema, { count: current + 1 }),
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
      ...(terms.expiresAt === undefined
        ? []
        : [
            createRecord(this.#paths.expiry(timestampDate(terms.expiresAt), keyId, grantId), ExpiringGrantSchema, {
              keyId,
              grantId,
            }),
          ]),
      ...(terms.name === '' ? [] : [putRecord(namedPath, named, NamedGrantSchema, { grantId })]),
    ];
  }

  /** The grant that was made for the same named request, if it is there still. */
  async named(keyId: string, terms: GrantTerms, issuingAccount: string): Promise<GrantEntry | undefined> {
    if (terms.name === '') return undefined;
    const named = await this.#records.get(NamedGrantSchema, this.#paths.named(keyId, digestOf(terms, issuingAccount)));
    if (named === undefined) return undefined;
    return await this.get(keyId, named.message.grantId);
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
