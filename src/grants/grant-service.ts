import { type KeyObject, randomBytes } from 'node:crypto';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { accessDenied, foreignAccountDenied } from '../access/access-denied.ts';
import type { Authorizer } from '../access/authorizer.ts';
import type { Call } from '../access/call.ts';
import type { ConditionValues } from '../access/condition-context.ts';
import { isPrincipalArn, principalOf } from '../access/principal.ts';
import type { Deployment } from '../arn.ts';
import type { Clock } from '../clock.ts';
import { dryRunError, KmsError, shortened } from '../errors.ts';
import { type Grant, GrantSchema, GrantTokenSchema } from '../gen/hmacd/store/v1/records_pb.ts';
import {
  type CreateGrantRequest,
  GrantOperation,
  type ListGrantsRequest,
  type ListRetirableGrantsRequest,
  type RetireGrantRequest,
  type RevokeGrantRequest,
} from '../gen/hmacd/v1/grant_pb.ts';
import { requireUsable } from '../keys/key.ts';
import type { FoundKey, KeyReader } from '../keys/key-reader.ts';
import { markerAfter, nameOfMarker, pageOf } from '../keys/marker.ts';
import { ConflictError } from '../records/record-store.ts';
import { type Change, createRecord, type DamagedEntry, keepRecord, type Records } from '../records/records.ts';
import { UnsealError } from '../records/sealer.ts';
import { covers, describeGrant, type GrantTerms, isThere, termsOf } from './grant.ts';
import { grantOperationName } from './grant-operations.ts';
import type { GrantPaths } from './grant-paths.ts';
import { type GrantEntry, type GrantRecords, isGrantId } from './grant-records.ts';
import { digestOfToken, issueToken, readToken } from './grant-token.ts';

/** The most grants on a page, whatever the limit that is asked for. */
const PAGE = 100;

/** The operations on grants, of requests that are within their limits. */
export class GrantService {
  readonly #records: Records;
  readonly #grants: GrantRecords;
  readonly #keys: KeyReader;
  readonly #authorizer: Authorizer;
  readonly #deployment: Deployment;
  readonly #paths: GrantPaths;
  readonly #tokenKey: KeyObject;
  readonly #clock: Clock;

  constructor(
    records: Records,
    grants: GrantRecords,
    keys: KeyReader,
    authorizer: Authorizer,
    deployment: Deployment,
    paths: GrantPaths,
    tokenKey: KeyObject,
    clock: Clock,
  ) {
    this.#records = records;
    this.#grants = grants;
    this.#keys = keys;
    this.#authorizer = authorizer;
    this.#deployment = deployment;
    this.#paths = paths;
    this.#tokenKey = tokenKey;
    this.#clock = clock;
  }

  async createGrant(request: CreateGrantRequest, call: Call) {
    const terms = termsOf(request, this.#clock.now());
    return await this.#records.untilUncontended(async () => {
      const key = await this.#keys.byId(request.keyId!, call, {
        grantTokens: request.grantTokens,
        values: valuesOf(terms),
        covers: (parent) => covers(parent, terms),
      });
      requireUsable(key.message.keyState, key.protection.arn);
      const { keyId } = key.message;
      const parent = await this.#parent(keyId, call);
      const { name, existing } = await this.#grants.named(keyId, terms, call.principal.accountId);
      const grantId = existing?.message.grantId ?? randomBytes(32).toString('hex');
      const changes =
        existing === undefined
          ? await this.#grants.additions(keyId, grantId, terms, call.principal.accountId, name)
          : [keepRecord(existing), ...(await this.#grants.spentTokens(existing))];
      if (request.dryRun) throw dryRunError(call);
      const issuedAt = this.#clock.now();
      const grantToken = issueToken(this.#tokenKey, { keyId, grantId, issuedAt });
      const tokenPath = this.#paths.token({ keyId, grantId, issuedAt }, digestOfToken(grantToken));
      const token = createRecord(tokenPath, GrantTokenSchema, { creationDate: timestampFromMs(issuedAt) });
      await this.#records.commit([keepRecord(key), ...parent, ...changes, token], 'adds');
      return { grantToken, grantId };
    });
  }

  /** Demands, where a grant lets the caller make others, that it is still there when they are made. */
  async #parent(keyId: string, { grantId }: Call): Promise<Change[]> {
    if (grantId === undefined) return [];
    const parent = await this.#grants.find(keyId, grantId);
    if (parent === undefined) throw new ConflictError(this.#paths.grant(keyId, grantId));
    return [keepRecord(parent)];
  }

  async listGrants(request: ListGrantsRequest, call: Call) {
    const { granteePrincipal, grantId } = request;
    requirePrincipal(granteePrincipal);
    const { keyId } = (await this.#keys.byId(request.keyId!, call, { values: NOT_FOR_SERVICES })).message;
    const limit = Math.min(request.limit ?? 50, PAGE);
    const after = nameOfMarker(request.marker, isGrantId);
    const prefix =
      granteePrincipal === undefined ? this.#paths.grants(keyId) : this.#paths.grantsTo(keyId, granteePrincipal);
    if (grantId !== undefined) {
      const [only] = await this.#records.find(GrantSchema, isGrantId(grantId) ? [prefix + grantId] : []);
      return { grants: this.#describeAll([only?.message]), truncated: false };
    }
    const found = await this.#records.list(GrantSchema, prefix, prefix + after, limit + 1);
    const { page, truncated } = pageOf(found, limit);
    return {
      grants: this.#describeAll(page.map(({ message }) => message)),
      ...(truncated && { nextMarker: markerAfter(page.at(-1)!.path.slice(prefix.length)) }),
      truncated,
    };
  }

  async listRetirableGrants(request: ListRetirableGrantsRequest, call: Call) {
    const retiringPrincipal = request.retiringPrincipal!;
    requirePrincipal(retiringPrincipal);
    requireOwnPrincipal(retiringPrincipal, call);
    this.#authorizer.authorizeAtCaller(call);
    const limit = Math.min(request.limit ?? 50, PAGE);
    const prefix = this.#paths.retirableBy(retiringPrincipal);
    const after = nameOfMarker(request.marker, isRetirableName);
    const found = await this.#records.listPaths(prefix, prefix + after, limit + 1);
    const { page, truncated } = pageOf(found, limit);
    const names = page.map(({ path }) => path.slice(prefix.length));
    const ended = await this.#keys.ended();
    const grants = await this.#records.find(
      GrantSchema,
      names.map(partsOf).flatMap(([keyId, grantId]) => (ended.has(keyId) ? [] : [this.#paths.grant(keyId, grantId)])),
    );
    return {
      grants: this.#describeAll(grants.map(({ message }) => message)),
      ...(truncated && { nextMarker: markerAfter(names.at(-1)!) }),
      truncated,
    };
  }

  async retireGrant(request: RetireGrantRequest, call: Call) {
    const { reference, grantId } = this.#retired(request);
    await this.#remove(grantId, request.dryRun, call, async () => {
      const key = await this.#keys.find(reference, call);
      return {
        key,
        // Callers of other accounts cannot tell a grant that is not there from a key that is not.
        absence: this.#authorizer.isAtHome(call) ? grantNotFound : () => foreignAccountDenied(call),
        authorize: ({ path, message: grant }) => {
          if (grant === undefined)
            throw new UnsealError(path, 'and neither does its copy, which would tell who may retire it');
          const granteeMay = grant.operations.includes(GrantOperation.RETIRE_GRANT);
          this.#authorizer.authorizeRetirement(call, key.protection, grant, granteeMay);
        },
      };
    });
    return {};
  }

  async revokeGrant(request: RevokeGrantRequest, call: Call) {
    await this.#remove(request.grantId!, request.dryRun, call, async () => ({
      key: await this.#keys.byId(request.keyId!, call, { values: NOT_FOR_SERVICES }),
      absence: grantNotFound,
      authorize() {},
    }));
    return {};
  }

  /**
   * Takes a grant back.
   *
   * @param find reads the key, and tells how to ask whether the caller may
   * @throws KmsError NotFoundException, without a text, when there is no such grant
   */
  async #remove(
    grantId: string,
    dryRun: boolean | undefined,
    call: Call,
    find: () => Promise<{
      key: FoundKey;
      absence: () => KmsError;
      authorize: (grant: GrantEntry | DamagedEntry) => void;
    }>,
  ): Promise<void> {
    const keyId = await this.#records.untilUncontended(async () => {
      const { key, absence, authorize } = await find();
      const grant = await this.#grants.find(key.message.keyId, grantId);
      if (grant === undefined) {
        // Whoever took it back may be waiting still: that it is gone is not said before it is true everywhere.
        await this.#records.settled();
        throw absence();
      }
      authorize(grant);
      if (dryRun) throw dryRunError(call);
      await this.#records.commit([keepRecord(key), ...(await this.#grants.removals(grant))], 'takes away');
      return key.message.keyId;
    });
    // Apart: a conflict here must not look for the grant again.
    await this.#records.untilUncontended(() => this.#grants.removeTokens(keyId, grantId));
  }

  /**
   * The key and the grant that a request names.
   *
   * @throws KmsError ValidationException, InvalidGrantTokenException
   */
  #retired({ grantToken, keyId, grantId }: RetireGrantRequest): { reference: string; grantId: string } {
    if (grantToken !== undefined && keyId === undefined && grantId === undefined) {
      return withReference(readToken(this.#tokenKey, grantToken));
    }
    if (grantToken !== undefined || keyId === undefined || grantId === undefined) {
      throw new KmsError('ValidationException', 'You must specify either a grant token, or a key ARN and a grant ID.');
    }
    if (!keyId.startsWith('arn:')) throw new KmsError('NotFoundException', `Invalid arn ${shortened(keyId)}`);
    return { reference: keyId, grantId };
  }

  #describeAll(grants: readonly (Grant | undefined)[]) {
    const now = this.#clock.now();
    return grants
      .filter((grant) => grant !== undefined && isThere(grant, now))
      .map((grant) => describeGrant(grant!, this.#deployment));
  }
}

function withReference({ keyId, grantId }: { keyId: string; grantId: string }): { reference: string; grantId: string } {
  return { reference: keyId, grantId };
}

function grantNotFound(): KmsError {
  return new KmsError('NotFoundException');
}

/** No AWS service calls here. */
const NOT_FOR_SERVICES: ConditionValues = { 'kms:grantisforawsresource': ['false'] };

/** What conditions may look at. */
function valuesOf({ granteePrincipal, retiringPrincipal, operations, sourceArn }: GrantTerms): ConditionValues {
  return {
    'kms:granteeprincipal': [granteePrincipal],
    ...(retiringPrincipal !== '' && { 'kms:retiringprincipal': [retiringPrincipal] }),
    'kms:grantoperations': operations.map(grantOperationName),
    ...(sourceArn !== '' && { 'kms:grantconstraintsourcearn': [sourceArn] }),
    ...NOT_FOR_SERVICES,
  };
}

/** Whether a text is what follows the prefix of a principal's retirable grants. */
function isRetirableName(text: string): boolean {
  return /^[0-9a-f-]{36}\/[0-9a-f]{64}$/.test(text);
}

function partsOf(name: string): [keyId: string, grantId: string] {
  const [keyId = '', grantId = ''] = name.split('/');
  return [keyId, grantId];
}

/** @throws KmsError InvalidArnException */
function requirePrincipal(arn: string | undefined): void {
  if (arn !== undefined && !isPrincipalArn(arn)) throw new KmsError('InvalidArnException', `ARN is not valid: ${arn}`);
}

/** Demands that a principal is of the caller's account. */
function requireOwnPrincipal(arn: string, call: Call): void {
  if (principalOf(arn, [], 'none').accountId === call.principal.accountId) return;
  call.decidedBy = 'no statement allows it';
  throw accessDenied(call, '*', 'identity-based');
}
