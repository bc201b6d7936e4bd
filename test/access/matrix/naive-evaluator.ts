// What AWS KMS answers, told anew from its documentation alone: slow, without memory, and without anything of src/.
// https://docs.aws.amazon.com/kms/latest/developerguide/control-access.html
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html

export type OperationName =
  | 'GenerateMac'
  | 'VerifyMac'
  | 'DescribeKey'
  | 'GetKeyPolicy'
  | 'PutKeyPolicy'
  | 'DisableKey'
  | 'CreateGrant'
  | 'ListGrants'
  | 'RetireGrant'
  | 'RevokeGrant'
  | 'TagResource'
  | 'UntagResource';

export type State = 'Enabled' | 'Disabled' | 'PendingDeletion';

/** Who calls. */
export interface Person {
  readonly kind: 'root' | 'user' | 'role' | 'session';
  readonly account: string;
  readonly arn: string;
  /** The ARN of the role of a session. */
  readonly role?: string;
}

export interface NaiveStatement {
  readonly effect: 'Allow' | 'Deny';
  /** `*` for everybody; ARNs, of which an account's root stands for the account. Left out in an identity policy. */
  readonly principals?: '*' | readonly string[];
  /** Names of operations, or `*`. */
  readonly actions: readonly string[];
  /** The ARN of a key, or `*`. */
  readonly resource: string;
  readonly condition?: NaiveCondition;
}

export interface NaiveCondition {
  readonly operator:
    | 'StringEquals'
    | 'StringNotEquals'
    | 'ForAllValues:StringEquals'
    | 'ForAnyValue:StringEquals'
    | 'Null';
  readonly key: string;
  readonly value: string | readonly string[];
}

/** Tags by their keys. */
export type NaiveTags = Readonly<Record<string, string>>;

export interface NaiveGrant {
  readonly grantee: string;
  readonly retiring?: string;
  readonly operations: readonly string[];
  readonly issuer: string;
  readonly expired: boolean;
  /** Whether it counts without its token. */
  readonly effective: boolean;
}

export interface Question {
  readonly operation: OperationName;
  readonly caller: Person;
  readonly homeAccount: string;
  readonly keyArn: string;
  readonly state: State;
  readonly keyPolicy: readonly NaiveStatement[];
  readonly identityPolicy: readonly NaiveStatement[];
  /** The one grant that the key may have; RetireGrant and RevokeGrant are about it. */
  readonly grant: NaiveGrant | undefined;
  /** The grant's own token, that of another key's grant, or none that was ever issued. */
  readonly token: 'none' | 'own' | 'other key' | 'malformed';
  /** That of the call, and whether the key has it. */
  readonly algorithm: string;
  readonly algorithmFits: boolean;
  /** Of the key. */
  readonly tags: NaiveTags;
  /** What TagResource gives. */
  readonly tagsGiven: NaiveTags;
  /** What UntagResource takes. */
  readonly tagKeysTaken: readonly string[];
  /** What a new grant would allow. */
  readonly passedOn: readonly string[];
}

export const OPAQUE =
  'on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access';

/** Permissions on all else have no effect across accounts, says key-policy-modifying-external-accounts.html. */
const ACROSS_ACCOUNTS = [
  'GenerateMac',
  'VerifyMac',
  'DescribeKey',
  'CreateGrant',
  'ListGrants',
  'RetireGrant',
  'RevokeGrant',
];

/** Those of HMAC keys that grants can allow, but RetireGrant, which is a matter of its own. */
const GRANTABLE = ['GenerateMac', 'VerifyMac', 'DescribeKey', 'CreateGrant'];

const CHECKED_FIRST = ['GenerateMac', 'VerifyMac', 'DescribeKey', 'CreateGrant', 'RetireGrant'];

/** The outcomes that AWS's rules admit: mostly one; more where no document says which. */
export function naiveOutcomes(q: Question): readonly string[] {
  const own = q.caller.account === q.homeAccount;
  if (q.token === 'malformed' && CHECKED_FIRST.includes(q.operation)) {
    return own ? ['InvalidGrantTokenException'] : ['InvalidGrantTokenException', denied(q, OPAQUE)];
  }
  if (q.operation === 'RetireGrant') return retirement(q, own);
  const refusals = own ? ownRefusals(q) : foreignRefusals(q);
  return refusals.length > 0 ? refusals : [afterwards(q)];
}

/** Of a caller of the key's account; none when it may. */
function ownRefusals(q: Question): string[] {
  const denials = [
    ...(keyPolicySays(q, 'Deny', everyName(q.caller))
      ? [ownText(q, 'with an explicit deny in a resource-based policy')]
      : []),
    ...(identitySays(q, 'Deny') ? [ownText(q, 'with an explicit deny in an identity-based policy')] : []),
  ];
  if (denials.length > 0) return denials;
  if (keyPolicySays(q, 'Allow', ownNames(q.caller)) || grantFor(q, ownNames(q.caller))) return [];
  const leftToAccount = keyPolicyNames(q, rootOf(q.caller)) || grantFor(q, [rootOf(q.caller)]);
  if (leftToAccount && identityAllows(q)) return [];
  const missing = identityAllows(q) ? 'resource-based' : 'identity-based';
  return [ownText(q, `because no ${missing} policy allows the kms:${q.operation} action`)];
}

/** Of a caller of another account: both accounts have to allow it. */
function foreignRefusals(q: Question): string[] {
  const opaque = denied(q, OPAQUE);
  if (!ACROSS_ACCOUNTS.includes(q.operation)) return [opaque];
  if (keyPolicySays(q, 'Deny', everyName(q.caller))) return [opaque];
  const byPolicy = keyPolicySays(q, 'Allow', everyName(q.caller));
  const byOwnGrant = grantFor(q, ownNames(q.caller));
  const byGrant = byOwnGrant || grantFor(q, [rootOf(q.caller)]);
  if (!byPolicy && !byGrant) return [opaque];
  if (identitySays(q, 'Deny')) {
    const explicit = foreignText(q, 'with an explicit deny in an identity-based policy');
    return byPolicy ? [explicit] : [explicit, opaque];
  }
  // A grant that the caller's own account issued supplies that account's permission too.
  if (identityAllows(q) || (byOwnGrant && q.grant?.issuer === q.caller.account)) return [];
  return [foreignText(q, `because no identity-based policy allows the kms:${q.operation} action`)];
}

/** https://docs.aws.amazon.com/kms/latest/developerguide/grant-delete.html: a key policy has no effect on it. */
function retirement(q: Question, own: boolean): readonly string[] {
  const { grant, caller } = q;
  // Whether there is such a grant tells whether there is such a key; whoever has a token knows.
  if (grant === undefined || grant.expired) {
    return [...(own || q.token === 'own' ? ['NotFoundException'] : []), ...(own ? [] : [denied(q, OPAQUE)])];
  }
  const explicit = 'with an explicit deny in an identity-based policy';
  if (identitySays(q, 'Deny')) return own ? [ownText(q, explicit)] : [foreignText(q, explicit), denied(q, OPAQUE)];
  const retirers = [grant.retiring, grant.operations.includes('RetireGrant') ? grant.grantee : undefined];
  const named = ownNames(caller).some((name) => retirers.includes(name));
  const ofAccount = retirers.includes(rootOf(caller)) || own || grant.issuer === caller.account;
  const done = 'DryRunOperationException';
  const because = 'because no identity-based policy allows the kms:RetireGrant action';
  if (own) return named || identityAllows(q) ? [done] : [ownText(q, because)];
  if (!named && !ofAccount) return [denied(q, OPAQUE)];
  if (identityAllows(q)) return [done];
  return named && grant.issuer === caller.account ? [done, foreignText(q, because)] : [foreignText(q, because)];
}

/** What comes of a call that may go on: the state of the key, then its algorithm, then the dry run. */
function afterwards(q: Question): string {
  const { operation, state } = q;
  const mac = operation === 'GenerateMac' || operation === 'VerifyMac';
  if (mac || operation === 'CreateGrant') {
    if (state === 'Disabled') return 'DisabledException';
    if (state === 'PendingDeletion') return 'KMSInvalidStateException';
  }
  const changing = ['DisableKey', 'TagResource', 'UntagResource'].includes(operation);
  if (changing && state === 'PendingDeletion') return 'KMSInvalidStateException';
  if (mac && !q.algorithmFits) return 'InvalidKeyUsageException';
  if (operation === 'RevokeGrant' && (q.grant === undefined || q.grant.expired)) return 'NotFoundException';
  return mac || operation === 'CreateGrant' || operation === 'RevokeGrant' ? 'DryRunOperationException' : 'OK';
}

/** Whether the grant allows it to somebody of some names. */
function grantFor({ grant, operation, token, passedOn }: Question, names: readonly string[]): boolean {
  if (grant === undefined || grant.expired || !GRANTABLE.includes(operation)) return false;
  if (!grant.effective && (token !== 'own' || !CHECKED_FIRST.includes(operation))) return false;
  if (!grant.operations.includes(operation) || !names.includes(grant.grantee)) return false;
  return operation !== 'CreateGrant' || passedOn.every((each) => grant.operations.includes(each));
}

function keyPolicySays(q: Question, effect: 'Allow' | 'Deny', names: readonly string[]): boolean {
  return q.keyPolicy.some((statement) => {
    const { principals = [] } = statement;
    const concerned = principals === '*' || names.some((name) => principals.includes(name));
    return statement.effect === effect && concerned && isAbout(statement, q);
  });
}

function keyPolicyNames(q: Question, arn: string): boolean {
  return q.keyPolicy.some(
    (statement) =>
      statement.effect === 'Allow' && statement.principals?.includes(arn) === true && isAbout(statement, q),
  );
}

function identitySays(q: Question, effect: 'Allow' | 'Deny'): boolean {
  return q.identityPolicy.some((statement) => statement.effect === effect && isAbout(statement, q));
}

/** The root of an account needs no identity policy. */
function identityAllows(q: Question): boolean {
  return q.caller.kind === 'root' || identitySays(q, 'Allow');
}

function isAbout({ actions, resource, condition }: NaiveStatement, q: Question): boolean {
  if (!actions.includes('*') && !actions.includes(q.operation)) return false;
  if (resource !== '*' && resource !== q.keyArn) return false;
  return condition === undefined || isMet(condition, contextOf(condition.key.toLowerCase(), q));
}

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html */
function isMet({ operator, value }: NaiveCondition, found: readonly string[]): boolean {
  const wanted = typeof value === 'string' ? [value] : value;
  if (operator === 'Null') return wanted.includes(String(found.length === 0));
  if (operator === 'StringNotEquals') return !found.some((each) => wanted.includes(each));
  if (operator === 'ForAllValues:StringEquals') return found.every((each) => wanted.includes(each));
  return found.some((each) => wanted.includes(each));
}

/** The values of a condition key. No two tags here differ in their case alone. */
function contextOf(name: string, q: Question): readonly string[] {
  const { operation, caller, algorithm, tags, tagsGiven, tagKeysTaken } = q;
  if (name === 'kms:calleraccount') return [caller.account];
  // Only calls for a MAC have an algorithm.
  if (name === 'kms:macalgorithm') return operation === 'GenerateMac' || operation === 'VerifyMac' ? [algorithm] : [];
  if (name.startsWith('aws:resourcetag/')) return valuesOf(tags, name);
  if (name.startsWith('aws:requesttag/')) return operation === 'TagResource' ? valuesOf(tagsGiven, name) : [];
  if (operation === 'TagResource') return Object.keys(tagsGiven);
  return operation === 'UntagResource' ? tagKeysTaken : [];
}

/** Tag keys are alike in any case in the names of condition keys; values are not. */
function valuesOf(tags: NaiveTags, name: string): string[] {
  return Object.entries(tags)
    .filter(([tagKey]) => name.endsWith(`/${tagKey.toLowerCase()}`))
    .map(([, tagValue]) => tagValue);
}

/** A caller and, of a session, its role. */
function ownNames({ arn, role }: Person): string[] {
  return role === undefined ? [arn] : [arn, role];
}

/** These, and the account. */
function everyName(caller: Person): string[] {
  return [...ownNames(caller), rootOf(caller)];
}

function rootOf({ account }: Person): string {
  return `arn:aws:iam::${account}:root`;
}

function ownText(q: Question, because: string): string {
  return denied(q, `on resource: ${q.keyArn} ${because}`);
}

function foreignText(q: Question, because: string): string {
  return denied(q, `on this resource ${because}`);
}

function denied({ caller, operation }: Question, rest: string): string {
  return `AccessDeniedException: User: ${caller.arn} is not authorized to perform: kms:${operation} ${rest}`;
}
