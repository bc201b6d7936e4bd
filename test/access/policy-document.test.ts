import { describe, expect, it } from 'vitest';
import { defaultKeyPolicy } from '../../src/access/default-key-policy.ts';
import { problem } from './problem.ts';
import { Policy } from '../../src/access/policy.ts';
import { KmsError } from '../../src/errors.ts';

const ROOT = 'arn:aws:iam::000000000000:root';
const KEY_STATEMENT = { Effect: 'Allow', Principal: { AWS: ROOT }, Action: 'kms:*', Resource: '*' };
const IDENTITY_STATEMENT = { Effect: 'Allow', Action: 'kms:*', Resource: '*' };
const INVALID_PRINCIPALS = 'Policy contains a statement with one or more invalid principals.';

/** A statement with other elements; an element that is `undefined` is left out. */
const keyPolicy = (statement: object) =>
  JSON.stringify({ Version: '2012-10-17', Statement: [{ ...KEY_STATEMENT, ...statement }] });

const withSids = (...sids: (string | undefined)[]) =>
  JSON.stringify({ Statement: sids.map((Sid) => ({ ...KEY_STATEMENT, Sid })) });

function refusalOf(text: string): KmsError {
  try {
    Policy.ofKey(text, 'aws');
  } catch (error) {
    if (error instanceof KmsError && error.exception === 'MalformedPolicyDocumentException') return error;
    throw error;
  }
  throw new Error('The policy is not refused');
}

describe('a key policy that is no JSON is refused without a message', () => {
  it.each(['', '{', 'Version', '{"Statement":[],}', "{'a':1}", '{"a":1}{', '\u0000'])('%j', (text) => {
    expect(refusalOf(text).message).toBe('');
  });
});

describe('a policy', () => {
  it.each<[string, unknown, string]>([
    ['no object', null, 'must be an object'],
    ['a list', [KEY_STATEMENT], 'must be an object'],
    ['a text', 'kms:*', 'must be an object'],
    ['nothing', {}, 'must have the element Statement'],
    ['no statement', { Statement: [] }, 'has an empty element: Statement'],
    ['a statement that is a text', { Statement: ['kms:*'] }, 'has an element that is no object: Statement'],
    ['a statement that is null', { Statement: null }, 'has an element that is no object: Statement'],
    ['an unknown element', { Statements: [] }, 'has an unknown element: Statements'],
    ['an element in the wrong case', { statement: [] }, 'has an unknown element: statement'],
    ['an unknown Version', { Version: '2012-10-18', Statement: [] }, 'has an invalid Version: 2012-10-18'],
    ['a Version that is null', { Version: null, Statement: [] }, 'has an invalid Version: null'],
    ['an Id that is a number', { Id: 1, Statement: [] }, 'has an invalid Id: 1'],
  ])('with %s is refused', (_, document, what) => {
    expect(refusalOf(JSON.stringify(document)).message).toBe(`Policy ${what}`);
    expect(() => Policy.ofIdentity(document)).toThrow(problem(`Policy ${what}`));
  });

  it.each<[object, string]>([
    [{ Foo: 1 }, 'has an unknown element: Foo'],
    [{ Sid: 5 }, 'has an invalid Sid: 5'],
    [{ Sid: null }, 'has an invalid Sid: null'],
    [{ Effect: undefined }, 'must have the element Effect in each statement'],
    [{ Effect: 'allow' }, 'has an invalid Effect: allow'],
    [{ Effect: ['Allow'] }, 'has an invalid Effect: ["Allow"]'],
    [{ Action: undefined }, 'must have exactly one of the elements Action and NotAction in each statement'],
    [{ NotAction: 'kms:*' }, 'must have exactly one of the elements Action and NotAction in each statement'],
    [{ Action: [] }, 'has an empty element: Action'],
    [{ Action: undefined, NotAction: [] }, 'has an empty element: NotAction'],
    [{ Action: 5 }, 'has an invalid Action: 5'],
    [{ Action: null }, 'has an invalid Action: null'],
    [{ Action: [['kms:*']] }, 'has an invalid Action: ["kms:*"]'],
    [{ Action: '' }, 'has an invalid action: '],
    [{ Action: 'GenerateMac' }, 'has an invalid action: GenerateMac'],
    [{ Action: 'kms:' }, 'has an invalid action: kms:'],
    [{ Action: ['kms:*', 'kms:Generate Mac'] }, 'has an invalid action: kms:Generate Mac'],
    [{ Action: 'kms:${*}' }, 'has an invalid action: kms:${*}'],
    [{ Resource: undefined }, 'must have exactly one of the elements Resource and NotResource in each statement'],
    [{ NotResource: '*' }, 'must have exactly one of the elements Resource and NotResource in each statement'],
    [{ Resource: [] }, 'has an empty element: Resource'],
    [{ Resource: {} }, 'has an invalid Resource: {}'],
    [{ Resource: '' }, 'has an invalid resource: '],
    [{ Resource: 'alias/orders' }, 'has an invalid resource: alias/orders'],
    [{ Resource: 'arn:aws:kms:*:*:${aws:username}' }, 'has an unsupported policy variable: ${aws:username}'],
    [{ Condition: [] }, 'has an element that is no object: Condition'],
    [{ Condition: { Bool: { 'aws:PrincipalOrgID': true } } }, 'has an invalid condition key: aws:PrincipalOrgID'],
  ])('with %j in a statement is refused', (statement, what) => {
    expect(refusalOf(keyPolicy(statement)).message).toBe(`Policy ${what}`);
    const identity = { Version: '2012-10-17', Statement: defined({ ...IDENTITY_STATEMENT, ...statement }) };
    expect(() => Policy.ofIdentity(identity)).toThrow(problem(`Policy ${what}`));
  });

  it('may have each Sid once, and leave it out or empty often', () => {
    expect(() => Policy.ofKey(withSids('a', 'A', '', '', undefined, undefined, 'b'), 'aws')).not.toThrow();
    expect(refusalOf(withSids('Allow use', 'b', 'Allow use')).message).toBe('Policy has a duplicate Sid: Allow use');
  });

  it('repeats at most 256 characters of what is wrong', () => {
    expect(refusalOf(keyPolicy({ Effect: 'x'.repeat(30_000) })).message).toBe(
      `Policy has an invalid Effect: ${'x'.repeat(256)}…`,
    );
  });

  it('may be of both versions, of none, and have one statement without a list', () => {
    for (const Version of ['2012-10-17', '2008-10-17', undefined]) {
      expect(() => Policy.ofKey(JSON.stringify({ Version, Id: 'x', Statement: KEY_STATEMENT }), 'aws')).not.toThrow();
      expect(() => Policy.ofIdentity(defined({ Version, Id: 'x', Statement: IDENTITY_STATEMENT }))).not.toThrow();
    }
  });

  it('has no policy variables in the versions before 2012-10-17', () => {
    const statement = { ...KEY_STATEMENT, Resource: 'arn:aws:kms:*:*:${aws:username}' };
    expect(() => Policy.ofKey(JSON.stringify({ Statement: statement }), 'aws')).not.toThrow();
    expect(() => Policy.ofKey(JSON.stringify({ Version: '2008-10-17', Statement: statement }), 'aws')).not.toThrow();
  });

  it('tells which condition keys it looks at', () => {
    const policy = Policy.ofKey(
      JSON.stringify({
        Statement: [
          KEY_STATEMENT,
          { ...KEY_STATEMENT, Condition: { StringEquals: { 'kms:MacAlgorithm': 'HMAC_SHA_256' } } },
          { ...KEY_STATEMENT, Condition: { Null: { 'AWS:sourceIP': true, 'kms:macalgorithm': true } } },
        ],
      }),
      'aws',
    );
    expect(policy.conditionKeys).toEqual(new Set(['kms:macalgorithm', 'aws:sourceip']));
  });
});

describe('a member of a name that its object has already', () => {
  const rest = '"Principal":"*","Action":"kms:*","Resource":"*"';
  it.each([
    [`{"Statement":[],"Statement":{"Effect":"Allow",${rest}}}`, 'Statement'],
    [`{"Statement":{"Effect":"Deny","Effect":"Allow",${rest}}}`, 'Effect'],
    [`{"Statement":{"Effect":"Deny","\\u0045ffect" : "Allow",${rest}}}`, 'Effect'],
    [`{"Statement":{"Effect":"Allow",${rest},"Condition":{"Bool":{},"Null":{"a":[]},"Bool":{}}}}`, 'Bool'],
  ])('is refused: %s', (text, name) => {
    expect(refusalOf(text).message).toBe(`Policy has a duplicate element: ${name}`);
  });

  it('may be in other objects, and in texts', () => {
    const statement = `{"Effect":"Allow",${rest}}`;
    const text = `{"Id":"{\\"Id\\":\\"Id\\\\\\\\","Statement":[${statement},${statement},${statement.replace('{', '{"Sid":"Effect\\":",')}]}`;
    expect(() => Policy.ofKey(text, 'aws')).not.toThrow();
  });
});

describe('in a key policy', () => {
  it.each(['*', 'kms:*', 'kms:GenerateMac', 'KMS:generatemac', 'kms:Generate*', 'kms:?enerateMac', ['kms:*', '*']])(
    'the action %j is allowed',
    (Action) => expect(() => Policy.ofKey(keyPolicy({ Action }), 'aws')).not.toThrow(),
  );
  it.each(['s3:GetObject', '*:*', 'k*:*'])('the action %j is refused', (Action) => {
    expect(refusalOf(keyPolicy({ Action })).message).toBe(`Policy has an invalid action: ${Action}`);
  });

  it.each<unknown>([
    '*',
    { AWS: '*' },
    { AWS: '000000000000' },
    { AWS: ROOT },
    { AWS: ['*', '123456789012', 'arn:aws:iam::123456789012:user/team/alice'] },
    { AWS: 'arn:aws:iam::000000000000:role/orders' },
    { AWS: 'arn:aws:sts::000000000000:assumed-role/orders/1' },
    { AWS: 'arn:aws:sts::000000000000:federated-user/bob' },
  ])('the principal %j is allowed', (Principal) => {
    expect(() => Policy.ofKey(keyPolicy({ Principal }), 'aws')).not.toThrow();
    expect(() => Policy.ofKey(keyPolicy({ Principal: undefined, NotPrincipal: Principal }), 'aws')).not.toThrow();
  });

  it.each<[unknown, string]>([
    ['', INVALID_PRINCIPALS],
    [ROOT, INVALID_PRINCIPALS],
    ['000000000000', INVALID_PRINCIPALS],
    [{ AWS: '' }, INVALID_PRINCIPALS],
    [{ AWS: 'alice' }, INVALID_PRINCIPALS],
    [{ AWS: '12345678901' }, INVALID_PRINCIPALS],
    [{ AWS: 'AIDACKCEVSQ6C2EXAMPLE' }, INVALID_PRINCIPALS],
    [{ AWS: 'arn:aws:iam::000000000000:user/*' }, INVALID_PRINCIPALS],
    [{ AWS: 'arn:aws:iam::*:root' }, INVALID_PRINCIPALS],
    [{ AWS: 'arn:aws:iam::000000000000:group/team' }, INVALID_PRINCIPALS],
    [{ AWS: 'arn:aws-cn:iam::000000000000:root' }, INVALID_PRINCIPALS],
    [{ AWS: [ROOT, 'arn:aws:s3:::bucket'] }, INVALID_PRINCIPALS],
    [{ AWS: 'arn:aws:iam::000000000000:user/${aws:username}' }, INVALID_PRINCIPALS],
    [{ Service: 'ec2.amazonaws.com' }, 'Policy has an unsupported type of principal: Service'],
    [{ AWS: ROOT, Federated: 'accounts.google.com' }, 'Policy has an unsupported type of principal: Federated'],
    [{ CanonicalUser: 'a' }, 'Policy has an unsupported type of principal: CanonicalUser'],
    [{ aws: ROOT }, 'Policy has an unsupported type of principal: aws'],
  ])('the principal %j is refused', (Principal, message) => {
    expect(refusalOf(keyPolicy({ Principal })).message).toBe(message);
    expect(refusalOf(keyPolicy({ Principal: undefined, NotPrincipal: Principal })).message).toBe(message);
  });

  it.each<[unknown, string]>([
    [{}, 'has an empty element: Principal'],
    [{ AWS: [] }, 'has an empty element: Principal'],
    [{ AWS: 0 }, 'has an invalid Principal: 0'],
    [{ AWS: [null] }, 'has an invalid Principal: null'],
    [['*'], 'has an element that is no object: Principal'],
    [null, 'has an element that is no object: Principal'],
  ])('the principal %j is refused as no principal at all', (Principal, what) => {
    expect(refusalOf(keyPolicy({ Principal })).message).toBe(`Policy ${what}`);
  });

  it('there is exactly one of Principal and NotPrincipal', () => {
    const message = 'Policy must have exactly one of the elements Principal and NotPrincipal in each statement';
    expect(refusalOf(keyPolicy({ Principal: undefined })).message).toBe(message);
    expect(refusalOf(keyPolicy({ NotPrincipal: '*' })).message).toBe(message);
  });

  it('principals are of the partition', () => {
    const text = keyPolicy({ Principal: { AWS: 'arn:aws-cn:iam::000000000000:root' } });
    expect(() => Policy.ofKey(text, 'aws-cn')).not.toThrow();
    expect(() => Policy.ofKey(text, 'aws-us-gov')).toThrow(INVALID_PRINCIPALS);
  });

  it('the text is kept as it was given', () => {
    const text = ` ${keyPolicy({})}\n`;
    expect(Policy.ofKey(text, 'aws').text).toBe(text);
  });
});

describe('in an identity policy', () => {
  it.each(['Principal', 'NotPrincipal'])('there is no %s', (name) => {
    expect(() => Policy.ofIdentity({ Statement: { ...IDENTITY_STATEMENT, [name]: '*' } })).toThrow(
      problem(`Policy has an element that is for key policies only: ${name}`),
    );
  });

  it('a Sid has letters and digits only', () => {
    expect(() => Policy.ofIdentity({ Statement: { ...IDENTITY_STATEMENT, Sid: 'VerifyOnly2' } })).not.toThrow();
    expect(() => Policy.ofIdentity({ Statement: { ...IDENTITY_STATEMENT, Sid: 'Verify only' } })).toThrow(
      problem('Policy has an invalid Sid: Verify only'),
    );
  });

  it.each(['*', '*:*', 'k*:*', 's3:GetObject', 'execute-api:Invoke'])('the action %j is allowed', (Action) => {
    expect(() => Policy.ofIdentity({ Statement: { ...IDENTITY_STATEMENT, Action } })).not.toThrow();
  });

  it('resources may be those of other services', () => {
    const Statement = { ...IDENTITY_STATEMENT, Resource: 'arn:aws:s3:::bucket/*' };
    expect(() => Policy.ofIdentity({ Statement })).not.toThrow();
  });

  it('there is no text', () => expect(Policy.ofIdentity({ Statement: IDENTITY_STATEMENT }).text).toBe(''));
});

describe('the default key policy', () => {
  it('is written as AWS writes it', () => {
    expect(defaultKeyPolicy('arn:aws:iam::111122223333:root').split('\n')).toEqual([
      '{',
      '  "Version" : "2012-10-17",',
      '  "Id" : "key-default-1",',
      '  "Statement" : [ {',
      '    "Sid" : "Enable IAM User Permissions",',
      '    "Effect" : "Allow",',
      '    "Principal" : {',
      '      "AWS" : "arn:aws:iam::111122223333:root"',
      '    },',
      '    "Action" : "kms:*",',
      '    "Resource" : "*"',
      '  } ]',
      '}',
    ]);
  });

  it('is a key policy', () => expect(() => Policy.ofKey(defaultKeyPolicy(ROOT), 'aws')).not.toThrow());
});

/** The members of an object that are not `undefined`, which JSON leaves out by itself. */
function defined(object: object): object {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}
