import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type GenerateMacRequestSchema, MacAlgorithm } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { makeKey } from '../macs/specs.ts';
import { type Failure, failureOf, WIRES } from '../support/clients.ts';
import { type RunningService, startService } from '../support/running-service.ts';
import { failure, invalid, invalidGrantToken, MUST } from './failing-calls.ts';

let running: RunningService;
let keyArn: string;

beforeAll(async () => {
  running = await startService();
  keyArn = await makeKey(running.clients.gRPC);
});

afterAll(() => running[Symbol.asyncDispose]());

type Request = Omit<MessageInitShape<typeof GenerateMacRequestSchema>, '$typeName'>;

const NONE = 'not be null';
const ALGORITHMS = 'satisfy enum value set: [HMAC_SHA_384, HMAC_SHA_256, HMAC_SHA_224, HMAC_SHA_512]';
const TOKEN_LENGTHS =
  'satisfy constraint: [Member must have length less than or equal to 8192, Member must have length greater than or equal to 1]';

/** What is put in the place of a sound request's fields, and what it fails with. */
const OUT_OF_LIMITS: readonly { what: string; fields: Request; failure: Failure }[] = [
  {
    what: 'an empty message',
    fields: { message: new Uint8Array() },
    failure: invalid(['message', `Value at 'message' ${MUST} have length greater than or equal to 1`]),
  },
  {
    what: 'a message of 4,097 bytes, without showing it',
    fields: { message: new Uint8Array(4_097) },
    failure: invalid(['message', `Value at 'message' ${MUST} have length less than or equal to 4096`]),
  },
  {
    what: 'an empty key ID',
    fields: { keyId: '' },
    failure: invalid(['key_id', `Value '' at 'keyId' ${MUST} have length greater than or equal to 1`]),
  },
  {
    what: 'a key ID of 2,049 characters, of which it shows the first 256',
    fields: { keyId: 'k'.repeat(2_049) },
    failure: invalid([
      'key_id',
      `Value '${'k'.repeat(256)}…' at 'keyId' ${MUST} have length less than or equal to 2048`,
    ]),
  },
  {
    what: 'an algorithm of number 99',
    fields: { macAlgorithm: 99 as MacAlgorithm },
    failure: invalid(['mac_algorithm', `Value '99' at 'macAlgorithm' ${MUST} ${ALGORITHMS}`]),
  },
  {
    what: 'an algorithm of number -1',
    fields: { macAlgorithm: -1 as MacAlgorithm },
    failure: invalid(['mac_algorithm', `Value '-1' at 'macAlgorithm' ${MUST} ${ALGORITHMS}`]),
  },
  {
    what: 'no algorithm',
    fields: { macAlgorithm: MacAlgorithm.UNSPECIFIED },
    failure: invalid(['mac_algorithm', `Value null at 'macAlgorithm' ${MUST} ${NONE}`]),
  },
  {
    what: 'eleven grant tokens, without showing them',
    fields: { grantTokens: Array.from({ length: 11 }, () => 'token') },
    failure: invalid(['grant_tokens', `Value at 'grantTokens' ${MUST} have length less than or equal to 10`]),
  },
  {
    what: 'an empty grant token',
    fields: { grantTokens: ['token', ''] },
    failure: invalid(['grant_tokens', `Value at 'grantTokens' ${MUST} ${TOKEN_LENGTHS}`]),
  },
  {
    what: 'a grant token of 8,193 characters, without showing it',
    fields: { grantTokens: ['t'.repeat(8_193)] },
    failure: invalid(['grant_tokens', `Value at 'grantTokens' ${MUST} ${TOKEN_LENGTHS}`]),
  },
];

function sound(): Request {
  return { keyId: keyArn, message: Buffer.from('m'), macAlgorithm: MacAlgorithm.HMAC_SHA_256 };
}

describe.each(WIRES)('over %s', (wire) => {
  for (const { what, fields, failure: expected } of OUT_OF_LIMITS) {
    it(`GenerateMac refuses ${what}, and serves the next call`, async () => {
      const { mac: client } = running.clients[wire];
      expect(await failureOf(client.generateMac({ ...sound(), ...fields }))).toEqual(expected);
      expect((await client.generateMac(sound())).mac).toHaveLength(32);
    });
  }

  it('GenerateMac tells of everything that is out of its limits at once, in the order of the fields', async () => {
    const request = { grantTokens: Array.from({ length: 11 }, () => 'token'), message: new Uint8Array() };
    expect(await failureOf(running.clients[wire].mac.generateMac(request))).toEqual(
      invalid(
        ['message', `Value at 'message' ${MUST} have length greater than or equal to 1`],
        ['key_id', `Value null at 'keyId' ${MUST} ${NONE}`],
        ['mac_algorithm', `Value null at 'macAlgorithm' ${MUST} ${NONE}`],
        ['grant_tokens', `Value at 'grantTokens' ${MUST} have length less than or equal to 10`],
      ),
    );
  });

  it('VerifyMac refuses an empty MAC and one of 6,145 bytes, without showing it', async () => {
    const { mac: client } = running.clients[wire];
    expect(await failureOf(client.verifyMac({ ...sound(), mac: new Uint8Array() }))).toEqual(
      invalid(['mac', `Value at 'mac' ${MUST} have length greater than or equal to 1`]),
    );
    expect(await failureOf(client.verifyMac({ ...sound(), mac: new Uint8Array(6_145) }))).toEqual(
      invalid(['mac', `Value at 'mac' ${MUST} have length less than or equal to 6144`]),
    );
  });

  it('takes everything that is just within its limits', async () => {
    const { mac: client } = running.clients[wire];
    const longest = { ...sound(), message: new Uint8Array(4_096) };
    const { mac } = await client.generateMac(longest);
    expect((await client.verifyMac({ ...longest, mac })).macValid).toBe(true);
    expect(await failureOf(client.verifyMac({ ...longest, mac: new Uint8Array(6_144) }))).toEqual(
      failure('InvalidArgument', 'KMSInvalidMacException', 'KMS_INVALID_MAC', '', keyArn),
    );
    const tokens = Array.from({ length: 10 }, () => 't'.repeat(8_192));
    expect(await failureOf(client.generateMac({ ...longest, grantTokens: tokens }))).toEqual(invalidGrantToken(keyArn));
    const longName = 'k'.repeat(2_048);
    expect(await failureOf(client.generateMac({ ...longest, keyId: longName }))).toEqual(
      failure('NotFound', 'NotFoundException', 'NOT_FOUND', `Invalid keyId '${longName.slice(0, 256)}…'`),
    );
  });

  it('tells of a value whose 256th character is half of a pair as of any other', async () => {
    // Cut between its two halves, a character is no character, and text that has one cannot be sent.
    const keyId = `${'k'.repeat(255)}${'😀'.repeat(1_000)}`;
    const failed = await failureOf(running.clients[wire].mac.generateMac({ ...sound(), keyId }, { timeoutMs: 3_000 }));
    expect(failed).toMatchObject({ code: 'InvalidArgument', exception: 'ValidationException' });
    expect(failed.message).toContain('have length less than or equal to 2048');
    expect(failed.message.isWellFormed()).toBe(true);
  });
});
