import { type ConditionKey, conditionKey } from './condition-keys.ts';
import { type ConditionOperator, conditionOperator } from './condition-operators.ts';
import { elementsOf, listOf } from './policy-elements.ts';
import { has } from './policy-problem.ts';
import type { PolicyStatement } from './policy-statement.ts';
import type { Test } from './wildcard.ts';

/** The values of a condition key in a request, by its name in lower case; `undefined` or none when it does not have it. */
export type Context = (key: string) => readonly string[] | undefined;

/** The Condition of a statement. */
export interface Condition {
  /** Whether a request meets it. */
  readonly isMet: (context: Context) => boolean;
  /** The names, in lower case, of the condition keys that it looks at. */
  readonly keys: readonly string[];
}

type Qualifier = 'ForAllValues' | 'ForAnyValue';
type Effect = PolicyStatement['effect'];

const OPERATOR = /^(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?$/;

/**
 * Reads the Condition of a statement: all its operators have to hold, each for all its keys.
 *
 * @param variables whether `${…}` is a policy variable
 * @param effect of the statement
 * @throws PolicyProblem when it is not well-formed, or asks for what hmacd could not tell
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
 */
export function readCondition(value: unknown, variables: boolean, effect: Effect): Condition {
  const keys: string[] = [];
  const checks: ((context: Context) => boolean)[] = [];
  for (const [operator, comparisons] of elementsOf(value, 'Condition')) {
    for (const [name, operands] of elementsOf(comparisons, operator)) {
      const key = conditionKey(name);
      if (key === undefined) throw has('an invalid condition key', name);
      keys.push(key.name.toLowerCase());
      checks.push(readCheck(operator, key, listOf(operands, name).map(textOf), variables, effect));
    }
  }
  return { keys, isMet: (context) => checks.every((check) => check(context)) };
}

/** A value of a condition; numbers and booleans are what they look like as a text. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw has('an invalid condition value', value);
}

function readCheck(
  written: string,
  key: ConditionKey,
  values: readonly string[],
  variables: boolean,
  effect: Effect,
): (context: Context) => boolean {
  if (written === 'Null') return isNull(key, values);
  const [, qualifier, name = '', ifExists] = OPERATOR.exec(written) ?? [];
  const operator = conditionOperator(name);
  if (operator === undefined) throw has('an invalid condition operator', written);
  if (!operator.types.has(key.type)) {
    throw has('a condition operator that does not fit its condition key', `${written} ${key.name}`);
  }
  // AWS takes it, says that a qualifier is required, and does not say what it does without one.
  if (key.multivalued && qualifier === undefined) {
    throw has('a condition key that requires ForAllValues or ForAnyValue', key.name);
  }
  // Without the key, one part of AWS's documentation says that the condition is false, another that it is true.
  if (qualifier === 'ForAnyValue' && ifExists !== undefined) throw has('an unsupported condition operator', written);
  const test = operator.test(values, variables);
  return compare(key, operator, test, qualifier as Qualifier, ifExists !== undefined, effect);
}

function compare(
  { name }: ConditionKey,
  { negated }: ConditionOperator,
  test: Test,
  qualifier: Qualifier | undefined,
  ifExists: boolean,
  effect: Effect,
): (context: Context) => boolean {
  const key = name.toLowerCase();
  const holds = (value: string): boolean => test(value) !== negated;
  // A key without a qualifier has one value. Only tags whose keys differ in nothing but their case make it more: then a
  // statement allows only what all of them allow, and denies what any of them denies.
  const all = qualifier === 'ForAllValues' || (qualifier === undefined && effect === 'Allow');
  const withoutKey = qualifier === 'ForAllValues' || (qualifier === undefined && negated) || ifExists;
  return (context) => {
    const values = context(key);
    if (values === undefined || values.length === 0) return withoutKey;
    return all ? values.every(holds) : values.some(holds);
  };
}

/** `true` asks that a request does not have the key, `false` that it has it. */
function isNull({ name }: ConditionKey, values: readonly string[]): (context: Context) => boolean {
  const key = name.toLowerCase();
  const expected = conditionOperator('Bool')!.test(values, false);
  return (context) => expected(String((context(key)?.length ?? 0) === 0));
}
