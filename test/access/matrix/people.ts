import type {
  NaiveCondition,
  NaiveGrant,
  NaiveStatement,
  NaiveTags,
  OperationName,
  Person,
} from './naive-evaluator.ts';

// Who there is, what they may have, and what keys may have: plain data.

export const HOME = '000000000000';
export const FOREIGN = '123456789012';
export const OTHER_KEY = `arn:aws:kms:us-east-1:${HOME}:key/1234abcd-12ab-34cd-56ef-1234567890ab`;

const home = (name: string) => `arn:aws:iam::${HOME}:${name}`;
const foreign = (name: string) => `arn:aws:iam::${FOREIGN}:${name}`;
const [ROOT, USER, ROLE] = [home('root'), home('user/alice'), home('role/orders')];
const [FOREIGN_ROOT, FOREIGN_USER, FOREIGN_ROLE] = [foreign('root'), foreign('user/alice'), foreign('role/orders')];
const SESSION = `arn:aws:sts::${HOME}:assumed-role/orders/1`;
const OTHER_SESSION = `arn:aws:sts::${HOME}:assumed-role/orders/2`;
const FOREIGN_SESSION = `arn:aws:sts::${FOREIGN}:assumed-role/orders/1`;

export const CALLERS = {
  root: { kind: 'root', account: HOME, arn: ROOT },
  user: { kind: 'user', account: HOME, arn: USER },
  role: { kind: 'role', account: HOME, arn: ROLE },
  session: { kind: 'session', account: HOME, arn: SESSION, role: ROLE },
  'other session': { kind: 'session', account: HOME, arn: OTHER_SESSION, role: ROLE },
  'foreign root': { kind: 'root', account: FOREIGN, arn: FOREIGN_ROOT },
  'foreign user': { kind: 'user', account: FOREIGN, arn: FOREIGN_USER },
  'foreign session': { kind: 'session', account: FOREIGN, arn: FOREIGN_SESSION, role: FOREIGN_ROLE },
} as const satisfies Readonly<Record<string, Person>>;
export type CallerName = keyof typeof CALLERS;

type Rest = Partial<NaiveStatement>;
const allow = (principals: '*' | readonly string[], rest: Rest = {}): NaiveStatement => ({
  effect: 'Allow',
  principals,
  actions: ['*'],
  resource: '*',
  ...rest,
});
const deny = (principals: '*' | readonly string[], rest: Rest = {}): NaiveStatement => ({
  ...allow(principals, rest),
  effect: 'Deny',
});
const where = (
  key: string,
  value: NaiveCondition['value'],
  operator: NaiveCondition['operator'] = 'StringEquals',
): Pick<NaiveStatement, 'condition'> => ({ condition: { operator, key, value } });
const BY_ALGORITHM = where('kms:MacAlgorithm', 'HMAC_SHA_512');
const ofAccount = (value: string) => where('kms:CallerAccount', value);

/** Of every key. */
export const TAGS: NaiveTags = { Team: 'orders', stage: 'Prod', empty: '' };
/** What TagResource gives and UntagResource takes; they change nothing. */
export const TAGS_GIVEN: NaiveTags = { Team: 'orders', stage: 'Prod' };
export const TAG_KEYS_TAKEN = ['team', 'cost-center'];

export const KEY_POLICIES = {
  default: [allow([ROOT])],
  'the user': [allow([USER])],
  'the role': [allow([ROLE])],
  'the session': [allow([SESSION])],
  'nobody of use': [allow([home('user/nobody')])],
  'the other account': [allow([ROOT, FOREIGN_ROOT])],
  'a user of the other account': [allow([ROOT]), allow([FOREIGN_USER])],
  everybody: [allow('*')],
  'all but the session': [allow([ROOT, ROLE]), deny([SESSION])],
  'all but the role': [allow('*'), deny([ROLE], { actions: ['GenerateMac', 'RetireGrant', 'PutKeyPolicy'] })],
  'all but the account': [allow('*'), deny([ROOT])],
  'all but the other account': [allow('*'), deny([FOREIGN_ROOT])],
  'all but an algorithm': [allow('*'), deny('*', BY_ALGORITHM)],
  'all but a caller account': [allow('*'), deny('*', ofAccount(FOREIGN))],
  'an algorithm only': [allow('*', BY_ALGORITHM), allow([ROOT], { actions: ['DescribeKey', 'ListGrants'] })],
  'a caller account only': [
    allow('*', ofAccount(HOME)),
    allow([FOREIGN_ROOT], { actions: ['VerifyMac', 'CreateGrant'] }),
  ],
  'a tag of the key only': [allow('*', where('aws:ResourceTag/Team', ['billing', 'orders']))],
  'a tag of the key in another case': [
    allow([USER, ROLE], where('AWS:resourcetag/TEAM', 'orders')),
    allow([ROOT, FOREIGN_ROOT], where('aws:ResourceTag/Stage', 'prod')),
  ],
  'a tag that the key has not': [
    allow([ROOT, FOREIGN_USER]),
    allow([USER, FOREIGN_ROOT], where('aws:ResourceTag/cost-center', '')),
    allow([ROLE], where('aws:ResourceTag/cost-center', 'orders', 'StringNotEquals')),
  ],
  'all but a tag of the key': [
    allow('*'),
    deny([ROLE, FOREIGN_USER], where('aws:ResourceTag/stage', 'Prod')),
    deny([USER], where('aws:ResourceTag/empty', 'true', 'Null')),
  ],
  'all but untagged requests': [
    allow('*'),
    deny([USER], where('aws:RequestTag/team', 'true', 'Null')),
    deny([ROLE], where('aws:TagKeys', 'true', 'Null')),
  ],
  'tags of the request': [
    allow([USER], { actions: ['TagResource'], ...where('aws:RequestTag/TEAM', 'orders') }),
    allow([SESSION], { actions: ['TagResource'], ...where('aws:RequestTag/Team', 'Orders') }),
    allow([ROLE], where('aws:TagKeys', ['Team', 'stage'], 'ForAllValues:StringEquals')),
    allow([ROOT], {
      actions: ['UntagResource'],
      ...where('aws:TagKeys', ['Team', 'stage'], 'ForAnyValue:StringEquals'),
    }),
    allow([USER], { actions: ['UntagResource'], ...where('aws:TagKeys', 'cost-center', 'ForAnyValue:StringEquals') }),
  ],
  'some operations': [allow([USER, FOREIGN_ROLE], { actions: ['GenerateMac', 'CreateGrant', 'RevokeGrant'] })],
} as const satisfies Readonly<Record<string, readonly NaiveStatement[]>>;
export type KeyPolicyName = keyof typeof KEY_POLICIES;

export const IDENTITY_NAMES = [
  'none',
  'all',
  'this',
  'another key',
  'another operation',
  'all but this',
  'a tag of the key',
  'all but a tag of the key',
  'tags of the request',
  'deny',
] as const;
export type IdentityName = (typeof IDENTITY_NAMES)[number];

/** The statements of an identity policy, of somebody who calls an operation on a key. */
export function identityPolicy(
  name: IdentityName,
  operation: OperationName,
  keyArn: string,
): readonly NaiveStatement[] {
  const all: NaiveStatement = { effect: 'Allow', actions: ['*'], resource: '*' };
  const onlyThis = { actions: [operation], resource: keyArn };
  const policies: Readonly<Record<IdentityName, readonly NaiveStatement[]>> = {
    none: [],
    all: [all],
    this: [{ ...all, ...onlyThis }],
    'another key': [{ ...all, resource: OTHER_KEY }],
    'another operation': [{ ...all, actions: [operation === 'VerifyMac' ? 'GenerateMac' : 'VerifyMac'] }],
    'all but this': [all, { ...all, ...onlyThis, effect: 'Deny' }],
    'a tag of the key': [{ ...all, ...where('aws:ResourceTag/team', 'orders') }],
    'all but a tag of the key': [all, { ...all, ...where('aws:ResourceTag/STAGE', 'Prod'), effect: 'Deny' }],
    'tags of the request': [{ ...all, ...where('aws:TagKeys', ['Team', 'stage'], 'ForAllValues:StringEquals') }],
    deny: [{ ...all, effect: 'Deny' }],
  };
  return policies[name];
}

const EVERY = ['CreateGrant', 'RetireGrant', 'DescribeKey', 'GenerateMac', 'VerifyMac'];
const to = (grantee: string, rest: Partial<NaiveGrant> = {}): NaiveGrant => ({
  grantee,
  operations: EVERY,
  issuer: HOME,
  expired: false,
  effective: true,
  ...rest,
});

export const GRANTS = {
  none: undefined,
  'to the user': to(USER),
  'to the session': to(SESSION, { retiring: FOREIGN_USER }),
  'to the role': to(ROLE),
  'to the account': to(ROOT),
  'to the other account': to(FOREIGN_ROOT),
  'to a user of the other account': to(FOREIGN_USER),
  'to a role of the other account': to(FOREIGN_ROLE, { retiring: USER }),
  'lacking operations': to(USER, { operations: ['VerifyMac'], retiring: ROLE }),
  'lacking what is passed on': to(SESSION, { operations: ['CreateGrant', 'DescribeKey'], retiring: FOREIGN_ROOT }),
  'expired, to the user': to(USER, { expired: true }),
  'expired, to a user of the other account': to(FOREIGN_USER, { expired: true }),
  'delayed, to the user': to(USER, { effective: false }),
  'delayed, to the role': to(ROLE, { effective: false }),
  'delayed, to the account': to(ROOT, { effective: false }),
  'delayed, to a role of the other account': to(FOREIGN_ROLE, { effective: false }),
  'issued by the other account, to its user': to(FOREIGN_USER, { issuer: FOREIGN }),
  'issued by the other account, to itself': to(FOREIGN_ROOT, {
    issuer: FOREIGN,
    operations: ['GenerateMac', 'DescribeKey'],
  }),
} as const satisfies Readonly<Record<string, NaiveGrant | undefined>>;
export type GrantName = keyof typeof GRANTS;
