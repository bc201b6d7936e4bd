import { expect } from 'vitest';
import type { PolicyProblem } from '../../src/access/policy-problem.ts';

/** What a PolicyProblem with a message looks like, whatever its summary is. */
export function problem(message: string): PolicyProblem {
  return expect.objectContaining({ name: 'PolicyProblem', message }) as PolicyProblem;
}
