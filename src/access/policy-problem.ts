import { shortened } from '../errors.ts';

/** What is wrong with a policy, in a sentence for whoever wrote it; empty for a text that is no JSON, as AWS has it. */
export class PolicyProblem extends Error {
  override readonly name = 'PolicyProblem';
  /** The sentence without anything that stands in the policy. */
  readonly summary: string;

  constructor(message = '', summary = message) {
    super(message);
    this.summary = summary;
  }
}

/** The problem of an element, value or name that a policy may not have: `Policy has an invalid Effect: allow`. */
export function has(what: string, value: unknown): PolicyProblem {
  const shown = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  return new PolicyProblem(`Policy has ${what}: ${shortened(shown)}`, `Policy has ${what}`);
}
