import { KmsError } from '../errors.ts';

/** Whether a text can be the name of an alias: `alias/` and at least one character. */
export function isAliasName(text: string): boolean {
  return text.length <= 256 && /^alias\/[a-zA-Z0-9/_-]+$/.test(text);
}

/**
 * Demands that a text, which has no other characters than the contract allows, is the name of an alias.
 *
 * @throws KmsError ValidationException without the prefix; InvalidAliasNameException with a colon, or without a name
 */
export function requireAliasName(text: string): string {
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

/**
 * Demands that a text is a name that an account may give and move.
 *
 * @throws KmsError NotAuthorizedException for a name that is reserved for AWS; else like `requireAliasName`
 */
export function requireWritableAliasName(text: string): string {
  if (text.startsWith('alias/aws/')) throw new KmsError('NotAuthorizedException');
  return requireAliasName(text);
}

/** Whether a text can be the name of an alias that an account gives. */
export function isWritableAliasName(text: string): boolean {
  return isAliasName(text) && !text.startsWith('alias/aws/');
}
