import { has } from './policy-problem.ts';

// The shapes that a value in a policy can have.

/**
 * The names and values of an object.
 *
 * @param name of the element that has to be one
 * @param known the only names that it may have; any when left out
 * @throws PolicyProblem when it is no object, or has another member
 */
export function elementsOf(value: unknown, name: string, known?: ReadonlySet<string>): [string, unknown][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw has('an element that is no object', name);
  const elements = Object.entries(value);
  const unknown = elements.find(([element]) => known?.has(element) === false);
  if (unknown !== undefined) throw has('an unknown element', unknown[0]);
  return elements;
}

/**
 * The values of an element that is one value or a list of some.
 *
 * @throws PolicyProblem when the list is empty
 */
export function listOf(value: unknown, name: string): readonly unknown[] {
  if (!Array.isArray(value)) return [value];
  if (value.length === 0) throw has('an empty element', name);
  return value;
}

/**
 * The texts of an element that is one text or a list of some.
 *
 * @throws PolicyProblem when the list is empty, or one of them is no text
 */
export function textsOf(value: unknown, name: string): readonly string[] {
  return listOf(value, name).map((text) => {
    if (typeof text !== 'string') throw has(`an invalid ${name}`, text);
    return text;
  });
}
