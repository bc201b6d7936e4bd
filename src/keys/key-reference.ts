import { type Deployment, keyArn } from '../arn.ts';
import { KmsError, shortened } from '../errors.ts';

/** What a `key_id` of a request names: a key, an alias, or something in another account. */
export type KeyReference =
  | { readonly kind: 'key'; readonly keyId: string }
  | { readonly kind: 'alias'; readonly aliasName: string }
  | { readonly kind: 'foreign' };

const KEY_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const ARN = /^arn:([^:]*):kms:([^:]*):([^:]*):(?:key\/([^/:]+)|(alias\/[^:]+))$/;

/** Whether a text is a key ID: a UUID in lower case. */
export function isKeyId(text: string): boolean {
  return KEY_ID.test(text);
}

/**
 * Reads a key ID, key ARN, alias name or alias ARN.
 *
 * @throws KmsError NotFoundException for anything else, and for an ARN of another Region, with AWS's texts.
 * @see https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id
 */
export function parseKeyReference(text: string, deployment: Deployment): KeyReference {
  if (text.startsWith('alias/')) return { kind: 'alias', aliasName: text };
  if (isKeyId(text)) return { kind: 'key', keyId: text };
  if (!text.startsWith('arn:')) throw new KmsError('NotFoundException', `Invalid keyId '${shortened(text)}'`);
  const [, partition, region, accountId, keyId, aliasName] = ARN.exec(text) ?? [];
  if (partition !== deployment.partition) throw new KmsError('NotFoundException', `Invalid arn ${shortened(text)}`);
  if (region !== deployment.region) throw new KmsError('NotFoundException', `Invalid arn ${shortened(region ?? '')}`);
  if (accountId !== deployment.accountId) return { kind: 'foreign' };
  if (aliasName !== undefined) return { kind: 'alias', aliasName };
  if (keyId !== undefined && isKeyId(keyId)) return { kind: 'key', keyId };
  throw new KmsError('NotFoundException', `Invalid keyId '${shortened(keyId ?? '')}'`);
}

/** The error for a key of this account that is not there. */
export function keyNotFound(deployment: Deployment, keyId: string): KmsError {
  return new KmsError('NotFoundException', `Key '${keyArn(deployment, keyId)}' does not exist`);
}

/** The error for an alias of this account that is not there. */
export function aliasNotFound(aliasArn: string): KmsError {
  return new KmsError('NotFoundException', `Alias ${shortened(aliasArn)} is not found.`);
}
