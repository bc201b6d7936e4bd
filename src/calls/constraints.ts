import type { DescEnum } from '@bufbuild/protobuf';
import { awsNameOf } from '../aws-name.ts';
import { shortened } from '../errors.ts';

/** What is wrong with a value: the rest of AWS's sentence after the value, and the value itself where it may be shown. */
interface Failure {
  /** As AWS shows it; `undefined` where it may not be shown. */
  readonly shown: string | undefined;
  /** Such as `Member must have length less than or equal to 10`. */
  readonly constraint: string;
  /** Where in the field it is, such as `1.member.tagKey`; left out for the whole field. */
  readonly within?: string;
}

/** Says what is wrong with the value of a field, if something is. A value that is left out is `undefined`. */
export type Constraint<V> = (value: V) => Failure | undefined;

/** AWS's sentence for a failure at a member, such as `keyId`. */
export function sentence(member: string, { shown, constraint, within }: Failure): string {
  const place = within === undefined ? member : `${member}.${within}`;
  return `Value ${shown === undefined ? '' : `${shown} `}at '${place}' failed to satisfy constraint: ${constraint}`;
}

/** Demands that a field is there, and that its value satisfies a constraint. */
export function required<V>(constraint: Constraint<V>): Constraint<V | undefined> {
  return (value) => (value === undefined ? MISSING : constraint(value));
}

/** Allows that a field is left out. */
export function optional<V>(constraint: Constraint<V>): Constraint<V | undefined> {
  return (value) => (value === undefined ? undefined : constraint(value));
}

/** A text of `least` to `most` characters. */
export function characters(least: number, most: number, pattern?: RegExp): Constraint<string> {
  return (value) => {
    const length = lengthFailure(value.length, least, most);
    if (length !== undefined) return { shown: quoted(value), constraint: length };
    if (pattern === undefined || pattern.test(value)) return undefined;
    return {
      shown: quoted(value),
      constraint: `Member must satisfy regular expression pattern: ${pattern.source}`,
    };
  };
}

/**
 * Demands at least one text, and only texts of `leastLength` to `mostLength` characters.
 */
export function requiredTexts(leastLength: number, mostLength: number): Constraint<readonly string[]> {
  return (values) => {
    if (values.length === 0) return MISSING;
    if (values.every((value) => value.length >= leastLength && value.length <= mostLength)) return undefined;
    return { shown: quoted(`[${values.join(', ')}]`), constraint: lengthsOfEach(leastLength, mostLength) };
  };
}

/** Demands that the members of every message of a list satisfy constraints; tells of the first that does not. */
export function each<M extends object>(constraints: {
  readonly [F in keyof M]?: Constraint<M[F]>;
}): Constraint<readonly M[]> {
  return (messages) => {
    for (const [index, message] of messages.entries()) {
      for (const [field, constraint] of Object.entries(constraints) as [keyof M & string, Constraint<unknown>][]) {
        const failure = constraint(message[field]);
        if (failure !== undefined) return { ...failure, within: `${index + 1}.member.${field}` };
      }
    }
    return undefined;
  };
}

/** Demands at least one message of a list, of which all satisfy `each`. */
export function atLeastOne<M>(constraint: Constraint<readonly M[]>): Constraint<readonly M[]> {
  return (messages) => (messages.length === 0 ? MISSING : constraint(messages));
}

const MISSING: Failure = { shown: 'null', constraint: 'Member must not be null' };

function lengthsOfEach(least: number, most: number): string {
  return `Member must satisfy constraint: [Member must have length less than or equal to ${most}, Member must have length greater than or equal to ${least}]`;
}

/** A blob of `least` to `most` bytes, which no error shows. */
export function bytes(least: number, most: number): Constraint<Uint8Array> {
  return (value) => {
    const constraint = lengthFailure(value.length, least, most);
    return constraint === undefined ? undefined : { shown: undefined, constraint };
  };
}

/** A whole number from `least` to `most`. */
export function range(least: number, most: number): Constraint<number> {
  return (value) => {
    if (value >= least && value <= most) return undefined;
    const bound = value < least ? `greater than or equal to ${least}` : `less than or equal to ${most}`;
    return { shown: `'${value}'`, constraint: `Member must have value ${bound}` };
  };
}

/** At most `most` secrets of `leastLength` to `mostLength` characters each, which no error shows. */
export function secrets(most: number, leastLength: number, mostLength: number): Constraint<readonly string[]> {
  return (values) => {
    if (values.length === 0) return undefined;
    const count = lengthFailure(values.length, 0, most);
    if (count !== undefined) return { shown: undefined, constraint: count };
    if (values.every((value) => value.length >= leastLength && value.length <= mostLength)) return undefined;
    return {
      shown: undefined,
      constraint: lengthsOfEach(leastLength, mostLength),
    };
  };
}

/**
 * A value that an enum has, or none.
 *
 * @param names AWS's names of the values, in AWS's order, as an error tells them
 */
export function valueOf(desc: DescEnum, names: readonly string[]): Constraint<number> {
  return (value) =>
    isValueOf(desc, value)
      ? undefined
      : {
          shown: quoted(nameOf(desc, value)),
          constraint: `Member must satisfy enum value set: [${names.join(', ')}]`,
        };
}

/** Demands that an enum's field is there, and a value that the enum has. */
export function requiredValueOf(desc: DescEnum, names: readonly string[]): Constraint<number> {
  const known = valueOf(desc, names);
  return (value) => (value === 0 ? MISSING : known(value));
}

/**
 * Demands at least one value, and only values that an enum has.
 *
 * @param names AWS's names of the values, as an error tells them
 */
export function requiredValuesOf(desc: DescEnum, names: readonly string[]): Constraint<readonly number[]> {
  const known = valuesOf(desc, names);
  return (values) => (values.length === 0 ? MISSING : known(values));
}

/** Values that an enum has, or none; `names` as of `requiredValuesOf`. */
export function valuesOf(desc: DescEnum, names: readonly string[]): Constraint<readonly number[]> {
  return (values) => {
    if (values.every((value) => value !== 0 && isValueOf(desc, value))) return undefined;
    return {
      shown: quoted(`[${values.map((value) => nameOf(desc, value)).join(', ')}]`),
      constraint: `Member must satisfy constraint: [Member must satisfy enum value set: [${names.join(', ')}]]`,
    };
  };
}

/** Whether an enum has a value; on a wire with names, one that it does not have is a text. */
function isValueOf(desc: DescEnum, value: number | string): boolean {
  return typeof value === 'number' && desc.value[value] !== undefined;
}

function nameOf(desc: DescEnum, value: number | string): string {
  const known = typeof value === 'number' && value !== 0 ? desc.value[value] : undefined;
  return known === undefined ? String(value) : awsNameOf(known);
}

/** A secret of `least` to `most` characters, or none, which no error shows. */
export function optionalSecret(least: number, most: number): Constraint<string | undefined> {
  return (value) => {
    const constraint = value === undefined ? undefined : lengthFailure(value.length, least, most);
    return constraint === undefined ? undefined : { shown: undefined, constraint };
  };
}

function lengthFailure(length: number, least: number, most: number): string | undefined {
  if (length < least) return `Member must have length greater than or equal to ${least}`;
  if (length > most) return `Member must have length less than or equal to ${most}`;
  return undefined;
}

function quoted(value: string): string {
  return `'${shortened(value)}'`;
}
