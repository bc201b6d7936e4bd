import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KeySpec, KeyUsage, Origin } from '../../src/gen/hmacd/v1/key_pb.ts';
import { type Clients, failureOf, WIRES } from '../support/clients.ts';
import { type RunningService, startService } from '../support/running-service.ts';
import {
  accessDenied,
  aliasesNotSupported,
  type FailingCall,
  failure,
  FOREIGN_KEY_ARN,
  invalid,
  invalidGrantToken,
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

const keyUsage = KeyUsage.GENERATE_VERIFY_MAC;
const keySpec = KeySpec.HMAC_256;

const validation = (text: string) => failure('InvalidArgument', 'ValidationException', 'VALIDATION', text);
const unsupported = (text: string) =>
  failure('Unimplemented', 'UnsupportedOperationException', 'UNSUPPORTED_OPERATION', `hmacd keeps HMAC keys: ${text}`);
const notPendingDeletion = (keyArn: string) =>
  failure(
    'FailedPrecondition',
    'KMSInvalidStateException',
    'KMS_INVALID_STATE',
    `${keyArn} is not pending deletion.`,
    keyArn,
  );

/** The rpcs that take a key ID or key ARN, and no alias. */
const BY_ID: Readonly<Record<string, (clients: Clients, keyId: string) => Promise<unknown>>> = {
  EnableKey: ({ keys: service }, keyId) => service.enableKey({ keyId }),
  DisableKey: ({ keys: service }, keyId) => service.disableKey({ keyId }),
  UpdateKeyDescription: ({ keys: service }, keyId) => service.updateKeyDescription({ keyId, description: 'x' }),
  ScheduleKeyDeletion: ({ keys: service }, keyId) => service.scheduleKeyDeletion({ keyId }),
  CancelKeyDeletion: ({ keys: service }, keyId) => service.cancelKeyDeletion({ keyId }),
};

const OF_ANY_RPC_BY_ID: readonly FailingCall[] = Object.entries(BY_ID).flatMap(([operation, call]) => [
  {
    what: `NotFoundException: ${operation} of an unknown key`,
    call: (clients: Clients) => call(clients, NO_SUCH_KEY),
    failure: keyNotFound,
  },
  {
    what: `AccessDeniedException: ${operation} of another account's key`,
    call: (clients: Clients) => call(clients, FOREIGN_KEY_ARN),
    failure: () => accessDenied(operation),
  },
  {
    what: `InvalidArnException: ${operation} by an alias`,
    call: (clients: Clients) => call(clients, 'alias/taken'),
    failure: aliasesNotSupported,
  },
  {
    what: `InvalidArnException: ${operation} by an alias ARN`,
    call: (clients: Clients) => call(clients, 'arn:aws:kms:us-east-1:000000000000:alias/taken'),
    failure: aliasesNotSupported,
  },
  {
    what: `ValidationException: ${operation} of an empty key ID`,
    call: (clients: Clients) => call(clients, ''),
    failure: () => invalid(['key_id', `Value '' at 'keyId' ${MUST} have length greater than or equal to 1`]),
  },
]);

const CALLS: readonly FailingCall[] = [
  {
    what: 'ValidationException: CreateKey without a usage',
    call: ({ keys: service }) => service.createKey({ keySpec }),
    failure: () =>
      validation('You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.'),
  },
  {
    what: 'ValidationException: CreateKey with a usage that does not fit',
    call: ({ keys: service }) => service.createKey({ keySpec, keyUsage: KeyUsage.ENCRYPT_DECRYPT }),
    failure: () => validation('KeyUsage ENCRYPT_DECRYPT is not compatible with KeySpec HMAC_256'),
  },
  {
    what: 'ValidationException: CreateKey with a description of 8,193 characters',
    call: ({ keys: service }) => service.createKey({ keySpec, keyUsage, description: 'd'.repeat(8_193) }),
    failure: () =>
      invalid([
        'description',
        `Value '${'d'.repeat(256)}…' at 'description' ${MUST} have length less than or equal to 8192`,
      ]),
  },
  {
    what: 'UnsupportedOperationException: CreateKey without a spec',
    call: ({ keys: service }) => service.createKey({}),
    failure: () => unsupported('KeySpec must be HMAC_224, HMAC_256, HMAC_384 or HMAC_512.'),
  },
  {
    what: 'UnsupportedOperationException: CreateKey of a key that is not for HMACs',
    call: ({ keys: service }) => service.createKey({ keySpec: KeySpec.RSA_2048, keyUsage: KeyUsage.SIGN_VERIFY }),
    failure: () => unsupported('KeySpec must be HMAC_224, HMAC_256, HMAC_384 or HMAC_512.'),
  },
  {
    what: 'UnsupportedOperationException: CreateKey in a custom key store',
    call: ({ keys: service }) => service.createKey({ keySpec, keyUsage, origin: Origin.AWS_CLOUDHSM }),
    failure: () => unsupported('Origin must be AWS_KMS or EXTERNAL.'),
  },
  {
    what: 'UnsupportedOperationException: CreateKey of a multi-Region key',
    call: ({ keys: service }) => service.createKey({ keySpec, keyUsage, multiRegion: true }),
    failure: () => unsupported('MultiRegion must be false.'),
  },
  {
    what: 'InvalidGrantTokenException: DescribeKey with any grant token',
    call: ({ keys: service }, { enabled: keyId }) => service.describeKey({ keyId, grantTokens: ['AQpA'] }),
    failure: ({ enabled }) => invalidGrantToken(enabled),
  },
  {
    what: 'NotFoundException: DescribeKey of an unknown key',
    call: ({ keys: service }) => service.describeKey({ keyId: NO_SUCH_KEY }),
    failure: keyNotFound,
  },
  {
    what: "AccessDeniedException: DescribeKey of another account's key",
    call: ({ keys: service }) => service.describeKey({ keyId: FOREIGN_KEY_ARN }),
    failure: () => accessDenied('DescribeKey'),
  },
  {
    what: 'ValidationException: ListKeys with a limit of 0',
    call: ({ keys: service }) => service.listKeys({ limit: 0 }),
    failure: () => invalid(['limit', `Value '0' at 'limit' ${MUST} have value greater than or equal to 1`]),
  },
  {
    what: 'ValidationException: ListKeys with a limit of 1,001',
    call: ({ keys: service }) => service.listKeys({ limit: 1_001 }),
    failure: () => invalid(['limit', `Value '1001' at 'limit' ${MUST} have value less than or equal to 1000`]),
  },
  {
    what: 'ValidationException: ListKeys with an empty marker',
    call: ({ keys: service }) => service.listKeys({ marker: '' }),
    failure: () => invalid(['marker', `Value '' at 'marker' ${MUST} have length greater than or equal to 1`]),
  },
  {
    what: 'InvalidMarkerException: ListKeys with a marker of nobody',
    call: ({ keys: service }) => service.listKeys({ marker: 'nonsense' }),
    failure: invalidMarker,
  },
  ...['EnableKey', 'DisableKey', 'UpdateKeyDescription', 'ScheduleKeyDeletion'].map((operation) => ({
    what: `KMSInvalidStateException: ${operation} of a key pending deletion`,
    call: (clients: Clients, { pendingDeletion: keyId }: Keys) => BY_ID[operation]!(clients, keyId),
    failure: pendingDeletion,
  })),
  ...[6, 31].map((days) => ({
    what: `ValidationException: ScheduleKeyDeletion in ${days} days`,
    call: ({ keys: service }: Clients, { enabled: keyId }: Keys) =>
      service.scheduleKeyDeletion({ keyId, pendingWindowInDays: days }),
    failure: () => validation('PendingWindowInDays must be between 7 and 30'),
  })),
  {
    what: 'ValidationException: ScheduleKeyDeletion in 366 days',
    call: ({ keys: service }, { enabled: keyId }) => service.scheduleKeyDeletion({ keyId, pendingWindowInDays: 366 }),
    failure: () =>
      invalid([
        'pending_window_in_days',
        `Value '366' at 'pendingWindowInDays' ${MUST} have value less than or equal to 365`,
      ]),
  },
  {
    what: 'KMSInvalidStateException: CancelKeyDeletion of a key that is not pending deletion',
    call: ({ keys: service }, { enabled: keyId }) => service.cancelKeyDeletion({ keyId }),
    failure: ({ enabled }) => notPendingDeletion(enabled),
  },
];

describe.each(WIRES)('over %s', (wire) => {
  for (const { what, call, failure: expected } of [...CALLS, ...OF_ANY_RPC_BY_ID]) {
    it(`fails with ${what}`, async () => {
      expect(await failureOf(call(running.clients[wire], keys))).toEqual(expected(keys));
    });
  }
});
