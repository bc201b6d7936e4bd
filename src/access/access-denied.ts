import { KmsError, withoutKey } from '../errors.ts';
import type { Call } from './call.ts';

/** The kinds of policies, as AWS's errors call them. */
export type PolicySource = 'resource-based' | 'identity-based';

/** What an error tells of a call. */
type Denied = Pick<Call, 'principal' | 'operation'>;

/** How an error calls the resource of another account, whose ARN is not told. */
export const ANOTHERS = 'this resource';

/**
 * The error for what no policy of a kind allows.
 *
 * @param resource an ARN, ANOTHERS, or `*` for an operation that is on nothing
 */
export function accessDenied(call: Denied, resource: string, kind: PolicySource): KmsError {
  const because = `because no ${kind} policy allows the kms:${call.operation} action`;
  return denied(call, resource, because);
}

/** The error for what a policy of a kind denies; `resource` as of `accessDenied`. */
export function explicitlyDenied(call: Denied, resource: string, kind: PolicySource): KmsError {
  return denied(call, resource, `with an explicit deny in ${kind === 'identity-based' ? 'an' : 'a'} ${kind} policy`);
}

/**
 * The error for a key or alias of another account, which tells nothing of whether it is there.
 *
 * @see https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying-external-accounts.html
 */
export function foreignAccountDenied(call: Denied): KmsError {
  return withoutKey(
    denied(
      call,
      ANOTHERS,
      'because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access',
    ),
  );
}

function denied({ principal, operation }: Denied, resource: string, because: string): KmsError {
  const on = resource === ANOTHERS ? ` on ${ANOTHERS}` : ` on resource: ${resource}`;
  return new KmsError(
    'AccessDeniedException',
    `User: ${principal.arn} is not authorized to perform: kms:${operation}${on} ${because}`,
  );
}
