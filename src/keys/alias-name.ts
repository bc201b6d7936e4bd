import { KmsError } from '../errors.ts';

/** Names that begin so are AWS's own. */
const RESERVED = 'alias/aws/';

/** Whether a text can be the name of an alias: `alias/` and at least one character. */
export function isAliasName(text: string): boolean {
  return text.length <= 256 && /^alias\/[a-zA-Z0-9/_-]+$/.test(text);
}

/**
 * Demands that a text, which has no other characters than the contract allows, is the name of an alias that an account
 * may give, move and delete.
 *
 * @throws KmsError NotAuthorizedException for a name that is reserved for AWS, ValidationException without the prefix,
 *   InvalidAliasNameException with a colon or without a name
 */
export function requireAliasName(text: string): string {
  if (text.startsWith(RESERVED)) throw new KmsError('NotAuthorizedException');
  if (!text.startsWith('alias/')) {
    throw new KmsError(
      'ValidationException',
      'Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html',
    );
  }
  if (!isAliasName(text)) {
    throw new KmsError('InvalidAliasNameException', `${text} contains invalid characters for an alias`);
  }
  return text;
}

/** Whether a text can be the name of an alias that an account gives. */
export function isWritableAliasName(text: string): boolean {
  return isAliasName(text) && !text.startsWith(RESERVED);
}
