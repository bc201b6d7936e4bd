import { has, PolicyProblem } from './policy-problem.ts';

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]:]/g;

/**
 * Reads a JSON text in which no object has two members of a name: `JSON.parse` would keep the last of them, and drop the
 * others without a word.
 *
 * @throws PolicyProblem without a message when the text is no JSON, as AWS sends none
 */
export function parsePolicyJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new PolicyProblem();
  }
  demandUniqueNames(text);
  return value;
}

/** Looks through the tokens of a text that is known to be JSON. A string before a colon is the name of a member. */
function demandUniqueNames(text: string): void {
  const open: Set<string>[] = [];
  let last = '';
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === '{' || token === '[') open.push(new Set());
    else if (token === '}' || token === ']') open.pop();
    else if (token === ':') {
      const name = JSON.parse(last) as string;
      const names = open.at(-1);
      if (names?.has(name) === true) throw has('a duplicate element', name);
      names?.add(name);
    }
    last = token;
  }
}
