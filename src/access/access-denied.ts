import { KmsError, withoutKey } from '../errors.ts';
import type { Call } from './call.ts';

/** The kinds of policies, as AWS's errors call them. */
export type PolicySource = 'resource-based' | 'identity-based';

/** What a call was about: an ARN; `this resource` of another account, whose ARN is not told; `undefined` for nothing. */
export type DeniedResource = string | undefined;

/** How an error calls the resource of another account. */
export const ANOTHERS = 'this resource';

/** The error for what no policy of a kind allows. */
export function accessDenied(call: Call, resource: DeniedResource, kind: PolicySource): KmsError {
  const because = `because no ${kind} policy allows the kms:${call.operation} action`;
  return denied(call, resource, because);
}

/** The error for what a policy of a kind denies. */
export function explicitlyDenied(call: Call, resource: DeniedResource, kind: PolicySource): KmsError {
  return denied(call, resource, `with an explicit deny in ${kind === 'identity-based' ? 'an' : 'a'} ${kind} policy`);
}

/**
 * The error for a key or alias of another account, which tells nothing of whether it is there.
 *
 * @see https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying-external-accounts.html
 */
export function foreignAccountDenied(call: Call): KmsError {
  return withoutKey(
    denied(
      call,
      ANOTHERS,
      'because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access',
    ),
  );
}

function denied({ principal, operation }: Call, resource: DeniedResource, because: string): KmsError {
  const on = resource === undefined ? '' : resource === ANOTHERS ? ` on ${ANOTHERS}` : ` on resource: ${resource}`;
  return new KmsError(
    'AccessDeniedException',
    `User: ${principal.arn} is not authorized to perform: kms:${operation}${on} ${because}`,
  );
}
