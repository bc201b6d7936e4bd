import { describe, expect, it } from 'vitest';
import { literal, wildcard } from '../../src/access/wildcard.ts';

describe('a wildcard pattern', () => {
  it.each([
    ['', '', true],
    ['', 'a', false],
    ['abc', 'abc', true],
    ['abc', 'abcd', false],
    ['abc', 'ab', false],
    ['*', '', true],
    ['*', 'arn:aws:kms:us-east-1:000000000000:key/1', true],
    ['**', 'a', true],
    ['ab*', 'ab', true],
    ['ab*', 'abcd', true],
    ['ab*', 'a', false],
    ['*cd', 'abcd', true],
    ['*cd', 'abcdcd', true],
    ['*cd', 'abcdc', false],
    ['a*c*e', 'abcde', true],
    ['a*c*e', 'ace', true],
    ['a*c*e', 'aec', false],
    ['a?c', 'abc', true],
    ['a?c', 'ac', false],
    ['?', '', false],
    ['a*?', 'a', false],
    ['a*?', 'ab', true],
    ['*a?b', 'aaab', true],
    ['a.c', 'abc', false],
    ['[ab]', 'a', false],
    ['a\\*', 'a\\b', true],
    ['$', '$', true],
    ['{a}$', '{a}$', true],
    ['a${*}c', 'a*c', true],
    ['a${*}c', 'abc', false],
    ['a${?}*', 'a?bc', true],
    ['a${?}*', 'abbc', false],
    ['${$}{a}', '${a}', true],
  ])('%j is like %j: %s', (pattern, value, outcome) => {
    expect(wildcard(pattern, true)(value)).toBe(outcome);
  });

  it('means the same as the regular expression it stands for', () => {
    const texts = ['a', 'b', '*', '?'];
    const words = (length: number): string[] =>
      length === 0 ? [''] : words(length - 1).flatMap((word) => texts.map((text) => word + text));
    const values = [0, 1, 2, 3, 4, 5].flatMap(words).filter((word) => /^[ab]*$/.test(word));
    for (const pattern of [0, 1, 2, 3, 4, 5].flatMap(words)) {
      const test = wildcard(pattern, true);
      const expression = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`);
      const wrong = values.filter((value) => test(value) !== expression.test(value));
      expect({ pattern, wrong }).toEqual({ pattern, wrong: [] });
    }
  });

  it('takes no time that grows beyond the lengths of both', () => {
    const test = wildcard(`${'*a'.repeat(2000)}*b`, true);
    const start = performance.now();
    expect(test('a'.repeat(20_000))).toBe(false);
    expect(performance.now() - start).toBeLessThan(2000);
  });
});

describe('a literal', () => {
  it.each([
    ['a*?', true, 'a*?'],
    ['${*}${?}${$}', true, '*?$'],
    ['${*}', false, '${*}'],
    ['${aws:username}', false, '${aws:username}'],
    ['$*{', true, '$*{'],
  ])('%j, with variables: %s, is %j', (text, variables, value) => expect(literal(text, variables)).toBe(value));

  it('may be long', () => expect(literal('a'.repeat(1_000_000), true)).toHaveLength(1_000_000));
});
