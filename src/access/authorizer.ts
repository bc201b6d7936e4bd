import { KmsError } from '../errors.ts';
import type { Call } from './call.ts';

/** Decides whether a caller may do what it asks for. */
export interface Authorizer {
  /**
   * Answers when the call may go on with a key of this account.
   *
   * @throws KmsError InvalidGrantTokenException when a token was never issued.
   */
  authorize(call: Call, keyArn: string, grantTokens: readonly string[]): void;
}

/** Lets every caller do everything, as the root of the account; there are no grants, and so no grant token is genuine. */
export const rootAuthorizer: Authorizer = {
  authorize(_call, _keyArn, grantTokens) {
    if (grantTokens.length > 0) throw new KmsError('InvalidGrantTokenException');
  },
};

/**
 * The error for a key or alias of another account, which tells nothing of whether it is there.
 *
 * @see https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying-external-accounts.html
 */
export function foreignAccountDenied({ principal, operation }: Call): KmsError {
  return new KmsError(
    'AccessDeniedException',
    `User: ${principal.arn} is not authorized to perform: kms:${operation} on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access`,
  );
}
