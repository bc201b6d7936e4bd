import { describe, expect, it } from 'vitest';
import {
  bytes,
  characters,
  type Constraint,
  optional,
  range,
  required,
  requiredValueOf,
  secrets,
  sentence,
  valueOf,
} from '../../src/calls/constraints.ts';
import { MacAlgorithmSchema } from '../../src/gen/hmacd/v1/mac_pb.ts';

/** AWS's sentence about a value at `member`, `undefined` for one that is well. */
function complaintAbout<V>(constraint: Constraint<V>, value: V): string | undefined {
  const failure = constraint(value);
  return failure && sentence('member', failure);
}

const at = (shown: string, constraint: string): string =>
  `Value ${shown}at 'member' failed to satisfy constraint: ${constraint}`;
const longer = (least: number) => `Member must have length greater than or equal to ${least}`;
const shorter = (most: number) => `Member must have length less than or equal to ${most}`;

describe('a constraint on characters', () => {
  const constraint = characters(2, 5, /^[a-z]*$/);
  it.each([
    ['ab', undefined],
    ['abcde', undefined],
    ['a', at("'a' ", longer(2))],
    ['', at("'' ", longer(2))],
    ['abcdef', at("'abcdef' ", shorter(5))],
    ['ABC', at("'ABC' ", 'Member must satisfy regular expression pattern: ^[a-z]*$')],
    ['TOO LONG', at("'TOO LONG' ", shorter(5))],
  ])('says of %j: %s', (value, complaint) => expect(complaintAbout(constraint, value)).toBe(complaint));

  it('shows at most 256 characters of a value', () => {
    const least = characters(0, 10);
    expect(complaintAbout(least, 'x'.repeat(256))).toBe(at(`'${'x'.repeat(256)}' `, shorter(10)));
    expect(complaintAbout(least, 'x'.repeat(257))).toBe(at(`'${'x'.repeat(256)}…' `, shorter(10)));
    expect(complaintAbout(least, 'x'.repeat(100_000))!.length).toBeLessThan(500);
  });

  it('cuts no character in two: half of one cannot be sent', () => {
    for (const before of [254, 255, 256]) {
      const value = `${'x'.repeat(before)}🔑${'y'.repeat(10)}`;
      expect(complaintAbout(characters(0, 10), value)!.isWellFormed()).toBe(true);
    }
  });
});

describe('a constraint on bytes', () => {
  it.each([
    [1, undefined],
    [4, undefined],
    [0, at('', longer(1))],
    [5, at('', shorter(4))],
  ])('says of %i bytes: %s', (length, complaint) => {
    expect(complaintAbout(bytes(1, 4), Buffer.alloc(length, 's3cret'))).toBe(complaint);
  });
});

describe('a constraint on secrets', () => {
  const constraint = secrets(3, 2, 5);
  const each = at('', `Member must satisfy constraint: [${shorter(5)}, ${longer(2)}]`);
  it.each([
    ['none', [], undefined],
    ['three', ['ab', 'abcde', 'abc'], undefined],
    ['four', ['ab', 'ab', 'ab', 'ab'], at('', shorter(3))],
    ['one that is too short', ['ab', 's'], each],
    ['one that is too long', ['s3cret'], each],
    ['one that is empty', [''], each],
  ])('shows nothing of %s', (_, values, complaint) => expect(complaintAbout(constraint, values)).toBe(complaint));
});

describe('a constraint on numbers', () => {
  it.each([
    [1, undefined],
    [9, undefined],
    [0, at("'0' ", 'Member must have value greater than or equal to 1')],
    [-5, at("'-5' ", 'Member must have value greater than or equal to 1')],
    [10, at("'10' ", 'Member must have value less than or equal to 9')],
  ])('says of %i: %s', (value, complaint) => expect(complaintAbout(range(1, 9), value)).toBe(complaint));
});

describe('a constraint on enums', () => {
  const names = ['HMAC_SHA_384', 'HMAC_SHA_256', 'HMAC_SHA_224', 'HMAC_SHA_512'];
  const unknown = at("'99' ", `Member must satisfy enum value set: [${names.join(', ')}]`);
  it.each([
    [0, undefined, at('null ', 'Member must not be null')],
    [1, undefined, undefined],
    [4, undefined, undefined],
    [99, unknown, unknown],
  ])('says of %i: %s; where a value is demanded: %s', (value, complaint, whereDemanded) => {
    expect(complaintAbout(valueOf(MacAlgorithmSchema, names), value)).toBe(complaint);
    expect(complaintAbout(requiredValueOf(MacAlgorithmSchema, names), value)).toBe(whereDemanded);
  });
});

describe('a value that is left out', () => {
  it('is well where it may be, and null where it may not', () => {
    expect(complaintAbout(optional(range(1, 9)), undefined)).toBeUndefined();
    expect(complaintAbout(required(range(1, 9)), undefined)).toBe(at('null ', 'Member must not be null'));
    for (const constraint of [optional(range(1, 9)), required(range(1, 9))]) {
      expect(complaintAbout(constraint, 5)).toBeUndefined();
      expect(complaintAbout(constraint, 0)).toBe(at("'0' ", 'Member must have value greater than or equal to 1'));
    }
  });
});
