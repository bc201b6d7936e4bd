import { has } from './policy-problem.ts';

/** Tells whether a value is one of those that a policy means. */
export type Test = (value: string) => boolean;

// A pattern is a list of UTF-16 code units and these two, which are no code units.
const ANY = -1;
const ONE = -2;

const ASTERISK = '*'.charCodeAt(0);
const QUESTION_MARK = '?'.charCodeAt(0);

/**
 * The text that a policy means where it cannot use wildcards.
 *
 * @param variables whether `${…}` is a policy variable, as it is in policies of Version 2012-10-17
 * @throws PolicyProblem for a policy variable but `${*}`, `${?}` and `${$}`, which are these characters
 */
export function literal(text: string, variables: boolean): string {
  return textOf(unitsOf(text, variables, false));
}

/**
 * A test for values that are like a pattern: `*` is any characters, also none, and `?` is any one.
 *
 * It takes time in proportion to the product of the lengths of value and pattern at worst: a regular expression could be
 * made to take more by whoever may write a policy.
 *
 * @param variables as of `literal`, whose errors it throws
 */
export function wildcard(pattern: string, variables: boolean): Test {
  const units = unitsOf(pattern, variables, true);
  const first = units.findIndex((unit) => unit < 0);
  if (first === -1) {
    const exact = textOf(units);
    return (value) => value === exact;
  }
  if (first === units.length - 1 && units[first] === ANY) {
    if (first === 0) return () => true;
    const prefix = textOf(units.slice(0, -1));
    return (value) => value.startsWith(prefix);
  }
  return (value) => isLike(value, units);
}

/** A test for values that satisfy any of some tests. */
export function anyOf(tests: readonly Test[]): Test {
  const [first] = tests;
  if (tests.length === 1 && first !== undefined) return first;
  return (value) => {
    for (const test of tests) if (test(value)) return true;
    return false;
  };
}

/** Goes back, where the pattern stops to match, to the last `*` only: what an earlier one takes makes no difference. */
function isLike(value: string, units: readonly number[]): boolean {
  let at = 0;
  let unit = 0;
  let lastAny = -1;
  let takenByAny = 0;
  while (at < value.length) {
    const expected = units[unit];
    if (expected === ANY) {
      lastAny = unit++;
      takenByAny = at;
    } else if (expected === ONE || expected === value.charCodeAt(at)) {
      unit++;
      at++;
    } else if (lastAny >= 0) {
      unit = lastAny + 1;
      at = ++takenByAny;
    } else return false;
  }
  while (units[unit] === ANY) unit++;
  return unit === units.length;
}

function textOf(units: readonly number[]): string {
  return units.map((unit) => String.fromCharCode(unit)).join('');
}

function unitsOf(text: string, variables: boolean, wildcards: boolean): number[] {
  const units: number[] = [];
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (variables && text.startsWith('${', at)) {
      const end = text.indexOf('}', at);
      const variable = text.slice(at, end === -1 ? text.length : end + 1);
      if (!/^\$\{[*?$]\}$/.test(variable)) throw has('an unsupported policy variable', variable);
      units.push(variable.charCodeAt(2));
      at = end;
    } else if (wildcards && unit === ASTERISK) units.push(ANY);
    else if (wildcards && unit === QUESTION_MARK) units.push(ONE);
    else units.push(unit);
  }
  return units;
}
