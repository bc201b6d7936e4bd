import { addressesIn, addressRangeOf } from '../../src/access/condition-values.ts';
import { describe, expect, it } from 'vitest';
import { conditionKeys } from '../../src/access/condition-keys.ts';
import { readCondition } from '../../src/access/condition.ts';
import { problem } from './problem.ts';

type Values = Readonly<Record<string, readonly string[]>>;

/** Whether a request with some values of condition keys, by their names in lower case, meets a Condition. */
function meets(condition: unknown, values: Values = {}): boolean {
  return readCondition(condition, true, 'Allow').isMet((key) => values[key]);
}

/** Whether `actual` satisfies an operator with the policy's `expected`; `undefined` leaves the key out of the request. */
function holds(operator: string, key: string, expected: unknown, actual: string | readonly string[] | undefined) {
  const values = typeof actual === 'string' ? [actual] : actual;
  return meets({ [operator]: { [key]: expected } }, values && { [key.toLowerCase()]: values });
}

const SPEC = 'kms:KeySpec';
const DAYS = 'kms:ScheduleKeyDeletionPendingWindowInDays';
const NOW = 'aws:CurrentTime';
const EPOCH = 'aws:EpochTime';
const TLS = 'aws:SecureTransport';
const IP = 'aws:SourceIp';
const ARN = 'aws:PrincipalArn';
const ALIASES = 'kms:ResourceAliases';
const ROLE = 'arn:aws:iam::000000000000:role/team/orders';

describe('an operator', () => {
  it.each<[string, string, unknown, string, boolean]>([
    ['StringEquals', SPEC, 'HMAC_256', 'HMAC_256', true],
    ['StringEquals', SPEC, 'HMAC_256', 'hmac_256', false],
    ['StringEquals', SPEC, 'HMAC_*', 'HMAC_256', false],
    ['StringEquals', SPEC, ['HMAC_224', 'HMAC_256'], 'HMAC_256', true],
    ['StringEquals', 'kms:MultiRegion', true, 'true', true],
    ['StringEquals', 'aws:PrincipalAccount', 123456789012, '123456789012', true],
    ['StringEquals', SPEC, '', '', true],
    ['StringNotEquals', SPEC, 'HMAC_256', 'HMAC_384', true],
    ['StringNotEquals', SPEC, 'HMAC_256', 'HMAC_256', false],
    ['StringNotEquals', SPEC, ['HMAC_224', 'HMAC_256'], 'HMAC_256', false],
    ['StringNotEquals', SPEC, ['HMAC_224', 'HMAC_256'], 'HMAC_384', true],
    ['StringEqualsIgnoreCase', SPEC, 'hmac_256', 'HMAC_256', true],
    ['StringEqualsIgnoreCase', SPEC, 'hmac_25?', 'HMAC_256', false],
    ['StringNotEqualsIgnoreCase', SPEC, 'hmac_256', 'HMAC_256', false],
    ['StringNotEqualsIgnoreCase', SPEC, 'hmac_256', 'HMAC_384', true],
    ['StringLike', SPEC, 'HMAC_*', 'HMAC_256', true],
    ['StringLike', SPEC, 'HMAC_?56', 'HMAC_256', true],
    ['StringLike', SPEC, 'hmac_*', 'HMAC_256', false],
    ['StringLike', SPEC, ['RSA_*', '*_256'], 'HMAC_256', true],
    ['StringLike', SPEC, 'HMAC_${*}', 'HMAC_256', false],
    ['StringLike', SPEC, 'HMAC_${*}', 'HMAC_*', true],
    ['StringNotLike', SPEC, 'HMAC_*', 'HMAC_256', false],
    ['StringNotLike', SPEC, ['HMAC_*', 'ECC_*'], 'RSA_2048', true],

    ['NumericEquals', DAYS, 7, '7', true],
    ['NumericEquals', DAYS, '7.0', '7', true],
    ['NumericEquals', DAYS, ['7', 30], '30', true],
    ['NumericEquals', DAYS, 7, 'seven', false],
    ['NumericNotEquals', DAYS, 7, '7', false],
    ['NumericNotEquals', DAYS, 7, '8', true],
    ['NumericNotEquals', DAYS, 7, 'seven', true],
    ['NumericLessThan', DAYS, 10, '9', true],
    ['NumericLessThan', DAYS, 10, '10', false],
    ['NumericLessThan', DAYS, -1, '-2', true],
    ['NumericLessThanEquals', DAYS, 10, '10', true],
    ['NumericLessThanEquals', DAYS, 10, '11', false],
    ['NumericGreaterThan', DAYS, 9, '10', true],
    ['NumericGreaterThan', DAYS, 10, '10', false],
    ['NumericGreaterThanEquals', DAYS, 10, '10', true],
    ['NumericGreaterThanEquals', DAYS, 10, '9', false],
    ['NumericGreaterThan', DAYS, [100, 5], '10', true],

    ['DateEquals', NOW, '2026-09-12T08:00:00Z', '2026-09-12T08:00:00.000Z', true],
    ['DateEquals', NOW, '2026-09-12T10:00:00+02:00', '2026-09-12T08:00:00Z', true],
    ['DateEquals', NOW, '1789200000', '2026-09-12T08:00:00Z', true],
    ['DateEquals', NOW, 1789200000, '2026-09-12T08:00:00Z', true],
    ['DateEquals', EPOCH, '2026-09-12T08:00:00Z', '1789200000', true],
    ['NumericEquals', EPOCH, 1789200000, '1789200000', true],
    ['DateNotEquals', NOW, '2026-09-12', '2026-09-12T00:00:00Z', false],
    ['DateNotEquals', NOW, '2026-09-12', '2026-09-12T00:00:01Z', true],
    ['DateLessThan', NOW, '2026-09-12T08:00Z', '2026-09-12T07:59:59Z', true],
    ['DateLessThan', NOW, '2026-09-12T08:00Z', '2026-09-12T08:00:00Z', false],
    ['DateLessThanEquals', NOW, '2026-09-12T08:00Z', '2026-09-12T08:00:00Z', true],
    ['DateLessThanEquals', NOW, '2026-09-12T08:00Z', '2026-09-12T08:00:01Z', false],
    ['DateGreaterThan', NOW, '2026-09-12', '2026-09-12T00:00:01Z', true],
    ['DateGreaterThan', NOW, '2026-09-12', '2026-09-12T00:00:00Z', false],
    ['DateGreaterThanEquals', NOW, '2026-09-12', '2026-09-12T00:00:00Z', true],
    ['DateGreaterThanEquals', NOW, '2026-09-12', '2026-09-11T23:59:59Z', false],
    ['DateGreaterThan', NOW, '2026-09-12', 'tomorrow', false],

    ['Bool', TLS, 'true', 'true', true],
    ['Bool', TLS, true, 'true', true],
    ['Bool', TLS, false, 'true', false],
    ['Bool', TLS, [true, false], 'false', true],

    ['IpAddress', IP, '203.0.113.0/24', '203.0.113.255', true],
    ['IpAddress', IP, '203.0.113.7/24', '203.0.113.255', true],
    ['IpAddress', IP, '203.0.113.0/24', '203.0.114.0', false],
    ['IpAddress', IP, '203.0.113.7', '203.0.113.7', true],
    ['IpAddress', IP, '203.0.113.7', '203.0.113.8', false],
    ['IpAddress', IP, ['10.0.0.0/8', '2001:db8::/32'], '2001:db8:1::1', true],
    ['IpAddress', IP, '2001:db8::/32', '2001:db9::1', false],
    ['IpAddress', IP, '10.0.0.0/8', '::ffff:10.1.2.3', true],
    ['IpAddress', IP, '10.0.0.0/8', '::ffff:a01:203', true],
    ['IpAddress', IP, '::ffff:10.0.0.0/104', '10.1.2.3', true],
    ['IpAddress', IP, '::ffff:10.0.0.0/104', '11.1.2.3', false],
    ['IpAddress', IP, '::/0', '10.1.2.3', false],
    ['IpAddress', IP, '::/0', '::ffff:10.1.2.3', false],
    ['IpAddress', IP, '0.0.0.0/0', '::1', false],
    ['IpAddress', IP, 'fe80::/10', 'fe80::1%eth0', true],
    ['IpAddress', IP, '0.0.0.0/0', 'nowhere', false],
    ['IpAddress', IP, '0.0.0.0/0', '', false],
    ['NotIpAddress', IP, ['10.0.0.0/8', '192.0.2.0/24'], '192.0.2.1', false],
    ['NotIpAddress', IP, ['10.0.0.0/8', '192.0.2.0/24'], '198.51.100.1', true],
    ['NotIpAddress', IP, '10.0.0.0/8', 'nowhere', true],

    ...['ArnEquals', 'ArnLike'].flatMap<[string, string, unknown, string, boolean]>((operator) => [
      [operator, ARN, ROLE, ROLE, true],
      [operator, ARN, ROLE.toUpperCase(), ROLE, false],
      [operator, ARN, 'arn:aws:iam::000000000000:role/*', ROLE, true],
      [operator, ARN, 'arn:aws:iam::*:role/*/order?', ROLE, true],
      [operator, ARN, 'arn:*:*:*:*:*', ROLE, true],
      [operator, ARN, 'arn:aws:iam::*:user/*', ROLE, false],
      [operator, ARN, ['arn:aws:iam::*:user/*', ROLE], ROLE, true],
      // Wildcards stay within their part, but for the last.
      [operator, ARN, 'arn:aws:*:role/team/orders:*:*', ROLE, false],
      [operator, ARN, 'arn:aws:iam:*:*:*', 'arn:aws:iam::000000000000:a:b', true],
      [operator, ARN, 'arn:*:*:*:*:*', 'orders', false],
      [operator, 'kms:GranteePrincipal', 'arn:aws:iam::*:role/team/*', ROLE, true],
    ]),
    ['ArnNotEquals', ARN, ROLE, ROLE, false],
    ['ArnNotEquals', ARN, ['arn:aws:iam::*:user/*', 'arn:aws:iam::*:group/*'], ROLE, true],
    ['ArnNotLike', ARN, 'arn:aws:iam::*:role/team/*', ROLE, false],
    ['ArnNotLike', ARN, 'arn:aws:iam::*:role/other/*', ROLE, true],
    ['ArnNotLike', ARN, 'arn:*:*:*:*:*', 'orders', true],
  ])('%s of %s with %j: %s is %s', (operator, key, expected, actual, outcome) => {
    expect(holds(operator, key, expected, actual)).toBe(outcome);
  });
});

const POSITIVE: [string, string, unknown, string][] = [
  ['StringEquals', SPEC, 'HMAC_256', 'HMAC_384'],
  ['StringEqualsIgnoreCase', SPEC, 'HMAC_256', 'HMAC_384'],
  ['StringLike', SPEC, 'HMAC_2*', 'HMAC_384'],
  ['NumericEquals', DAYS, 7, '8'],
  ['NumericLessThan', DAYS, 7, '8'],
  ['NumericLessThanEquals', DAYS, 7, '8'],
  ['NumericGreaterThan', DAYS, 7, '6'],
  ['NumericGreaterThanEquals', DAYS, 7, '6'],
  ['DateEquals', NOW, '2026-09-12', '2026-09-13'],
  ['DateLessThan', NOW, '2026-09-12', '2026-09-13'],
  ['DateLessThanEquals', NOW, '2026-09-12', '2026-09-13'],
  ['DateGreaterThan', NOW, '2026-09-12', '2026-09-11'],
  ['DateGreaterThanEquals', NOW, '2026-09-12', '2026-09-11'],
  ['Bool', TLS, true, 'false'],
  ['IpAddress', IP, '10.0.0.0/8', '11.0.0.0'],
  ['ArnEquals', ARN, 'arn:aws:iam::*:user/*', ROLE],
  ['ArnLike', ARN, 'arn:aws:iam::*:user/*', ROLE],
];
const NEGATED: [string, string, unknown, string][] = [
  ['StringNotEquals', SPEC, 'HMAC_256', 'HMAC_256'],
  ['StringNotEqualsIgnoreCase', SPEC, 'HMAC_256', 'hmac_256'],
  ['StringNotLike', SPEC, 'HMAC_2*', 'HMAC_256'],
  ['NumericNotEquals', DAYS, 7, '7'],
  ['DateNotEquals', NOW, '2026-09-12', '2026-09-12'],
  ['NotIpAddress', IP, '10.0.0.0/8', '10.0.0.0'],
  ['ArnNotEquals', ARN, 'arn:aws:iam::*:role/*', ROLE],
  ['ArnNotLike', ARN, 'arn:aws:iam::*:role/*', ROLE],
];

describe('a key that the request does not have', () => {
  it.each(POSITIVE)('fails %s', (operator, key, expected) => {
    expect(holds(operator, key, expected, undefined)).toBe(false);
    expect(holds(operator, key, expected, [])).toBe(false);
  });
  it.each(NEGATED)('passes %s', (operator, key, expected) => {
    expect(holds(operator, key, expected, undefined)).toBe(true);
    expect(holds(operator, key, expected, [])).toBe(true);
  });
  it.each([...POSITIVE, ...NEGATED])(
    'passes %sIfExists, which asks of one that it has',
    (operator, key, expected, unlike) => {
      expect(holds(`${operator}IfExists`, key, expected, undefined)).toBe(true);
      expect(holds(`${operator}IfExists`, key, expected, [])).toBe(true);
      expect(holds(`${operator}IfExists`, key, expected, unlike)).toBe(false);
    },
  );
  it.each([...POSITIVE, ...NEGATED])(
    'passes ForAllValues:%s and fails ForAnyValue',
    (operator, key, expected, unlike) => {
      for (const absent of [undefined, []]) {
        expect(holds(`ForAllValues:${operator}`, key, expected, absent)).toBe(true);
        expect(holds(`ForAllValues:${operator}IfExists`, key, expected, absent)).toBe(true);
        expect(holds(`ForAnyValue:${operator}`, key, expected, absent)).toBe(false);
      }
      expect(holds(`ForAllValues:${operator}`, key, expected, unlike)).toBe(false);
      expect(holds(`ForAnyValue:${operator}`, key, expected, unlike)).toBe(false);
    },
  );
  it.each([
    ['true', undefined, true],
    ['true', 'HMAC_256', false],
    ['false', undefined, false],
    ['false', 'HMAC_256', true],
    [true, [], true],
    [false, [], false],
    [['true', 'false'], undefined, true],
    [['true', 'false'], 'HMAC_256', true],
  ])('is what Null %j asks of %j: %s', (expected, actual, outcome) => {
    expect(holds('Null', SPEC, expected, actual)).toBe(outcome);
  });
  it('is what Null asks of a key with several values, too', () => {
    expect(holds('Null', ALIASES, false, ['alias/a', 'alias/b'])).toBe(true);
    expect(holds('Null', ALIASES, false, undefined)).toBe(false);
  });
});

describe('a key with several values', () => {
  it.each<[string, unknown, string[], boolean]>([
    ['ForAllValues:StringEquals', ['alias/a', 'alias/b'], ['alias/b', 'alias/a'], true],
    ['ForAllValues:StringEquals', ['alias/a', 'alias/b'], ['alias/a', 'alias/c'], false],
    ['ForAllValues:StringLike', 'alias/*', ['alias/a', 'alias/c'], true],
    ['ForAllValues:StringNotEquals', ['alias/a', 'alias/b'], ['alias/c', 'alias/d'], true],
    ['ForAllValues:StringNotEquals', ['alias/a', 'alias/b'], ['alias/c', 'alias/b'], false],
    ['ForAnyValue:StringEquals', ['alias/a', 'alias/b'], ['alias/c', 'alias/b'], true],
    ['ForAnyValue:StringEquals', ['alias/a', 'alias/b'], ['alias/c', 'alias/d'], false],
    ['ForAnyValue:StringNotEquals', ['alias/a', 'alias/b'], ['alias/a', 'alias/c'], true],
    ['ForAnyValue:StringNotEquals', ['alias/a', 'alias/b'], ['alias/a', 'alias/b'], false],
    ['ForAnyValue:StringNotLike', 'alias/a*', ['alias/a1', 'alias/a2'], false],
  ])('%s %j is met by %j: %s', (operator, expected, actual, outcome) => {
    expect(holds(operator, ALIASES, expected, actual)).toBe(outcome);
  });
});

describe('a key with one value that has several, as two tags give it whose keys differ in their case alone', () => {
  const TEAM = 'aws:ResourceTag/Team';
  it.each<[string, string[], boolean, boolean]>([
    ['StringEquals', ['a', 'a'], true, true],
    ['StringEquals', ['a', 'b'], false, true],
    ['StringEquals', ['b', 'c'], false, false],
    ['StringNotEquals', ['a', 'a'], false, false],
    ['StringNotEquals', ['a', 'b'], false, true],
    ['StringNotEquals', ['b', 'c'], true, true],
    ['StringEqualsIfExists', ['a', 'b'], false, true],
    ['ForAllValues:StringEquals', ['a', 'b'], false, false],
    ['ForAnyValue:StringEquals', ['a', 'b'], true, true],
  ])('%s a of %j: allows %s, denies %s', (operator, values, allows, denies) => {
    for (const [effect, outcome] of [
      ['Allow', allows],
      ['Deny', denies],
    ] as const) {
      const { isMet } = readCondition({ [operator]: { [TEAM]: 'a' } }, true, effect);
      expect([effect, isMet((key) => (key === 'aws:resourcetag/team' ? values : undefined))]).toEqual([
        effect,
        outcome,
      ]);
    }
  });

  it.each(['Allow', 'Deny'] as const)('that has none, is as ever in a statement of %s', (effect) => {
    const isMet = (operator: string) => readCondition({ [operator]: { [TEAM]: 'a' } }, true, effect).isMet(() => []);
    expect(isMet('StringEquals')).toBe(false);
    expect(isMet('StringNotEquals')).toBe(true);
    expect(isMet('StringEqualsIfExists')).toBe(true);
  });
});

describe('a Condition', () => {
  const condition = {
    StringEquals: { [SPEC]: 'HMAC_256', 'kms:KeyUsage': 'GENERATE_VERIFY_MAC' },
    Bool: { [TLS]: 'true' },
  };
  const values = {
    'kms:keyspec': ['HMAC_256'],
    'kms:keyusage': ['GENERATE_VERIFY_MAC'],
    'aws:securetransport': ['true'],
  };

  it('is met when all of its operators hold for all of their keys', () => {
    expect(meets(condition, values)).toBe(true);
    for (const key of Object.keys(values)) {
      expect(meets(condition, { ...values, [key]: ['other'] })).toBe(false);
      expect(meets(condition, { ...values, [key]: [] })).toBe(false);
    }
  });

  it('is met by all when it asks for nothing', () => {
    expect(meets({})).toBe(true);
    expect(meets({ StringEquals: {} })).toBe(true);
  });

  it('knows keys in any case, and tells them in lower case', () => {
    const { keys, isMet } = readCondition(
      { StringEquals: { 'KMS:keySPEC': 'a' }, Null: { 'aws:sourceip': 'false' } },
      true,
      'Allow',
    );
    expect(keys).toEqual(['kms:keyspec', 'aws:sourceip']);
    expect(isMet((key) => ({ 'kms:keyspec': ['a'], 'aws:sourceip': ['::1'] })[key])).toBe(true);
  });

  it('takes what looks like a policy variable as it stands, where there are none', () => {
    const { isMet } = readCondition({ StringEquals: { 'aws:username': '${aws:username}' } }, false, 'Allow');
    expect(isMet(() => ['${aws:username}'])).toBe(true);
  });
});

describe('a Condition is refused', () => {
  it.each<[unknown, string]>([
    ['StringEquals', 'an element that is no object: Condition'],
    [[], 'an element that is no object: Condition'],
    [null, 'an element that is no object: Condition'],
    [{ StringEquals: 'a' }, 'an element that is no object: StringEquals'],
    [{ StringEquals: { 'aws:PrincipalOrgID': 'o-1' } }, 'an invalid condition key: aws:PrincipalOrgID'],
    [{ StringEquals: { 'aws:userid': 'AIDA' } }, 'an invalid condition key: aws:userid'],
    [{ StringEquals: { 'aws:ResourceTag': 'a' } }, 'an invalid condition key: aws:ResourceTag'],
    [{ StringEquals: { 'aws:ResourceTag/': 'a' } }, 'an invalid condition key: aws:ResourceTag/'],
    [{ StringEquals: { 'aws:PrincipalTag/team': 'a' } }, 'an invalid condition key: aws:PrincipalTag/team'],
    [
      { StringEquals: { 'aws:RequestTag/${aws:username}': 'a' } },
      'an invalid condition key: aws:RequestTag/${aws:username}',
    ],
    [
      { StringEquals: { [`aws:RequestTag/${'k'.repeat(129)}`]: 'a' } },
      `an invalid condition key: aws:RequestTag/${'k'.repeat(129)}`,
    ],
    [
      { Bool: { 'aws:ResourceTag/on': 'true' } },
      'a condition operator that does not fit its condition key: Bool aws:ResourceTag/on',
    ],
    [
      { StringEquals: { 'aws:tagkeys': 'team' } },
      'a condition key that requires ForAllValues or ForAnyValue: aws:TagKeys',
    ],
    [{ StringEquals: { 'kms:EncryptionContext:a': 'b' } }, 'an invalid condition key: kms:EncryptionContext:a'],
    [{ StringEquals: { [SPEC]: [] } }, 'an empty element: kms:KeySpec'],
    [{ StringEquals: { [SPEC]: null } }, 'an invalid condition value: null'],
    [{ StringEquals: { [SPEC]: [['a']] } }, 'an invalid condition value: ["a"]'],
    [{ StringEquals: { [SPEC]: { a: 1 } } }, 'an invalid condition value: {"a":1}'],
    ...[
      'BinaryEquals',
      'StringMatches',
      'stringEquals',
      'NullIfExists',
      'ForAllValues:Null',
      'ForAnyValue:Null',
      'ForSomeValues:StringEquals',
      'ForAllValues:',
      'ForAllValues:ForAnyValue:StringEquals',
      'StringEqualsIfExistsIfExists',
      'IfExists',
      'constructor',
      '',
    ].map<[unknown, string]>((operator) => [
      { [operator]: { [SPEC]: 'a' } },
      `an invalid condition operator: ${operator}`,
    ]),
    [
      { 'ForAnyValue:StringEqualsIfExists': { [ALIASES]: 'alias/a' } },
      'an unsupported condition operator: ForAnyValue:StringEqualsIfExists',
    ],
    [
      { StringEquals: { [ALIASES]: 'alias/a' } },
      'a condition key that requires ForAllValues or ForAnyValue: kms:ResourceAliases',
    ],
    [
      { StringNotLikeIfExists: { 'kms:grantoperations': 'a' } },
      'a condition key that requires ForAllValues or ForAnyValue: kms:GrantOperations',
    ],
    ...[
      ['NumericEquals', SPEC],
      ['DateLessThan', SPEC],
      ['Bool', SPEC],
      ['IpAddress', SPEC],
      ['NumericLessThan', NOW],
      ['ArnLike', IP],
      ['BoolIfExists', DAYS],
      ['IpAddress', ARN],
    ].map<[unknown, string]>(([operator, key]) => [
      { [operator!]: { [key!]: '1' } },
      `a condition operator that does not fit its condition key: ${operator} ${key}`,
    ]),
    ...['seven', '', '7 ', '1e3', '0x7', 'NaN', '.5', true].map<[unknown, string]>((value) => [
      { NumericEquals: { [DAYS]: value } },
      `an invalid condition value, no number: ${value}`,
    ]),
    ...[
      '2026',
      '2026-09',
      '2026-9-12',
      '2026-02-30',
      '2026-13-01T00:00:00Z',
      '2026-09-12T08:00:00',
      '2026-09-12 08:00:00Z',
      '2026-09-12T25:00:00Z',
      'Sat, 12 Sep 2026 08:00:00 GMT',
      '',
      'now',
      -5,
    ].map<[unknown, string]>((value) => [
      { DateLessThan: { [NOW]: value } },
      `an invalid condition value, no date: ${value}`,
    ]),
    ...['True', 'yes', '', 1].map<[unknown, string]>((value) => [
      { Bool: { [TLS]: value } },
      `an invalid condition value, neither true nor false: ${value}`,
    ]),
    [{ Null: { [SPEC]: 'yes' } }, 'an invalid condition value, neither true nor false: yes'],
    ...[
      '10.0.0.0/33',
      '10.0.0/8',
      '10.*',
      '2001:db8::/129',
      '::ffff:10.0.0.0/95',
      'fe80::1%eth0',
      '1.2.3.4/',
      '/8',
      '',
    ].map<[unknown, string]>((value) => [
      { IpAddress: { [IP]: value } },
      `an invalid condition value, no IP address or CIDR block: ${value}`,
    ]),
    ...['*', 'orders', 'arn:aws:iam::role/orders', ''].map<[unknown, string]>((value) => [
      { ArnLike: { [ARN]: value } },
      `an invalid condition value, no ARN: ${value}`,
    ]),
    ...['StringEquals', 'StringNotEqualsIgnoreCase', 'StringLike', 'ArnLike'].map<[unknown, string]>((operator) => [
      { [operator]: { [ARN]: 'arn:aws:iam::000000000000:user/${aws:username}' } },
      'an unsupported policy variable: ${aws:username}',
    ]),
    [{ StringEquals: { [SPEC]: '${' } }, 'an unsupported policy variable: ${'],
    [{ StringEquals: { [SPEC]: '${}' } }, 'an unsupported policy variable: ${}'],
    [
      { StringEquals: { [SPEC]: ['a', "${aws:username, 'b'}"] } },
      "an unsupported policy variable: ${aws:username, 'b'}",
    ],
  ])('for %j', (condition, what) => {
    expect(() => readCondition(condition, true, 'Allow')).toThrow(problem(`Policy has ${what}`));
  });
});

describe('the condition keys', () => {
  it('have one spelling each', () => {
    const names = conditionKeys().map(({ name }) => name.toLowerCase());
    expect(new Set(names).size).toBe(names.length);
  });

  it('are per request unless the principal, the key or the deployment decides', () => {
    const remembered = conditionKeys().filter(({ perRequest }) => !perRequest);
    expect(remembered.map(({ name }) => name)).toEqual([
      'kms:KeySpec',
      'kms:KeyUsage',
      'kms:KeyOrigin',
      'kms:MultiRegion',
      'kms:MultiRegionKeyType',
      'kms:ResourceAliases',
      'kms:CallerAccount',
      'kms:ViaService',
      'aws:PrincipalArn',
      'aws:PrincipalAccount',
      'aws:PrincipalType',
      'aws:PrincipalIsAWSService',
      'aws:ViaAWSService',
      'aws:RequestedRegion',
      'aws:ResourceAccount',
      'aws:username',
      'aws:ResourceTag/tag-key',
    ]);
  });

  it.each(conditionKeys().map(({ name }) => name))('can all be looked for: %s', (name) => {
    expect(meets({ Null: { [name.toUpperCase()]: 'true' } })).toBe(true);
  });
});

it('an address is looked at anew when it is another than the one before', () => {
  const isIn = addressesIn([addressRangeOf('192.0.2.0/24')!]);
  const addresses = [
    '192.0.2.1',
    '192.0.2.1',
    '198.51.100.1',
    '198.51.100.1',
    '192.0.2.1',
    '',
    '::ffff:192.0.2.9',
    'x',
  ];
  expect(addresses.map(isIn)).toEqual([true, true, false, false, true, false, true, false]);
});
