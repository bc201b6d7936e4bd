import { createHmac } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MacAlgorithm } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { openSqliteRecordStore } from '../../src/records/sqlite-record-store.ts';
import { alteredStore } from '../support/altered-store.ts';
import { failureOf, WIRES } from '../support/clients.ts';
import { type AuditedService, startAuditedService } from './audited-service.ts';
import { GENERATE_MAC, post } from './mac-calls.ts';
import { callRaw, frameOf } from './raw-grpc.ts';

const MATERIAL = Buffer.from('recognisable-key-material-012345');
const MESSAGE = Buffer.from('recognisable message: pay 100 to Mallory');
const TOKEN = 'recognisable-grant-token-AQpAabcdefghijklmnop';
const WRONG_MAC = Buffer.from('recognisable-wrong-mac-789012345');
const MAC = createHmac('sha256', MATERIAL).update(MESSAGE).digest();
const SECRETS = { MATERIAL, MESSAGE, TOKEN: Buffer.from(TOKEN), WRONG_MAC, MAC };

const macAlgorithm = MacAlgorithm.HMAC_SHA_256;
const KEY_ID = '1234abcd-12ab-34cd-56ef-1234567890ab';

let folder: string;
let service: AuditedService;
let fail = false;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hmacd-secrets-'));
  const seed = join(folder, 'seed.yaml');
  await writeFile(
    seed,
    `keys: [{ key_id: ${KEY_ID}, key_spec: HMAC_256, material_base64: "${MATERIAL.toString('base64')}" }]\n`,
  );
  const inner = openSqliteRecordStore(':memory:');
  const store = alteredStore(inner, {
    getMany: async (paths) => {
      if (fail) throw new TypeError('the store broke');
      return await inner.getMany(paths);
    },
  });
  fail = false;
  service = await startAuditedService({ SEED_FILE: seed }, { store });
});

afterEach(async () => {
  await service[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** The ways in which bytes can stand in a text: as they are, in hexadecimal, and in base64 wherever they begin in it. */
function spellings(secret: Buffer): string[] {
  const inBase64 = [0, 1, 2].flatMap((shift) => {
    const whole = Buffer.concat([Buffer.alloc(shift), secret]);
    // The characters at the ends are mixed with their neighbours.
    return (['base64', 'base64url'] as const).map((encoding) => whole.toString(encoding).slice(4, -4));
  });
  const asNumbers = [...secret.subarray(0, 12)].join(',');
  return [
    secret.toString('latin1'),
    secret.toString('hex'),
    secret.toString('hex').toUpperCase(),
    asNumbers,
    ...inBase64,
  ];
}

/** Everything that the service has written about its calls. */
async function everythingWritten(): Promise<string> {
  const { running } = service;
  const metrics = await (await fetch(`http://127.0.0.1:${running.adminPort}/metrics`)).text();
  await service.end();
  return [await service.text(), ...running.logged, metrics].join('\n');
}

/** The secrets that stand in a text, and how. */
function secretsIn(text: string): string[] {
  return Object.entries(SECRETS).flatMap(([name, secret]) =>
    spellings(secret).flatMap((spelling) => (text.includes(spelling) ? [`${name} as ${spelling}`] : [])),
  );
}

describe('what the service writes has no message, MAC, grant token or key material in it', () => {
  it.each(WIRES)('after calls over %s that succeed and that fail', async (wire) => {
    const { mac, keys } = service.running.clients[wire];
    const request = { keyId: KEY_ID, message: MESSAGE, macAlgorithm };
    expect(Buffer.from((await mac.generateMac(request)).mac)).toEqual(MAC);
    await mac.verifyMac({ ...request, mac: MAC });
    const failing = [
      () => mac.verifyMac({ ...request, mac: WRONG_MAC }),
      () => mac.verifyMac({ ...request, mac: MAC, dryRun: true }),
      () => mac.generateMac({ ...request, grantTokens: [TOKEN] }),
      () => mac.generateMac({ ...request, grantTokens: Array.from({ length: 11 }, () => TOKEN) }),
      () => mac.generateMac({ ...request, grantTokens: [TOKEN.repeat(300)] }),
      () => mac.generateMac({ ...request, message: Buffer.alloc(5_000, MESSAGE) }),
      () => mac.verifyMac({ ...request, mac: Buffer.alloc(7_000, WRONG_MAC) }),
      () => mac.generateMac({ ...request, macAlgorithm: MacAlgorithm.HMAC_SHA_512 }),
      () => keys.describeKey({ keyId: KEY_ID, grantTokens: [TOKEN] }),
    ];
    for (const call of failing) {
      const { message, violations } = await failureOf(call());
      expect(secretsIn([message, ...violations].join())).toEqual([]);
    }
    fail = true;
    await failureOf(mac.generateMac({ ...request, keyId: 'alias/unread', grantTokens: [TOKEN] }));
    expect(service.running.logged.some((line) => line.includes('the store broke'))).toBe(true);
    const written = await everythingWritten();
    expect(written).toContain('"operation":"GenerateMac"');
    expect(secretsIn(written)).toEqual([]);
  });

  it('after requests that do not decode', async () => {
    const { grpcPort, httpPort } = service.running;
    const json = `{"keyId":"${KEY_ID}","message":"${MESSAGE.toString('base64')}","grantTokens":["${TOKEN}"`;
    const broken = Buffer.concat([Buffer.of(0x0a, MESSAGE.length), MESSAGE, Buffer.of(0x22, 0x7f), Buffer.from(TOKEN)]);
    await callRaw(grpcPort, { path: GENERATE_MAC, body: frameOf(broken) });
    await post(httpPort, 'application/json', json);
    await post(httpPort, 'application/json', `{"message": ${MESSAGE.toString()}}`);
    await post(httpPort, 'application/proto', broken);
    await post(httpPort, 'application/grpc-web+proto', frameOf(broken));
    await post(httpPort, 'application/grpc-web+json', frameOf(Buffer.from(json)));
    expect(await service.lines(6)).toHaveLength(6);
    expect(secretsIn(await everythingWritten())).toEqual([]);
  });
});
