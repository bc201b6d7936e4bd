import { describe, expect, it } from 'vitest';
import { defaultKeyPolicy } from '../../src/access/default-key-policy.ts';
import { Policy } from '../../src/access/policy.ts';
import { principalOf } from '../../src/access/principal.ts';

const ACCOUNT = '000000000000';
const ROOT = `arn:aws:iam::${ACCOUNT}:root`;
const USER = `arn:aws:iam::${ACCOUNT}:user/alice`;
const ROLE = `arn:aws:iam::${ACCOUNT}:role/orders`;
const SESSION = `arn:aws:sts::${ACCOUNT}:assumed-role/orders/1`;
const OTHER_SESSION = `arn:aws:sts::${ACCOUNT}:assumed-role/orders/2`;
const STRANGER = 'arn:aws:iam::123456789012:user/alice';
const KEY = `arn:aws:kms:us-east-1:${ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab`;

const IDENTITY = { Effect: 'Allow', Action: 'kms:*', Resource: '*' };

interface Asked {
  caller?: string;
  action?: string;
  resource?: string;
  context?: Readonly<Record<string, readonly string[]>>;
}

/** The names of the statements that a policy has to say about a request. */
function verdict(policy: Policy, { caller = USER, action = 'GenerateMac', resource = KEY, context = {} }: Asked) {
  const principal = principalOf(caller, [], 'bearer');
  const said = policy.evaluate({ principal, action, resource, context: (key) => context[key] });
  return {
    ...(said.denied && { denied: said.denied.name }),
    ...(said.allowed && { allowed: said.allowed.name }),
    ...(said.allowedToAccount && { allowedToAccount: said.allowedToAccount.name }),
  };
}

const keyPolicy = (...statements: object[]) =>
  Policy.ofKey(
    JSON.stringify({
      Version: '2012-10-17',
      Statement: statements.map((statement) => ({
        Effect: 'Allow',
        Action: 'kms:*',
        Resource: '*',
        ...(!('NotPrincipal' in statement) && { Principal: '*' }),
        ...statement,
      })),
    }),
    'aws',
  );

type Said = 'caller' | 'account' | 'both' | 'nothing';
const SAID = {
  caller: { allowed: 's' },
  account: { allowedToAccount: 's' },
  both: { allowed: 's', allowedToAccount: 's' },
  nothing: {},
};

describe('an Allow with a Principal', () => {
  it.each<[unknown, Record<'root' | 'user' | 'role' | 'session' | 'stranger', Said>]>([
    ['*', { root: 'caller', user: 'caller', role: 'caller', session: 'caller', stranger: 'caller' }],
    [{ AWS: '*' }, { root: 'caller', user: 'caller', role: 'caller', session: 'caller', stranger: 'caller' }],
    [{ AWS: ROOT }, { root: 'both', user: 'account', role: 'account', session: 'account', stranger: 'nothing' }],
    [{ AWS: ACCOUNT }, { root: 'both', user: 'account', role: 'account', session: 'account', stranger: 'nothing' }],
    [{ AWS: USER }, { root: 'nothing', user: 'caller', role: 'nothing', session: 'nothing', stranger: 'nothing' }],
    [{ AWS: ROLE }, { root: 'nothing', user: 'nothing', role: 'caller', session: 'caller', stranger: 'nothing' }],
    [{ AWS: SESSION }, { root: 'nothing', user: 'nothing', role: 'nothing', session: 'caller', stranger: 'nothing' }],
    [
      { AWS: OTHER_SESSION },
      { root: 'nothing', user: 'nothing', role: 'nothing', session: 'nothing', stranger: 'nothing' },
    ],
    [{ AWS: [USER, ROOT] }, { root: 'both', user: 'both', role: 'account', session: 'account', stranger: 'nothing' }],
    [{ AWS: ['*', ROOT] }, { root: 'both', user: 'both', role: 'both', session: 'both', stranger: 'caller' }],
    [{ AWS: STRANGER }, { root: 'nothing', user: 'nothing', role: 'nothing', session: 'nothing', stranger: 'caller' }],
    [
      { AWS: '123456789012' },
      { root: 'nothing', user: 'nothing', role: 'nothing', session: 'nothing', stranger: 'account' },
    ],
  ])('%j is for %j', (Principal, expected) => {
    const policy = keyPolicy({ Sid: 's', Principal });
    for (const [caller, said] of callers(expected))
      expect({ caller, ...verdict(policy, { caller }) }).toEqual({ caller, ...SAID[said] });
  });
});

describe('an Allow with a NotPrincipal', () => {
  it.each<[unknown, Record<'root' | 'user' | 'role' | 'session' | 'stranger', boolean>]>([
    ['*', { root: false, user: false, role: false, session: false, stranger: false }],
    [{ AWS: USER }, { root: true, user: false, role: true, session: true, stranger: true }],
    [{ AWS: ROLE }, { root: true, user: true, role: false, session: false, stranger: true }],
    [{ AWS: SESSION }, { root: true, user: true, role: true, session: false, stranger: true }],
    [{ AWS: ROOT }, { root: false, user: false, role: false, session: false, stranger: true }],
    [{ AWS: ACCOUNT }, { root: false, user: false, role: false, session: false, stranger: true }],
  ])('%j is for callers themselves: %j', (NotPrincipal, expected) => {
    const policy = keyPolicy({ Sid: 's', NotPrincipal });
    for (const [caller, allowed] of callers(expected)) {
      expect({ caller, ...verdict(policy, { caller }) }).toEqual({ caller, ...(allowed && SAID.caller) });
    }
  });
});

describe('a Deny', () => {
  it.each<[object, Record<'root' | 'user' | 'role' | 'session' | 'stranger', boolean>]>([
    [{ Principal: '*' }, { root: true, user: true, role: true, session: true, stranger: true }],
    [{ Principal: { AWS: '*' } }, { root: true, user: true, role: true, session: true, stranger: true }],
    [{ Principal: { AWS: ROOT } }, { root: true, user: true, role: true, session: true, stranger: false }],
    [{ Principal: { AWS: ACCOUNT } }, { root: true, user: true, role: true, session: true, stranger: false }],
    [{ Principal: { AWS: USER } }, { root: false, user: true, role: false, session: false, stranger: false }],
    [{ Principal: { AWS: ROLE } }, { root: false, user: false, role: true, session: true, stranger: false }],
    [{ Principal: { AWS: SESSION } }, { root: false, user: false, role: false, session: true, stranger: false }],
    [{ NotPrincipal: '*' }, { root: false, user: false, role: false, session: false, stranger: false }],
    [{ NotPrincipal: { AWS: ROOT } }, { root: false, user: true, role: true, session: true, stranger: true }],
    [{ NotPrincipal: { AWS: ACCOUNT } }, { root: false, user: true, role: true, session: true, stranger: true }],
    [{ NotPrincipal: { AWS: USER } }, { root: true, user: true, role: true, session: true, stranger: true }],
    [{ NotPrincipal: { AWS: [USER, ROOT] } }, { root: false, user: false, role: true, session: true, stranger: true }],
    [
      { NotPrincipal: { AWS: [USER, ACCOUNT] } },
      { root: false, user: false, role: true, session: true, stranger: true },
    ],
    [{ NotPrincipal: { AWS: [ROLE, ROOT] } }, { root: false, user: true, role: false, session: true, stranger: true }],
    [
      { NotPrincipal: { AWS: [SESSION, ROOT] } },
      { root: false, user: true, role: true, session: true, stranger: true },
    ],
    [
      { NotPrincipal: { AWS: [SESSION, ROLE, ROOT] } },
      { root: false, user: true, role: false, session: false, stranger: true },
    ],
    [{ NotPrincipal: { AWS: [SESSION, ROLE] } }, { root: true, user: true, role: true, session: true, stranger: true }],
  ])('with %j is for %j', (principals, expected) => {
    const policy = keyPolicy({ Sid: 's', Effect: 'Deny', ...principals });
    for (const [caller, denied] of callers(expected)) {
      expect({ caller, ...verdict(policy, { caller }) }).toEqual({ caller, ...(denied && { denied: 's' }) });
    }
  });
});

describe('the actions of a statement', () => {
  it.each<[object, boolean]>([
    [{ Action: '*' }, true],
    [{ Action: 'kms:*' }, true],
    [{ Action: 'kms:GenerateMac' }, true],
    [{ Action: 'KMS:generateMAC' }, true],
    [{ Action: 'kms:Generate*' }, true],
    [{ Action: 'kms:?enerateMac' }, true],
    [{ Action: ['kms:VerifyMac', 'kms:GenerateMac'] }, true],
    [{ Action: 'kms:VerifyMac' }, false],
    [{ Action: 'kms:Generate' }, false],
    [{ Action: ['kms:VerifyMac', 'kms:Generate?'] }, false],
    [{ NotAction: 'kms:VerifyMac' }, true],
    [{ NotAction: 'kms:generatemac' }, false],
    [{ NotAction: ['kms:VerifyMac', 'kms:Generate*'] }, false],
  ])('%j are GenerateMac: %s', (actions, outcome) => {
    const policy = Policy.ofIdentity({ Statement: { Effect: 'Allow', Resource: '*', ...actions } });
    expect(verdict(policy, {})).toEqual(outcome ? { allowed: 'statement 1' } : {});
  });

  it.each(['s3:*', 's3:GenerateMac', 'kmsx:*'])('of another service are none of KMS: %s', (Action) => {
    expect(verdict(Policy.ofIdentity({ Statement: { ...IDENTITY, Action } }), {})).toEqual({});
  });
});

describe('the resources of a statement', () => {
  it.each<[object, string, boolean]>([
    [{ Resource: '*' }, KEY, true],
    [{ Resource: KEY }, KEY, true],
    [{ Resource: KEY.toUpperCase().replace('ARN', 'arn') }, KEY, false],
    [{ Resource: `arn:aws:kms:*:${ACCOUNT}:key/*` }, KEY, true],
    [{ Resource: 'arn:*' }, KEY, true],
    [{ Resource: 'arn:aws:*/1234abcd-*' }, KEY, true],
    [{ Resource: `arn:aws:kms:*:${ACCOUNT}:alias/*` }, KEY, false],
    [{ Resource: ['arn:aws:s3:::bucket', KEY] }, KEY, true],
    [{ Resource: `arn:aws:kms:us-east-1:${ACCOUNT}:alias/a\${*}` }, `arn:aws:kms:us-east-1:${ACCOUNT}:alias/ab`, false],
    [{ Resource: '*' }, '*', true],
    [{ Resource: 'arn:*' }, '*', false],
    [{ NotResource: KEY }, KEY, false],
    [{ NotResource: `arn:aws:kms:*:${ACCOUNT}:alias/*` }, KEY, true],
    [{ NotResource: [KEY, 'arn:aws:s3:::bucket'] }, KEY, false],
    [{ NotResource: KEY }, '*', true],
    [{ NotResource: '*' }, KEY, false],
  ])('%j are %s: %s', (resources, resource, outcome) => {
    const policy = Policy.ofIdentity({
      Version: '2012-10-17',
      Statement: { Effect: 'Allow', Action: 'kms:*', ...resources },
    });
    expect(verdict(policy, { resource })).toEqual(outcome ? { allowed: 'statement 1' } : {});
  });
});

describe('a verdict', () => {
  it('names the first statement that says so: by its Sid, or by its number', () => {
    const policy = keyPolicy(
      { Sid: 'other', Action: 'kms:VerifyMac' },
      {},
      { Sid: 'late' },
      { Principal: { AWS: ROOT } },
      { Sid: 'later', Principal: { AWS: ROOT } },
      { Sid: 'no', Effect: 'Deny' },
      { Sid: 'never', Effect: 'Deny' },
    );
    expect(verdict(policy, {})).toEqual({ allowed: 'statement 2', allowedToAccount: 'statement 4', denied: 'no' });
  });

  it('is of statements whose Condition is met', () => {
    const Condition = { StringEquals: { 'kms:MacAlgorithm': 'HMAC_SHA_256' } };
    const policy = keyPolicy(
      { Sid: 'yes', Condition },
      { Sid: 'no', Effect: 'Deny', Condition: { StringNotEquals: Condition.StringEquals } },
    );
    expect(verdict(policy, { context: { 'kms:macalgorithm': ['HMAC_SHA_256'] } })).toEqual({ allowed: 'yes' });
    expect(verdict(policy, { context: { 'kms:macalgorithm': ['HMAC_SHA_512'] } })).toEqual({ denied: 'no' });
    expect(verdict(policy, {})).toEqual({ denied: 'no' });
  });

  it('of an identity policy is for whoever has it', () => {
    const policy = Policy.ofIdentity({
      Statement: [IDENTITY, { ...IDENTITY, Effect: 'Deny', Action: 'kms:VerifyMac' }],
    });
    for (const caller of [ROOT, USER, SESSION, STRANGER]) {
      expect(verdict(policy, { caller })).toEqual({ allowed: 'statement 1' });
      expect(verdict(policy, { caller, action: 'VerifyMac' })).toEqual({
        allowed: 'statement 1',
        denied: 'statement 2',
      });
    }
  });

  it('of the default key policy leaves it to the identity policies of the account', () => {
    const policy = Policy.ofKey(defaultKeyPolicy(ROOT), 'aws');
    const allowed = 'Enable IAM User Permissions';
    expect(verdict(policy, { caller: ROOT })).toEqual({ allowed, allowedToAccount: allowed });
    expect(verdict(policy, { caller: SESSION })).toEqual({ allowedToAccount: allowed });
    expect(verdict(policy, { caller: STRANGER })).toEqual({});
  });
});

/** What is expected of each caller, by its ARN. */
function callers<T>(expected: Record<'root' | 'user' | 'role' | 'session' | 'stranger', T>): [string, T][] {
  return [
    [ROOT, expected.root],
    [USER, expected.user],
    [ROLE, expected.role],
    [SESSION, expected.session],
    [STRANGER, expected.stranger],
  ];
}
