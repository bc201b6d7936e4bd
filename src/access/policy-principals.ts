import { elementsOf, textsOf } from './policy-elements.ts';
import { has, PolicyProblem } from './policy-problem.ts';
import { isPrincipalArn, type Principal, withoutRolePath } from './principal.ts';

/** The Principal or NotPrincipal of a statement. */
export interface PolicyPrincipals {
  /** Whether it is a NotPrincipal: whom the statement is not about. */
  readonly negated: boolean;
  /** Whether `*` is among them. */
  readonly everyone: boolean;
  /** The ARNs; of an account, its root's; of a role, without its path. */
  readonly arns: ReadonlySet<string>;
}

/**
 * Reads `"*"`, or `{"AWS": …}` with `*`, ARNs and account IDs of a partition.
 *
 * @throws PolicyProblem for all else. Principals of other types never call, and a statement about them would do nothing.
 */
export function readPrincipals(value: unknown, negated: boolean, partition: string): PolicyPrincipals {
  const name = negated ? 'NotPrincipal' : 'Principal';
  if (value === '*') return { negated, everyone: true, arns: new Set() };
  if (typeof value === 'string') throw invalidPrincipals();
  const elements = elementsOf(value, name);
  if (elements.length === 0) throw has('an empty element', name);
  const arns = new Set<string>();
  for (const [type, named] of elements) {
    if (type !== 'AWS') throw has('an unsupported type of principal', type);
    for (const text of textsOf(named, name)) arns.add(text === '*' ? text : arnOf(text, partition));
  }
  return { negated, everyone: arns.delete('*'), arns };
}

/** Whether an Allow is for a caller itself, not by way of its account; for the root of an account these are the same. */
export function allowsCaller({ negated, everyone, arns }: PolicyPrincipals, principal: Principal): boolean {
  const named = everyone || isAnyOf(principal.pathless, arns);
  return negated ? !named && !arns.has(principal.accountArn) : named;
}

/** Whether an Allow is for a caller's account, whose identity policies then decide. */
export function allowsAccount({ negated, arns }: PolicyPrincipals, principal: Principal): boolean {
  return !negated && arns.has(principal.accountArn);
}

/**
 * Whether a Deny is for a caller. One that names the account is for everybody in it. A NotPrincipal spares a caller only
 * when it has the account, and all by which the caller is known: of a session, its own ARN and its role's.
 *
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
 */
export function denies({ negated, everyone, arns }: PolicyPrincipals, principal: Principal): boolean {
  if (everyone) return !negated;
  const account = arns.has(principal.accountArn);
  return negated ? !account || !areAllOf(principal.pathless, arns) : account || isAnyOf(principal.pathless, arns);
}

function arnOf(text: string, partition: string): string {
  if (/^\d{12}$/.test(text)) return `arn:${partition}:iam::${text}:root`;
  if (!isPrincipalArn(text) || !text.startsWith(`arn:${partition}:`)) throw invalidPrincipals();
  return withoutRolePath(text);
}

/** AWS's text: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html */
function invalidPrincipals(): PolicyProblem {
  return new PolicyProblem('Policy contains a statement with one or more invalid principals.');
}

function isAnyOf(names: readonly string[], arns: ReadonlySet<string>): boolean {
  for (const name of names) if (arns.has(name)) return true;
  return false;
}

function areAllOf(names: readonly string[], arns: ReadonlySet<string>): boolean {
  for (const name of names) if (!arns.has(name)) return false;
  return true;
}
