import { type Timestamp, timestampMs } from '@bufbuild/protobuf/wkt';
import { type Deployment, keyArn } from '../arn.ts';
import { isPrincipalArn } from '../access/principal.ts';
import { KmsError } from '../errors.ts';
import type { Grant } from '../gen/hmacd/store/v1/records_pb.ts';
import { type CreateGrantRequest, GrantOperation } from '../gen/hmacd/v1/grant_pb.ts';
import { grantOperationName } from './grant-operations.ts';

// What a grant allows: pure functions of a grant and the time.
// https://docs.aws.amazon.com/kms/latest/developerguide/grants.html

/** What is asked of a grant that is to be made. */
export interface GrantTerms {
  readonly name: string;
  readonly granteePrincipal: string;
  /** Empty for nobody. */
  readonly retiringPrincipal: string;
  /** In ascending order, each once. */
  readonly operations: readonly GrantOperation[];
  /** Empty for no constraint. */
  readonly sourceArn: string;
  readonly expiresAt?: Timestamp | undefined;
}

const FIRST_SECOND = BigInt(Date.parse('0001-01-01T00:00:00Z') / 1_000);
const LAST_SECOND = BigInt(Date.parse('9999-12-31T23:59:59Z') / 1_000);

/** What HMAC keys can be granted for, in the order in which AWS lists it. */
const GRANTABLE: readonly GrantOperation[] = [
  GrantOperation.CREATE_GRANT,
  GrantOperation.RETIRE_GRANT,
  GrantOperation.DESCRIBE_KEY,
  GrantOperation.GENERATE_MAC,
  GrantOperation.VERIFY_MAC,
];

/**
 * The terms that a request asks for.
 *
 * @throws KmsError InvalidArnException, ValidationException
 */
export function termsOf(request: CreateGrantRequest, now: number): GrantTerms {
  const { granteePrincipal, retiringPrincipal = '', constraints, name = '', expiresAt } = request;
  for (const arn of [granteePrincipal!, retiringPrincipal]) {
    if (arn !== '' && !isPrincipalArn(arn)) throw new KmsError('InvalidArnException', `ARN is not valid: ${arn}`);
  }
  const unsupported = request.operations.filter((operation) => !GRANTABLE.includes(operation));
  if (unsupported.length > 0) {
    throw new KmsError(
      'ValidationException',
      `Operations [${unsupported.map(grantOperationName).join(', ')}] are not supported when creating a grant for a symmetric KMS key with key usage GENERATE_VERIFY_MAC. Valid operations are [${GRANTABLE.map(grantOperationName).join(', ')}]`,
    );
  }
  const { encryptionContextEquals = {}, encryptionContextSubset = {}, sourceArn = '' } = constraints ?? {};
  if (Object.keys({ ...encryptionContextEquals, ...encryptionContextSubset }).length > 0) {
    throw new KmsError(
      'ValidationException',
      'EncryptionContext is supported only when creating a grant for a symmetric encryption KMS key.',
    );
  }
  const operations = [...new Set(request.operations)].toSorted((a, b) => a - b);
  if (operations.every((operation) => operation === GrantOperation.CREATE_GRANT)) {
    throw new KmsError('ValidationException', 'Grants must not contain only the CreateGrant operation.');
  }
  if (expiresAt !== undefined && !isOfCalendar(expiresAt)) {
    throw new KmsError('ValidationException', 'ExpiresAt must be a time of the years 1 to 9999');
  }
  if (expiresAt !== undefined && timestampMs(expiresAt) <= now) {
    throw new KmsError('ValidationException', 'ExpiresAt must be in the future');
  }
  return { name, granteePrincipal: granteePrincipal!, retiringPrincipal, operations, sourceArn, expiresAt };
}

/** Whether a timestamp is what the contract of `google.protobuf.Timestamp` allows. */
function isOfCalendar({ seconds, nanos }: Timestamp): boolean {
  return seconds >= FIRST_SECOND && seconds <= LAST_SECOND && nanos >= 0 && nanos <= 999_999_999;
}

/** Whether a grant is there at a time: from its expiry on it is not, whether or not it has been swept away. */
export function isThere({ expiresAt }: Pick<Grant, 'expiresAt'>, now: number): boolean {
  return expiresAt === undefined || now < timestampMs(expiresAt);
}

/**
 * Whether a grant allows an operation at a time.
 *
 * @param withToken whether the caller named it by a token, so that it need not be effective yet
 */
export function allows(grant: Grant, operation: GrantOperation, now: number, withToken: boolean): boolean {
  if (!isThere(grant, now) || !grant.operations.includes(operation)) return false;
  // Only AWS services call on behalf of a resource, and none calls here.
  if (grant.sourceArn !== '') return false;
  return withToken || grant.effectiveFrom === undefined || now >= timestampMs(grant.effectiveFrom);
}

/** Whether whoever may create grants only by one grant may pass on some terms: not more, and not for longer. */
export function covers(parent: Grant, terms: GrantTerms): boolean {
  const narrower = parent.sourceArn === '' || parent.sourceArn === terms.sourceArn;
  const shorter =
    parent.expiresAt === undefined ||
    (terms.expiresAt !== undefined && timestampMs(terms.expiresAt) <= timestampMs(parent.expiresAt));
  return narrower && shorter && terms.operations.every((operation) => parent.operations.includes(operation));
}

/** What callers may know of a grant. */
export function describeGrant(grant: Grant, deployment: Deployment) {
  const { creationDate, retiringPrincipal, sourceArn } = grant;
  return {
    keyId: keyArn(deployment, grant.keyId),
    grantId: grant.grantId,
    name: grant.name,
    ...(creationDate && { creationDate: { seconds: creationDate.seconds, nanos: 0 } }),
    granteePrincipal: grant.granteePrincipal,
    ...(retiringPrincipal !== '' && { retiringPrincipal }),
    issuingAccount: `arn:${deployment.partition}:iam::${grant.issuingAccount}:root`,
    operations: grant.operations,
    ...(sourceArn !== '' && { constraints: { sourceArn } }),
    ...(grant.expiresAt && { expiresAt: grant.expiresAt }),
  };
}
