import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MacAlgorithm } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { failureOf, WIRES } from '../support/clients.ts';
import { type RunningService, startService } from '../support/running-service.ts';
import { keyIdOf, makeKey } from './specs.ts';

const REGION = 'eu-central-1';
const ACCOUNT = '123456789012';
const PREFIX = `arn:aws:kms:${REGION}:${ACCOUNT}`;
const ALIAS = 'alias/orders/v1_a-B';
const UNKNOWN = '00000000-0000-4000-8000-00000000000a';
const CAPITAL = UNKNOWN.toUpperCase();

let running: RunningService;
let keyArn: string;

beforeAll(async () => {
  running = await startService({ REGION, ACCOUNT_ID: ACCOUNT });
  keyArn = await makeKey(running.clients.gRPC);
  await running.clients.gRPC.aliases.createAlias({ aliasName: ALIAS, targetKeyId: keyArn });
});

afterAll(() => running[Symbol.asyncDispose]());

const NAMES: readonly { what: string; name: () => string }[] = [
  { what: 'its key ID', name: () => keyIdOf(keyArn) },
  { what: 'its key ARN', name: () => keyArn },
  { what: 'an alias name', name: () => ALIAS },
  { what: 'an alias ARN', name: () => `${PREFIX}:${ALIAS}` },
];

const DENIED = (operation: string) =>
  `User: arn:aws:iam::${ACCOUNT}:root is not authorized to perform: kms:${operation} on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access`;

/** Names of no key: AWS's text for each. */
const NOT_FOUND: readonly { what: string; name: string; text: string }[] = [
  { what: 'a word', name: 'key_id', text: "Invalid keyId 'key_id'" },
  {
    what: 'a UUID without dashes',
    name: '134f2428cec14b25a1ae9048164dba47',
    text: "Invalid keyId '134f2428cec14b25a1ae9048164dba47'",
  },
  { what: 'a multi-Region key ID', name: 'mrk-fake-key-id', text: "Invalid keyId 'mrk-fake-key-id'" },
  { what: 'a UUID in capitals', name: CAPITAL, text: `Invalid keyId '${CAPITAL}'` },
  { what: 'a UUID and a line end', name: `${UNKNOWN}\n`, text: `Invalid keyId '${UNKNOWN}\n'` },
  { what: 'an unknown key ID', name: UNKNOWN, text: `Key '${PREFIX}:key/${UNKNOWN}' does not exist` },
  {
    what: 'an unknown key ARN',
    name: `${PREFIX}:key/${UNKNOWN}`,
    text: `Key '${PREFIX}:key/${UNKNOWN}' does not exist`,
  },
  { what: 'a key ARN with no key ID in it', name: `${PREFIX}:key/nothing`, text: "Invalid keyId 'nothing'" },
  { what: 'an unknown alias name', name: 'alias/x', text: `Alias ${PREFIX}:alias/x is not found.` },
  { what: 'an unknown alias ARN', name: `${PREFIX}:alias/x`, text: `Alias ${PREFIX}:alias/x is not found.` },
  { what: 'an alias in other letters', name: ALIAS.toUpperCase(), text: `Invalid keyId '${ALIAS.toUpperCase()}'` },
  { what: 'the alias prefix alone', name: 'alias/', text: `Alias ${PREFIX}:alias/ is not found.` },
  {
    what: 'a key ARN of another Region',
    name: `arn:aws:kms:us-west-2:${ACCOUNT}:key/${UNKNOWN}`,
    text: 'Invalid arn us-west-2',
  },
  {
    what: 'an alias ARN of another Region',
    name: `arn:aws:kms:us-west-2:${ACCOUNT}:${ALIAS}`,
    text: 'Invalid arn us-west-2',
  },
  { what: 'an ARN of nothing', name: 'arn:', text: 'Invalid arn arn:' },
  {
    what: 'an ARN of another service',
    name: `arn:aws:s3:${REGION}:${ACCOUNT}:key/${UNKNOWN}`,
    text: `Invalid arn arn:aws:s3:${REGION}:${ACCOUNT}:key/${UNKNOWN}`,
  },
  {
    what: 'an ARN of another partition',
    name: `arn:aws-cn:kms:${REGION}:${ACCOUNT}:key/${UNKNOWN}`,
    text: `Invalid arn arn:aws-cn:kms:${REGION}:${ACCOUNT}:key/${UNKNOWN}`,
  },
  {
    what: 'an ARN with more behind it',
    name: `${PREFIX}:key/${UNKNOWN}/more`,
    text: `Invalid arn ${PREFIX}:key/${UNKNOWN}/more`,
  },
];

const message = Buffer.from('message');
const macAlgorithm = MacAlgorithm.HMAC_SHA_256;

describe.each(WIRES)('over %s', (wire) => {
  it.each(NAMES)('GenerateMac and VerifyMac find a key by $what, and name its ARN', async ({ name }) => {
    const { mac: client } = running.clients[wire];
    const generated = await client.generateMac({ keyId: name(), message, macAlgorithm });
    expect(generated).toMatchObject({ keyId: keyArn, macAlgorithm });
    const verified = await client.verifyMac({ keyId: name(), message, macAlgorithm, mac: generated.mac });
    expect(verified).toMatchObject({ keyId: keyArn, macValid: true, macAlgorithm });
  });

  it('gives the same MAC by whichever name', async () => {
    const macs = await Promise.all(
      NAMES.map(({ name }) => running.clients[wire].mac.generateMac({ keyId: name(), message, macAlgorithm })),
    );
    expect(new Set(macs.map(({ mac }) => Buffer.from(mac).toString('hex')))).toHaveProperty('size', 1);
  });

  it.each(NOT_FOUND)('GenerateMac and VerifyMac find no key by $what', async ({ name, text }) => {
    const { mac: client } = running.clients[wire];
    const calls = [
      client.generateMac({ keyId: name, message, macAlgorithm }),
      client.verifyMac({ keyId: name, message, macAlgorithm, mac: message }),
    ];
    for (const call of calls) {
      expect(await failureOf(call)).toEqual({
        code: 'NotFound',
        message: text,
        reason: 'NOT_FOUND',
        exception: 'NotFoundException',
        keyArn: undefined,
        violations: [],
      });
    }
  });

  it.each([
    { what: 'a key', name: `arn:aws:kms:${REGION}:999999999999:key/${randomUUID()}` },
    { what: 'an alias', name: `arn:aws:kms:${REGION}:999999999999:${ALIAS}` },
  ])('GenerateMac and VerifyMac tell nothing about $what of another account', async ({ name }) => {
    const { mac: client } = running.clients[wire];
    const generate = await failureOf(client.generateMac({ keyId: name, message, macAlgorithm }));
    const verify = await failureOf(client.verifyMac({ keyId: name, message, macAlgorithm, mac: message }));
    const denied = {
      code: 'PermissionDenied',
      reason: 'ACCESS_DENIED',
      exception: 'AccessDeniedException',
      keyArn: undefined,
      violations: [],
    };
    expect(generate).toEqual({ ...denied, message: DENIED('GenerateMac') });
    expect(verify).toEqual({ ...denied, message: DENIED('VerifyMac') });
  });
});
