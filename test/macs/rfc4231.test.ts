import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WIRES } from '../support/clients.ts';
import { type RunningService, startService } from '../support/running-service.ts';
import { RFC_4231, type Rfc4231Case } from './rfc4231.ts';
import { type Spec, SPECS } from './specs.ts';

let folder: string;
let running: RunningService;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hmacd-rfc4231-'));
  const entries = RFC_4231.flatMap((vector) =>
    SPECS.map(
      (spec) =>
        `  - { key_spec: ${spec.specName}, aliases: [${aliasOf(vector, spec)}], material_base64: "${materialOf(vector, spec).toString('base64')}" }`,
    ),
  );
  await writeFile(join(folder, 'seed.yaml'), ['keys:', ...entries, ''].join('\n'));
  running = await startService({ SEED_FILE: join(folder, 'seed.yaml') });
});

afterAll(async () => {
  await running[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describe.each(WIRES)('over %s', (wire) => {
  const cases = RFC_4231.flatMap((vector) =>
    SPECS.map((spec) => ({ vector, spec, name: `case ${vector.number} with ${spec.algorithmName}` })),
  );

  it.each(cases)('GenerateMac gives the MAC of RFC 4231, $name, and VerifyMac takes it', async ({ vector, spec }) => {
    const { mac: client } = running.clients[wire];
    const request = { keyId: aliasOf(vector, spec), message: vector.message, macAlgorithm: spec.macAlgorithm };
    const { mac } = await client.generateMac(request);
    expect(mac).toHaveLength(spec.length);
    const expected = vector.macs[spec.hash];
    expect(Buffer.from(mac).toString('hex').slice(0, expected.length)).toBe(expected);
    const verified = await client.verifyMac({ ...request, mac });
    expect(verified.macValid).toBe(true);
  });
});

function aliasOf(vector: Rfc4231Case, spec: Spec): string {
  return `alias/rfc4231/${vector.number}/${spec.hash}`;
}

/**
 * The RFC's key in as many bytes as the spec has. HMAC fills a key up to the hash's block with zeros, so that a shorter
 * one may be filled up to any length below that; and it hashes a key that is longer than the block.
 */
function materialOf({ key }: Rfc4231Case, { hash, length }: Spec): Buffer {
  const BLOCK = { sha224: 64, sha256: 64, sha384: 128, sha512: 128 };
  if (key.length > BLOCK[hash]) return createHash(hash).update(key).digest();
  return Buffer.concat([key, Buffer.alloc(length - key.length)]);
}
