import type { ConditionKeyType } from './condition-keys.ts';
import { addressesIn, addressRangeOf, dateOf, numberOf } from './condition-values.ts';
import { has } from './policy-problem.ts';
import { anyOf, literal, type Test, wildcard } from './wildcard.ts';

/** How the values of a condition key are compared with those in a policy. */
export interface ConditionOperator {
  /** The types of the keys that it can compare. A policy that compares another with it would never mean anything. */
  readonly types: ReadonlySet<ConditionKeyType>;
  /** Whether it asks that the test fails. */
  readonly negated: boolean;
  /**
   * A test for the values that are as one of the policy's.
   *
   * @param variables whether `${…}` is a policy variable
   * @throws PolicyProblem when the operator cannot compare with one of the policy's values
   */
  readonly test: (values: readonly string[], variables: boolean) => Test;
}

type Compile = ConditionOperator['test'];

const STRING: readonly ConditionKeyType[] = ['string', 'arn', 'bool', 'numeric', 'date', 'ip'];
const ARN: readonly ConditionKeyType[] = ['arn', 'string'];
const DATE: readonly ConditionKeyType[] = ['date', 'numeric'];

const equals: Compile = (values, variables) => {
  const literals = new Set(values.map((value) => literal(value, variables)));
  return (value) => literals.has(value);
};
const equalsIgnoreCase: Compile = (values, variables) => {
  const literals = new Set(values.map((value) => literal(value, variables).toLowerCase()));
  return (value) => literals.has(value.toLowerCase());
};
const like: Compile = (values, variables) => anyOf(values.map((value) => wildcard(value, variables)));
const arnLike: Compile = (values, variables) => anyOf(values.map((value) => arnTest(value, variables)));
const bool: Compile = (values) => {
  for (const value of values) {
    if (value !== 'true' && value !== 'false') throw has('an invalid condition value, neither true nor false', value);
  }
  return (value) => values.includes(value);
};
const ipAddress: Compile = (values) =>
  addressesIn(
    values.map((value) => {
      const range = addressRangeOf(value);
      if (range === undefined) throw has('an invalid condition value, no IP address or CIDR block', value);
      return range;
    }),
  );

const OPERATORS: ReadonlyMap<string, ConditionOperator> = new Map([
  ...withNegation('StringEquals', 'StringNotEquals', STRING, equals),
  ...withNegation('StringEqualsIgnoreCase', 'StringNotEqualsIgnoreCase', STRING, equalsIgnoreCase),
  ...withNegation('StringLike', 'StringNotLike', STRING, like),
  // The two are the same to AWS: both take wildcards.
  ...withNegation('ArnEquals', 'ArnNotEquals', ARN, arnLike),
  ...withNegation('ArnLike', 'ArnNotLike', ARN, arnLike),
  ...comparisons('Numeric', ['numeric'], numberOf, 'number'),
  ...comparisons('Date', DATE, dateOf, 'date'),
  operator('Bool', ['bool'], bool),
  ...withNegation('IpAddress', 'NotIpAddress', ['ip'], ipAddress),
]);

/** The operator of a name, without set qualifier and `IfExists`; `undefined` for an unknown one, and for Null. */
export function conditionOperator(name: string): ConditionOperator | undefined {
  return OPERATORS.get(name);
}

function operator(
  name: string,
  types: readonly ConditionKeyType[],
  test: Compile,
  negated = false,
): [string, ConditionOperator] {
  return [name, { types: new Set(types), negated, test }];
}

function withNegation(name: string, negation: string, types: readonly ConditionKeyType[], test: Compile) {
  return [operator(name, types, test), operator(negation, types, test, true)];
}

/** The six operators on values that have an order. */
function comparisons(
  prefix: string,
  types: readonly ConditionKeyType[],
  read: (text: string) => number,
  noun: string,
): [string, ConditionOperator][] {
  const compile =
    (holds: (value: number, bound: number) => boolean): Compile =>
    (values) => {
      const bounds = values.map((value) => {
        const bound = read(value);
        if (Number.isNaN(bound)) throw has(`an invalid condition value, no ${noun}`, value);
        return bound;
      });
      return (text) => {
        // What is no such value is NaN, for which no comparison holds.
        const value = read(text);
        return bounds.some((bound) => holds(value, bound));
      };
    };
  return [
    ...withNegation(
      `${prefix}Equals`,
      `${prefix}NotEquals`,
      types,
      compile((value, bound) => value === bound),
    ),
    operator(
      `${prefix}LessThan`,
      types,
      compile((value, bound) => value < bound),
    ),
    operator(
      `${prefix}LessThanEquals`,
      types,
      compile((value, bound) => value <= bound),
    ),
    operator(
      `${prefix}GreaterThan`,
      types,
      compile((value, bound) => value > bound),
    ),
    operator(
      `${prefix}GreaterThanEquals`,
      types,
      compile((value, bound) => value >= bound),
    ),
  ];
}

/** A test for ARNs whose parts are each like the part of a pattern: no wildcard reaches over a colon but in the last. */
function arnTest(pattern: string, variables: boolean): Test {
  const exact = literal(pattern, variables);
  const parts = arnParts(pattern);
  if (parts === undefined) throw has('an invalid condition value, no ARN', pattern);
  if (!/[*?]/.test(pattern)) return (value) => value === exact;
  const tests = parts.map((part) => wildcard(part, variables));
  return (value) => {
    const found = arnParts(value);
    return found !== undefined && tests.every((test, index) => test(found[index]!));
  };
}

const ARN_PARTS = /^([^:]*):([^:]*):([^:]*):([^:]*):([^:]*):([^]*)$/;

function arnParts(text: string): string[] | undefined {
  return ARN_PARTS.exec(text)?.slice(1);
}
