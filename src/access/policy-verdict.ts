import type { PolicySource } from './access-denied.ts';
import type { ConditionContext } from './condition-context.ts';
import type { Policy } from './policy.ts';
import { isAccountRoot, type Principal } from './principal.ts';

/** What the policies of a key and of a caller say together. */
export interface PolicyVerdict {
  /** What denies it, whatever is allowed. */
  readonly denial: Denial | undefined;
  /** What allows it, in words, where the policies suffice. */
  readonly allowance: string | undefined;
  /** Whether the key policy allows it, to the caller or to its account. */
  readonly byKey: boolean;
  /** What of the caller's own allows it, in words: a statement, or that it is the root of its account. */
  readonly byIdentity: string | undefined;
}

/** An explicit deny. */
export interface Denial {
  readonly kind: PolicySource;
  /** The statement, in words. */
  readonly by: string;
}

/** What the identity policies of a caller say. */
export type IdentityVerdict = Pick<PolicyVerdict, 'denial' | 'byIdentity'>;

/** Asks the identity policies of a caller; the root of an account may do whatever its account may. */
export function identityVerdict(
  action: string,
  resource: string,
  principal: Principal,
  context: ConditionContext,
): IdentityVerdict {
  let byIdentity = isAccountRoot(principal) ? 'the root of the account' : undefined;
  for (const policy of principal.policies) {
    const { denied, allowed } = policy.evaluate({ action, resource, principal, context });
    if (denied !== undefined) {
      return { denial: { kind: 'identity-based', by: `identity policy: ${denied.name}` }, byIdentity: undefined };
    }
    if (allowed !== undefined) byIdentity ??= `identity policy: ${allowed.name}`;
  }
  return { denial: undefined, byIdentity };
}

/**
 * Asks a key policy and the identity policies of a caller.
 *
 * @param own whether the caller is of the key's account
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
 */
export function policyVerdict(
  action: string,
  keyPolicy: Policy,
  keyArn: string,
  principal: Principal,
  own: boolean,
  context: ConditionContext,
): PolicyVerdict {
  const ofKey = keyPolicy.evaluate({ action, resource: keyArn, principal, context });
  const { denial, byIdentity } = identityVerdict(action, keyArn, principal, context);
  const direct = ofKey.allowed && `key policy: ${ofKey.allowed.name}`;
  const toAccount = ofKey.allowedToAccount && `key policy: ${ofKey.allowedToAccount.name}`;
  const byKey = direct ?? toAccount;
  const together = byKey && byIdentity && `${byKey}, ${byIdentity}`;
  return {
    denial: ofKey.denied ? { kind: 'resource-based', by: `key policy: ${ofKey.denied.name}` } : denial,
    // Across accounts both sides have to allow it; at home a key policy that names the caller is enough.
    allowance: own && direct !== undefined ? direct : together,
    byKey: byKey !== undefined,
    byIdentity,
  };
}
