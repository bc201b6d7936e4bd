import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { ImportParametersSchema, KeySchema } from '../../src/gen/hmacd/store/v1/records_pb.ts';
import { ExpirationModel, WrappingAlgorithm, WrappingKeySpec } from '../../src/gen/hmacd/v1/import_pb.ts';
import { KeySpec, KeyUsage, Origin } from '../../src/gen/hmacd/v1/key_pb.ts';
import { MacAlgorithm } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { KeyPaths } from '../../src/keys/key-paths.ts';
import type { RecordStore } from '../../src/records/record-store.ts';
import type { Sealer } from '../../src/records/sealer.ts';
import { type Clients, failureOf } from '../support/clients.ts';
import type { Deployment } from '../support/deployment.ts';
import { MESSAGE } from '../support/mac-connections.ts';
import { wrappedByOpenssl } from '../support/openssl.ts';

const SPECS = [
  { spec: 'HMAC_224', keySpec: KeySpec.HMAC_224, macAlgorithm: MacAlgorithm.HMAC_SHA_224, length: 28 },
  { spec: 'HMAC_256', keySpec: KeySpec.HMAC_256, macAlgorithm: MacAlgorithm.HMAC_SHA_256, length: 32 },
  { spec: 'HMAC_384', keySpec: KeySpec.HMAC_384, macAlgorithm: MacAlgorithm.HMAC_SHA_384, length: 48 },
  { spec: 'HMAC_512', keySpec: KeySpec.HMAC_512, macAlgorithm: MacAlgorithm.HMAC_SHA_512, length: 64 },
];

/** The sealer of a store that is not sealed. */
export const noSealer: Sealer = { seal: (_path, _version, plaintext) => plaintext, open: ({ value }) => value };

/** Writes a seed file with a key of each spec, and answers the setting for it and their material. */
export function writeSeed({ folder }: Deployment): { settings: { SEED_FILE: string }; materials: Buffer[] } {
  const materials = SPECS.map(({ length }) => randomBytes(length));
  const keys = SPECS.map(({ spec }, index) => ({
    key_spec: spec,
    aliases: [`alias/seeded-${index}`],
    material_base64: materials[index]!.toString('base64'),
  }));
  const path = join(folder, 'seed.yaml');
  // YAML takes JSON as it is.
  writeFileSync(path, JSON.stringify({ keys }));
  return { settings: { SEED_FILE: path }, materials };
}

/** Makes a key of each spec, and lets all keys go through what keys go through. */
export async function makeAndUseKeys({ keys, aliases, mac, imports, rotation }: Clients): Promise<void> {
  for (const [index, { keySpec, macAlgorithm }] of SPECS.entries()) {
    const made = await keys.createKey({ keySpec, keyUsage: KeyUsage.GENERATE_VERIFY_MAC });
    const aliasName = `alias/made-${index}`;
    await aliases.createAlias({ aliasName, targetKeyId: made.keyMetadata!.keyId });
    for (const alias of [aliasName, `alias/seeded-${index}`]) {
      const { keyMetadata } = await keys.describeKey({ keyId: alias });
      const { keyId } = keyMetadata!;
      const { mac: value } = await mac.generateMac({ keyId: alias, macAlgorithm, message: MESSAGE });
      await mac.verifyMac({ keyId, macAlgorithm, message: MESSAGE, mac: value });
      await keys.updateKeyDescription({ keyId, description: 'used' });
      await keys.disableKey({ keyId });
      await keys.scheduleKeyDeletion({ keyId, pendingWindowInDays: 7 });
      await keys.cancelKeyDeletion({ keyId });
      await keys.enableKey({ keyId });
    }
  }
  await importMaterial({ keys, imports });
  await rotateKey({ keys, mac, rotation });
}

/** Makes a key with versions, and uses all of them; two are left. */
async function rotateKey({ keys, mac, rotation }: Pick<Clients, 'keys' | 'mac' | 'rotation'>): Promise<void> {
  const { GENERATE_VERIFY_MAC } = KeyUsage;
  const made = await keys.createKey({
    keySpec: KeySpec.HMAC_256,
    keyUsage: GENERATE_VERIFY_MAC,
    rotationEnabled: true,
  });
  const { keyId } = made.keyMetadata!;
  const request = { keyId, macAlgorithm: MacAlgorithm.HMAC_SHA_256, message: MESSAGE };
  for (let version = 1; version <= 3; version++) {
    if (version > 1) await rotation.rotateKeyOnDemand({ keyId });
    const { mac: value } = await mac.generateMac(request);
    await mac.verifyMac({ ...request, mac: value });
  }
  await rotation.retireKeyVersion({ keyId, keyVersion: 1 });
}

/** Imports material into a new key, twice, and other material, which is refused. */
async function importMaterial({ keys, imports }: Pick<Clients, 'keys' | 'imports'>): Promise<void> {
  const { GENERATE_VERIFY_MAC } = KeyUsage;
  const made = await keys.createKey({
    keySpec: KeySpec.HMAC_256,
    keyUsage: GENERATE_VERIFY_MAC,
    origin: Origin.EXTERNAL,
  });
  const { keyId } = made.keyMetadata!;
  const { importToken, publicKey } = await imports.getParametersForImport({
    keyId,
    wrappingAlgorithm: WrappingAlgorithm.RSA_AES_KEY_WRAP_SHA_256,
    wrappingKeySpec: WrappingKeySpec.RSA_2048,
  });
  const wrapped = (material: Buffer) => wrappedByOpenssl(material, publicKey, 'RSA_AES_KEY_WRAP_SHA_256');
  const material = randomBytes(32);
  const forever = { expirationModel: ExpirationModel.KEY_MATERIAL_DOES_NOT_EXPIRE };
  for (const given of [material, material, randomBytes(32), randomBytes(31)]) {
    const request = { keyId, importToken, encryptedKeyMaterial: wrapped(given), ...forever };
    const call = imports.importKeyMaterial(request);
    if (given === material) await call;
    else await failureOf(call);
  }
}

/** The material of every key in a store and of all its versions, and of the keys that wrap what is imported. */
export async function readMaterials(store: RecordStore, accountId: string, sealer: Sealer): Promise<Buffer[]> {
  const paths = new KeyPaths(accountId);
  const keys = await store.list(paths.keys, '', 1_000);
  const materials = keys
    .map((record) => fromBinary(KeySchema, sealer.open(record)))
    .flatMap(({ material, versions }) => [material, ...versions.map((version) => version.material)])
    .filter((material) => material.length > 0);
  const parameters = await store.list(paths.importParameters, '', 1_000);
  const privateKeys = parameters
    .map((record) => fromBinary(ImportParametersSchema, sealer.open(record)).privateKey)
    // Every private key begins alike.
    .map((privateKey) => privateKey.subarray(-256));
  return [...materials, ...privateKeys].map((secret) => Buffer.from(secret));
}

/** Which of some secrets are in a text, in part at least: raw, in hex or in base64. */
export function findSecrets(haystack: Buffer, secrets: readonly Buffer[]): Buffer[] {
  const lower = Buffer.from(haystack.toString('latin1').toLowerCase(), 'latin1');
  return secrets.filter((secret) =>
    [secret.subarray(0, 16), secret.subarray(-16)].some(
      (part) =>
        haystack.includes(part) ||
        lower.includes(part.toString('hex')) ||
        inBase64(part).some((text) => haystack.includes(text) || haystack.includes(urlSafe(text))),
    ),
  );
}

/** What base64 makes of bytes wherever they stand: it depends on how many are before them, modulo 3. */
function inBase64(bytes: Buffer): string[] {
  return [0, 1, 2].map((before) => {
    const whole = bytes.subarray((3 - before) % 3);
    return whole.subarray(0, whole.length - (whole.length % 3)).toString('base64');
  });
}

function urlSafe(base64: string): string {
  return base64.replaceAll('+', '-').replaceAll('/', '_');
}
