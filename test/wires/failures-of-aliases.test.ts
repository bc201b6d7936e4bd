import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { failureOf, WIRES } from '../support/clients.ts';
import { type RunningService, startService } from '../support/running-service.ts';
import {
  accessDenied,
  aliasesNotSupported,
  type FailingCall,
  failure,
  FOREIGN_KEY_ARN,
  invalid,
  invalidMarker,
  type Keys,
  keyNotFound,
  makeKeys,
  MUST,
  NO_SUCH_KEY,
  pendingDeletion,
} from './failing-calls.ts';

let running: RunningService;
let keys: Keys;

beforeAll(async () => {
  running = await startService();
  keys = await makeKeys(running.clients.gRPC);
});

afterAll(() => running[Symbol.asyncDispose]());

const reserved = () => failure('PermissionDenied', 'NotAuthorizedException', 'NOT_AUTHORIZED');
const aliasNotFound = () =>
  failure(
    'NotFound',
    'NotFoundException',
    'NOT_FOUND',
    'Alias arn:aws:kms:us-east-1:000000000000:alias/absent is not found.',
  );
const quotaReached = ({ full }: Keys) =>
  failure(
    'ResourceExhausted',
    'LimitExceededException',
    'LIMIT_EXCEEDED',
    'Aliases per key quota for this account in this region is 50, current usage is 50.',
    full,
  );
const validation = (text: string, keyArn?: string) =>
  failure('InvalidArgument', 'ValidationException', 'VALIDATION', text, keyArn);
const PREFIX_MISSING =
  'Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html';
const PATTERN = 'Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$';

const CREATE: readonly FailingCall[] = [
  {
    what: 'NotAuthorizedException: CreateAlias of a reserved name',
    call: ({ aliases }, { enabled }) => aliases.createAlias({ aliasName: 'alias/aws/kms', targetKeyId: enabled }),
    failure: reserved,
  },
  {
    what: 'InvalidAliasNameException: CreateAlias of a name with a colon',
    call: ({ aliases }, { enabled }) => aliases.createAlias({ aliasName: 'alias/my:alias', targetKeyId: enabled }),
    failure: () =>
      failure(
        'InvalidArgument',
        'InvalidAliasNameException',
        'INVALID_ALIAS_NAME',
        'alias/my:alias contains invalid characters for an alias',
      ),
  },
  {
    what: 'ValidationException: CreateAlias of a name without the prefix',
    call: ({ aliases }, { enabled }) => aliases.createAlias({ aliasName: 'orders', targetKeyId: enabled }),
    failure: () => validation(PREFIX_MISSING),
  },
  {
    what: 'ValidationException: CreateAlias of a name with a space, for no key',
    call: ({ aliases }) => aliases.createAlias({ aliasName: 'alias/a b' }),
    failure: () =>
      invalid(
        ['alias_name', `Value 'alias/a b' at 'aliasName' failed to satisfy constraint: ${PATTERN}`],
        ['target_key_id', `Value null at 'targetKeyId' ${MUST} not be null`],
      ),
  },
  {
    what: 'NotFoundException: CreateAlias for an unknown key',
    call: ({ aliases }) => aliases.createAlias({ aliasName: 'alias/new', targetKeyId: NO_SUCH_KEY }),
    failure: keyNotFound,
  },
  {
    what: "AccessDeniedException: CreateAlias for another account's key",
    call: ({ aliases }) => aliases.createAlias({ aliasName: 'alias/new', targetKeyId: FOREIGN_KEY_ARN }),
    failure: () => accessDenied('CreateAlias'),
  },
  {
    what: 'InvalidArnException: CreateAlias for an alias',
    call: ({ aliases }) => aliases.createAlias({ aliasName: 'alias/new', targetKeyId: 'alias/taken' }),
    failure: aliasesNotSupported,
  },
  {
    what: 'KMSInvalidStateException: CreateAlias for a key pending deletion',
    call: ({ aliases }, { pendingDeletion: targetKeyId }) =>
      aliases.createAlias({ aliasName: 'alias/new', targetKeyId }),
    failure: pendingDeletion,
  },
  {
    what: 'AlreadyExistsException: CreateAlias of a name that is taken',
    call: ({ aliases }, { other }) => aliases.createAlias({ aliasName: 'alias/taken', targetKeyId: other }),
    failure: ({ other }) =>
      failure(
        'AlreadyExists',
        'AlreadyExistsException',
        'ALREADY_EXISTS',
        'An alias with the name arn:aws:kms:us-east-1:000000000000:alias/taken already exists',
        other,
      ),
  },
  {
    what: 'LimitExceededException: CreateAlias for a key that has 50',
    call: ({ aliases }, { full }) => aliases.createAlias({ aliasName: 'alias/new', targetKeyId: full }),
    failure: quotaReached,
  },
];

const UPDATE: readonly FailingCall[] = [
  {
    what: 'NotAuthorizedException: UpdateAlias of a reserved name',
    call: ({ aliases }, { enabled }) => aliases.updateAlias({ aliasName: 'alias/aws/kms', targetKeyId: enabled }),
    failure: reserved,
  },
  {
    what: 'NotFoundException: UpdateAlias of an unknown alias',
    call: ({ aliases }, { enabled }) => aliases.updateAlias({ aliasName: 'alias/absent', targetKeyId: enabled }),
    failure: aliasNotFound,
  },
  {
    what: 'NotFoundException: UpdateAlias to an unknown key',
    call: ({ aliases }) => aliases.updateAlias({ aliasName: 'alias/taken', targetKeyId: NO_SUCH_KEY }),
    failure: keyNotFound,
  },
  {
    what: 'InvalidArnException: UpdateAlias to an alias',
    call: ({ aliases }) => aliases.updateAlias({ aliasName: 'alias/taken', targetKeyId: 'alias/taken' }),
    failure: aliasesNotSupported,
  },
  {
    what: 'ValidationException: UpdateAlias to a key of another spec',
    call: ({ aliases }, { other }) => aliases.updateAlias({ aliasName: 'alias/taken', targetKeyId: other }),
    failure: ({ other }) =>
      validation(
        'Alias alias/taken cannot be changed from a KMS key with key spec HMAC_256 to a KMS key with key spec HMAC_224. The key spec of the current KMS key and the new KMS key must be the same.',
        other,
      ),
  },
  {
    what: 'KMSInvalidStateException: UpdateAlias to a key pending deletion',
    call: ({ aliases }, { pendingDeletion: targetKeyId }) =>
      aliases.updateAlias({ aliasName: 'alias/taken', targetKeyId }),
    failure: pendingDeletion,
  },
  {
    what: 'LimitExceededException: UpdateAlias to a key that has 50',
    call: ({ aliases }, { full }) => aliases.updateAlias({ aliasName: 'alias/taken', targetKeyId: full }),
    failure: quotaReached,
  },
];

const DELETE_AND_LIST: readonly FailingCall[] = [
  {
    what: 'NotAuthorizedException: DeleteAlias of a reserved name',
    call: ({ aliases }) => aliases.deleteAlias({ aliasName: 'alias/aws/kms' }),
    failure: reserved,
  },
  {
    what: 'NotFoundException: DeleteAlias of an unknown alias',
    call: ({ aliases }) => aliases.deleteAlias({ aliasName: 'alias/absent' }),
    failure: aliasNotFound,
  },
  {
    what: 'ValidationException: DeleteAlias of a name of 257 characters',
    call: ({ aliases }) => aliases.deleteAlias({ aliasName: `alias/${'a'.repeat(251)}` }),
    failure: () =>
      invalid([
        'alias_name',
        `Value 'alias/${'a'.repeat(250)}…' at 'aliasName' ${MUST} have length less than or equal to 256`,
      ]),
  },
  {
    what: 'NotFoundException: ListAliases of an unknown key',
    call: ({ aliases }) => aliases.listAliases({ keyId: NO_SUCH_KEY }),
    failure: keyNotFound,
  },
  {
    what: 'InvalidArnException: ListAliases of an alias',
    call: ({ aliases }) => aliases.listAliases({ keyId: 'alias/taken' }),
    failure: aliasesNotSupported,
  },
  {
    what: 'InvalidMarkerException: ListAliases with a marker of nobody',
    call: ({ aliases }) => aliases.listAliases({ marker: 'nonsense' }),
    failure: invalidMarker,
  },
];

describe.each(WIRES)('over %s', (wire) => {
  for (const { what, call, failure: expected } of [...CREATE, ...UPDATE, ...DELETE_AND_LIST]) {
    it(`fails with ${what}`, async () => {
      expect(await failureOf(call(running.clients[wire], keys))).toEqual(expected(keys));
    });
  }
});
