import type { Condition } from './condition.ts';
import type { PolicyPrincipals } from './policy-principals.ts';
import type { Test } from './wildcard.ts';

/** A statement of a policy, as a decision names it. */
export interface Statement {
  /** Its Sid, or its number from 1: `statement 2`. */
  readonly name: string;
}

/** A statement of a policy, ready to be asked. */
export interface PolicyStatement extends Statement {
  readonly effect: 'Allow' | 'Deny';
  /** `undefined` in an identity policy, whose statements are about whoever has it. */
  readonly principals: PolicyPrincipals | undefined;
  /** Takes an action in lower case with its service: `kms:generatemac`. */
  readonly concernsAction: Test;
  /** Takes an ARN, or `*` for an operation that has no resource. */
  readonly concernsResource: Test;
  readonly condition: Condition | undefined;
}
