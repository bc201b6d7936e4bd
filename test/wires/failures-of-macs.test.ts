import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MacAlgorithm } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { failureOf, WIRES } from '../support/clients.ts';
import { type RunningService, startService } from '../support/running-service.ts';
import {
  accessDenied,
  type FailingCall,
  failure,
  FOREIGN_KEY_ARN,
  invalid,
  invalidGrantToken,
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

const message = Buffer.from('message');
const macAlgorithm = MacAlgorithm.HMAC_SHA_256;
const wrongMac = Buffer.alloc(32);
const sound = { message, macAlgorithm };
const tokens = ['AQpAZm9v'];

const dryRunOf = (keyArn: string) =>
  failure(
    'FailedPrecondition',
    'DryRunOperationException',
    'DRY_RUN_OPERATION',
    'The request would have succeeded, but the DryRun option is set.',
    keyArn,
  );
const disabled = ({ disabled: keyArn }: Keys) =>
  failure('FailedPrecondition', 'DisabledException', 'DISABLED', `${keyArn} is disabled.`, keyArn);
const incompatible = (keyArn: string, algorithm: string, spec: string) =>
  failure(
    'InvalidArgument',
    'InvalidKeyUsageException',
    'INVALID_KEY_USAGE',
    `Algorithm ${algorithm} is incompatible with key spec ${spec}.`,
    keyArn,
  );
const wrongMacOf = (keyArn: string) =>
  failure('InvalidArgument', 'KMSInvalidMacException', 'KMS_INVALID_MAC', '', keyArn);

const CALLS: readonly FailingCall[] = [
  {
    what: 'ValidationException: GenerateMac of no message',
    call: ({ mac }, { enabled }) => mac.generateMac({ keyId: enabled, macAlgorithm }),
    failure: () => invalid(['message', `Value null at 'message' ${MUST} not be null`]),
  },
  {
    what: 'ValidationException: VerifyMac of no MAC',
    call: ({ mac }, { enabled }) => mac.verifyMac({ ...sound, keyId: enabled }),
    failure: () => invalid(['mac', `Value null at 'mac' ${MUST} not be null`]),
  },
  {
    what: 'NotFoundException: GenerateMac by an unknown key ID',
    call: ({ mac }) => mac.generateMac({ ...sound, keyId: NO_SUCH_KEY }),
    failure: keyNotFound,
  },
  {
    what: 'NotFoundException: VerifyMac by an unknown key ID',
    call: ({ mac }) => mac.verifyMac({ ...sound, mac: wrongMac, keyId: NO_SUCH_KEY }),
    failure: keyNotFound,
  },
  {
    what: "AccessDeniedException: GenerateMac by another account's key",
    call: ({ mac }) => mac.generateMac({ ...sound, keyId: FOREIGN_KEY_ARN }),
    failure: () => accessDenied('GenerateMac'),
  },
  {
    what: "AccessDeniedException: VerifyMac by another account's key",
    call: ({ mac }) => mac.verifyMac({ ...sound, mac: wrongMac, keyId: FOREIGN_KEY_ARN }),
    failure: () => accessDenied('VerifyMac'),
  },
  {
    what: 'InvalidGrantTokenException: GenerateMac with any grant token',
    call: ({ mac }, { enabled }) => mac.generateMac({ ...sound, keyId: enabled, grantTokens: tokens }),
    failure: ({ enabled }) => invalidGrantToken(enabled),
  },
  {
    what: 'InvalidGrantTokenException: VerifyMac with any grant token',
    call: ({ mac }, { enabled }) => mac.verifyMac({ ...sound, mac: wrongMac, keyId: enabled, grantTokens: tokens }),
    failure: ({ enabled }) => invalidGrantToken(enabled),
  },
  {
    what: 'DisabledException: GenerateMac by a disabled key',
    call: ({ mac }, { disabled: keyId }) => mac.generateMac({ ...sound, keyId }),
    failure: disabled,
  },
  {
    what: 'DisabledException: VerifyMac by a disabled key',
    call: ({ mac }, { disabled: keyId }) => mac.verifyMac({ ...sound, mac: wrongMac, keyId }),
    failure: disabled,
  },
  {
    what: 'KMSInvalidStateException: GenerateMac by a key pending deletion',
    call: ({ mac }, { pendingDeletion: keyId }) => mac.generateMac({ ...sound, keyId }),
    failure: pendingDeletion,
  },
  {
    what: 'KMSInvalidStateException: VerifyMac by a key pending deletion',
    call: ({ mac }, { pendingDeletion: keyId }) => mac.verifyMac({ ...sound, mac: wrongMac, keyId }),
    failure: pendingDeletion,
  },
  {
    what: 'InvalidKeyUsageException: GenerateMac with the algorithm of a larger key',
    call: ({ mac }, { other: keyId }) => mac.generateMac({ ...sound, keyId }),
    failure: ({ other }) => incompatible(other, 'HMAC_SHA_256', 'HMAC_224'),
  },
  {
    what: 'InvalidKeyUsageException: VerifyMac with the algorithm of a larger key',
    call: ({ mac }, { enabled: keyId }) =>
      mac.verifyMac({ message, macAlgorithm: MacAlgorithm.HMAC_SHA_512, mac: wrongMac, keyId }),
    failure: ({ enabled }) => incompatible(enabled, 'HMAC_SHA_512', 'HMAC_256'),
  },
  {
    what: 'KMSInvalidMacException: VerifyMac of a wrong MAC',
    call: ({ mac }, { enabled: keyId }) => mac.verifyMac({ ...sound, mac: wrongMac, keyId }),
    failure: ({ enabled }) => wrongMacOf(enabled),
  },
  {
    what: 'DryRunOperationException: GenerateMac that would succeed',
    call: ({ mac }, { enabled: keyId }) => mac.generateMac({ ...sound, keyId, dryRun: true }),
    failure: ({ enabled }) => dryRunOf(enabled),
  },
  {
    what: 'DryRunOperationException: VerifyMac that would succeed',
    call: async ({ mac }, { enabled: keyId }) => {
      const generated = await mac.generateMac({ ...sound, keyId });
      await mac.verifyMac({ ...sound, mac: generated.mac, keyId, dryRun: true });
    },
    failure: ({ enabled }) => dryRunOf(enabled),
  },
];

/** Calls with two things wrong: the one that is looked for first is told. */
const ORDER: readonly FailingCall[] = [
  {
    what: 'ValidationException before NotFoundException',
    call: ({ mac }) => mac.generateMac({ keyId: NO_SUCH_KEY, macAlgorithm }),
    failure: () => invalid(['message', `Value null at 'message' ${MUST} not be null`]),
  },
  {
    what: 'NotFoundException before InvalidGrantTokenException',
    call: ({ mac }) => mac.generateMac({ ...sound, keyId: NO_SUCH_KEY, grantTokens: tokens }),
    failure: keyNotFound,
  },
  {
    what: 'InvalidGrantTokenException before DisabledException',
    call: ({ mac }, { disabled: keyId }) => mac.generateMac({ ...sound, keyId, grantTokens: tokens }),
    failure: ({ disabled: keyArn }) => invalidGrantToken(keyArn),
  },
  {
    what: 'DisabledException before InvalidKeyUsageException',
    call: ({ mac }, { disabled: keyId }) =>
      mac.generateMac({ message, macAlgorithm: MacAlgorithm.HMAC_SHA_512, keyId }),
    failure: disabled,
  },
  {
    what: 'KMSInvalidStateException before InvalidKeyUsageException',
    call: ({ mac }, { pendingDeletion: keyId }) =>
      mac.verifyMac({ message, macAlgorithm: MacAlgorithm.HMAC_SHA_512, mac: wrongMac, keyId }),
    failure: pendingDeletion,
  },
  {
    what: 'InvalidKeyUsageException before KMSInvalidMacException',
    call: ({ mac }, { other: keyId }) => mac.verifyMac({ ...sound, mac: wrongMac, keyId }),
    failure: ({ other }) => incompatible(other, 'HMAC_SHA_256', 'HMAC_224'),
  },
  {
    what: 'KMSInvalidMacException before DryRunOperationException',
    call: ({ mac }, { enabled: keyId }) => mac.verifyMac({ ...sound, mac: wrongMac, keyId, dryRun: true }),
    failure: ({ enabled }) => wrongMacOf(enabled),
  },
  {
    what: 'DisabledException before DryRunOperationException',
    call: ({ mac }, { disabled: keyId }) => mac.generateMac({ ...sound, keyId, dryRun: true }),
    failure: disabled,
  },
  {
    what: 'InvalidKeyUsageException before DryRunOperationException',
    call: ({ mac }, { other: keyId }) => mac.generateMac({ ...sound, keyId, dryRun: true }),
    failure: ({ other }) => incompatible(other, 'HMAC_SHA_256', 'HMAC_224'),
  },
];

describe.each(WIRES)('over %s', (wire) => {
  for (const { what, call, failure: expected } of CALLS) {
    it(`fails with ${what}`, async () => {
      expect(await failureOf(call(running.clients[wire], keys))).toEqual(expected(keys));
    });
  }

  for (const { what, call, failure: expected } of ORDER) {
    it(`looks for ${what}`, async () => {
      expect(await failureOf(call(running.clients[wire], keys))).toEqual(expected(keys));
    });
  }
});
