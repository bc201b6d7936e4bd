import { KeySpec } from '../../src/gen/hmacd/v1/key_pb.ts';
import { makeKey } from '../macs/specs.ts';
import type { Clients, Failure } from '../support/clients.ts';

/** Keys in the states that calls can fail for; each by its ARN. */
export interface Keys {
  /** HMAC_256, enabled, with the alias `alias/taken`. */
  readonly enabled: string;
  /** HMAC_224, enabled. */
  readonly other: string;
  readonly disabled: string;
  readonly pendingDeletion: string;
  /** With 50 aliases. */
  readonly full: string;
}

export async function makeKeys(clients: Clients): Promise<Keys> {
  const { keys, aliases } = clients;
  const made = {
    enabled: await makeKey(clients),
    other: await makeKey(clients, KeySpec.HMAC_224),
    disabled: await makeKey(clients),
    pendingDeletion: await makeKey(clients),
    full: await makeKey(clients),
  };
  await aliases.createAlias({ aliasName: 'alias/taken', targetKeyId: made.enabled });
  await keys.disableKey({ keyId: made.disabled });
  await keys.scheduleKeyDeletion({ keyId: made.pendingDeletion });
  for (let n = 1; n <= 50; n++) await aliases.createAlias({ aliasName: `alias/full/${n}`, targetKeyId: made.full });
  return made;
}

/** A call that must fail, and how. */
export interface FailingCall {
  /** Completes `… fails`: the exception, and what provokes it. */
  readonly what: string;
  readonly call: (clients: Clients, keys: Keys) => Promise<unknown>;
  readonly failure: (keys: Keys) => Failure;
}

/** A failure of no field. The reason is written out, not derived: a client may compare with it. */
export function failure(code: string, exception: string, reason: string, message = '', keyArn?: string): Failure {
  return { code, exception, reason, message, keyArn, violations: [] };
}

/** The ValidationException about some fields: each the field's name and AWS's sentence. */
export function invalid(...fields: readonly (readonly [field: string, sentence: string])[]): Failure {
  const count = fields.length === 1 ? '1 validation error' : `${fields.length} validation errors`;
  return {
    code: 'InvalidArgument',
    exception: 'ValidationException',
    reason: 'VALIDATION',
    message: `${count} detected: ${fields.map(([, sentence]) => sentence).join('; ')}`,
    keyArn: undefined,
    violations: fields.map(([field, sentence]) => `${field}: ${sentence}`),
  };
}

/** The end of AWS's sentence. */
export const MUST = 'failed to satisfy constraint: Member must';

export const NO_SUCH_KEY = '11111111-2222-4333-8444-555555555555';
export const NO_SUCH_KEY_ARN = `arn:aws:kms:us-east-1:000000000000:key/${NO_SUCH_KEY}`;
export const FOREIGN_KEY_ARN = `arn:aws:kms:us-east-1:999999999999:key/${NO_SUCH_KEY}`;

export function keyNotFound(): Failure {
  return failure('NotFound', 'NotFoundException', 'NOT_FOUND', `Key '${NO_SUCH_KEY_ARN}' does not exist`);
}

export function accessDenied(operation: string): Failure {
  return failure(
    'PermissionDenied',
    'AccessDeniedException',
    'ACCESS_DENIED',
    `User: arn:aws:iam::000000000000:root is not authorized to perform: kms:${operation} on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access`,
  );
}

export function aliasesNotSupported(): Failure {
  return failure(
    'InvalidArgument',
    'InvalidArnException',
    'INVALID_ARN',
    'Key Aliases are not supported for this operation.',
  );
}

export function pendingDeletion({ pendingDeletion: keyArn }: Keys): Failure {
  return failure(
    'FailedPrecondition',
    'KMSInvalidStateException',
    'KMS_INVALID_STATE',
    `${keyArn} is pending deletion.`,
    keyArn,
  );
}

export function invalidMarker(): Failure {
  return failure('InvalidArgument', 'InvalidMarkerException', 'INVALID_MARKER');
}

export function invalidGrantToken(keyArn: string): Failure {
  return failure('InvalidArgument', 'InvalidGrantTokenException', 'INVALID_GRANT_TOKEN', '', keyArn);
}
