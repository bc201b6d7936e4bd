import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ExpirationModel, WrappingAlgorithm, WrappingKeySpec } from '../../src/gen/hmacd/v1/import_pb.ts';
import { KeySpec, KeyState, KeyUsage, Origin } from '../../src/gen/hmacd/v1/key_pb.ts';
import { HMAC_ALGORITHMS } from '../../src/keys/algorithms.ts';
import { MaterialExpiry } from '../../src/keys/material-expiry.ts';
import { ControlledStore } from '../records/controlled-store.ts';
import { failureOf, WIRES } from '../support/clients.ts';
import { createImportedKey } from '../support/imported-key.ts';
import { temporaryFolder } from '../support/deployment.ts';
import { macByOpenssl, WRAPPINGS, type WrappingName, wrappedByOpenssl } from '../support/openssl.ts';
import { FakeClock, startService } from '../support/running-service.ts';
import { DAY, openSealer, paths, recordsOf } from './fixture.ts';

const HOUR = 60 * 60 * 1_000;
const { RSA_2048, RSA_3072, RSA_4096 } = WrappingKeySpec;
const forever = { expirationModel: ExpirationModel.KEY_MATERIAL_DOES_NOT_EXPIRE };
const HMAC_256 = HMAC_ALGORITHMS.find(({ keySpec }) => keySpec === KeySpec.HMAC_256)!;

async function refusal(call: Promise<unknown>): Promise<[string | undefined, string]> {
  const { exception, message } = await failureOf(call);
  return [exception, message];
}

const at = (time: number) => ({ validTo: timestampFromMs(time) });

/** A service with a clock to turn, and what it takes to import into a key of it. */
async function start(wire: (typeof WIRES)[number] = 'gRPC', settings: Readonly<Record<string, string>> = {}) {
  const clock = new FakeClock();
  const running = await startService(settings, { clock });
  onTestFinished(() => running[Symbol.asyncDispose]());
  const { imports, keys, mac, rotation } = running.clients[wire];
  const external = async (keySpec: KeySpec = KeySpec.HMAC_256): Promise<string> => {
    const made = await keys.createKey({ keySpec, keyUsage: KeyUsage.GENERATE_VERIFY_MAC, origin: Origin.EXTERNAL });
    return made.keyMetadata!.keyId;
  };
  const parameters = async (
    keyId: string,
    name: WrappingName = 'RSAES_OAEP_SHA_256',
    wrappingKeySpec: WrappingKeySpec = RSA_2048,
  ) => await imports.getParametersForImport({ keyId, wrappingAlgorithm: WrappingAlgorithm[name], wrappingKeySpec });
  /** Wraps and imports. */
  const importMaterial = async (keyId: string, material: Uint8Array, more: object = forever) => {
    const { importToken, publicKey } = await parameters(keyId);
    const encryptedKeyMaterial = wrappedByOpenssl(material, publicKey, 'RSAES_OAEP_SHA_256');
    return await imports.importKeyMaterial({ keyId, importToken, encryptedKeyMaterial, ...more });
  };
  const described = async (keyId: string) => (await keys.describeKey({ keyId })).keyMetadata!;
  const message = Buffer.from('a message');
  const macOf = async (keyId: string, { macAlgorithm } = HMAC_256) =>
    Buffer.from((await mac.generateMac({ keyId, message, macAlgorithm })).mac);
  return { clock, running, imports, keys, rotation, external, parameters, importMaterial, described, macOf, message };
}

describe.each(WIRES)('over %s, material', (wire) => {
  it('is imported, is deleted, and only the same is imported again', async () => {
    const { external, importMaterial, described, macOf, message, imports } = await start(wire);
    const keyId = await external();
    const before = await described(keyId);
    expect(before).toMatchObject({ keyState: KeyState.PENDING_IMPORT, enabled: false, origin: Origin.EXTERNAL });
    expect([before.expirationModel, before.validTo]).toEqual([0, undefined]);
    expect(await refusal(macOf(keyId))).toEqual(['KMSInvalidStateException', `${before.arn} is pending import.`]);
    const material = randomBytes(32);
    expect((await importMaterial(keyId, material)).keyId).toBe(before.arn);
    expect(await macOf(keyId)).toEqual(macByOpenssl('sha256', material, message));
    expect(await described(keyId)).toMatchObject({ keyState: KeyState.ENABLED, enabled: true, ...forever });
    expect((await imports.deleteImportedKeyMaterial({ keyId })).keyId).toBe(before.arn);
    await imports.deleteImportedKeyMaterial({ keyId });
    expect(await described(keyId)).toEqual(before);
    expect(await refusal(macOf(keyId))).toEqual(['KMSInvalidStateException', `${before.arn} is pending import.`]);
    const [exception, text] = await refusal(importMaterial(keyId, randomBytes(32)));
    expect(exception).toBe('IncorrectKeyMaterialException');
    expect(text).toMatch(/^Imported key material does not have the expected identifier \([0-9a-f]{64}\)\.$/);
    await importMaterial(keyId, material);
    expect(await macOf(keyId)).toEqual(macByOpenssl('sha256', material, message));
  });
});

describe('material that openssl wraps', () => {
  const names = Object.keys(WRAPPINGS) as WrappingName[];
  const keySpecs = [RSA_2048, RSA_3072, RSA_4096];
  const cases = names.flatMap((name, n) =>
    HMAC_ALGORITHMS.map((algorithm, m) => ({ name, algorithm, wrappingKeySpec: keySpecs[(n + m) % 3]! })),
  );

  it.each(cases)('by $name for $algorithm.keySpecName makes the MACs of openssl', async (given) => {
    const { name, algorithm, wrappingKeySpec } = given;
    const { external, parameters, imports, macOf, message } = await start();
    for (const length of [algorithm.length, algorithm.longestMaterial]) {
      const keyId = await external(algorithm.keySpec);
      const material = randomBytes(length);
      const { importToken, publicKey } = await parameters(keyId, name, wrappingKeySpec);
      const encryptedKeyMaterial = wrappedByOpenssl(material, publicKey, name);
      await imports.importKeyMaterial({ keyId, importToken, encryptedKeyMaterial, ...forever });
      expect(await macOf(keyId, algorithm)).toEqual(macByOpenssl(algorithm.hash, material, message));
    }
  });

  it.each(HMAC_ALGORITHMS)('is refused for $keySpecName when it is too short or too long', async (algorithm) => {
    const { external, importMaterial, described } = await start();
    const keyId = await external(algorithm.keySpec);
    for (const length of [1, algorithm.length - 1, algorithm.longestMaterial + 1]) {
      expect(await refusal(importMaterial(keyId, randomBytes(length)))).toEqual(['InvalidCiphertextException', '']);
    }
    expect((await described(keyId)).keyState).toBe(KeyState.PENDING_IMPORT);
  });

  it('that is refused tells whoever reads the audit log why, and the caller nothing', async () => {
    const auditLog = join(temporaryFolder(), 'audit.log');
    const { running, external, importMaterial, parameters, imports } = await start('gRPC', { AUDIT_LOG: auditLog });
    const keyId = await external();
    expect(await refusal(importMaterial(keyId, randomBytes(31)))).toEqual(['InvalidCiphertextException', '']);
    const { importToken } = await parameters(keyId);
    const unwrapped = imports.importKeyMaterial({
      keyId,
      importToken,
      encryptedKeyMaterial: randomBytes(32),
      ...forever,
    });
    expect(await refusal(unwrapped)).toEqual(['InvalidCiphertextException', '']);
    await running[Symbol.asyncDispose]();
    const lines = readFileSync(auditLog, 'utf8').trim().split('\n');
    const reasons = lines.map((line) => JSON.parse(line)).filter(({ operation }) => operation === 'ImportKeyMaterial');
    expect(reasons.map(({ decidedBy }) => decidedBy)).toEqual([
      'the material has 31 bytes, and not 32 to 64',
      'the material does not unwrap',
    ]);
  });

  it('is refused when it was altered, or wrapped in another way or for another key', async () => {
    const { external, parameters, imports } = await start();
    const keyId = await external();
    const other = await parameters(keyId);
    for (const name of names) {
      const { importToken, publicKey } = await parameters(keyId, name);
      const wrap = (by: WrappingName, key = publicKey) => wrappedByOpenssl(randomBytes(32), key, by);
      const altered = wrap(name);
      altered[altered.length - 1]! ^= 1;
      const wrong = [
        altered,
        wrap(name).subarray(1),
        wrap(name, other.publicKey),
        randomBytes(256),
        Buffer.from([0]),
        ...names.filter((by) => by !== name).map((by) => wrap(by)),
      ];
      for (const encryptedKeyMaterial of wrong) {
        const call = imports.importKeyMaterial({ keyId, importToken, encryptedKeyMaterial, ...forever });
        expect(await refusal(call)).toEqual(['InvalidCiphertextException', '']);
      }
    }
  });
});

describe('an import token', () => {
  it('is good for its key alone', async () => {
    const { external, parameters, imports } = await start();
    const [keyId, other] = [await external(), await external()];
    const { importToken, publicKey } = await parameters(keyId);
    const encryptedKeyMaterial = wrappedByOpenssl(randomBytes(32), publicKey, 'RSAES_OAEP_SHA_256');
    const altered = Buffer.from(importToken);
    altered[20]! ^= 1;
    const far = Buffer.from(importToken);
    far.fill(0xff, 1, 7);
    const wrong = [altered, far, randomBytes(39), importToken.subarray(1), Buffer.concat([importToken, importToken])];
    for (const token of wrong) {
      const call = imports.importKeyMaterial({ keyId, importToken: token, encryptedKeyMaterial, ...forever });
      expect(await refusal(call)).toEqual(['InvalidImportTokenException', '']);
    }
    const elsewhere = imports.importKeyMaterial({ keyId: other, importToken, encryptedKeyMaterial, ...forever });
    expect(await refusal(elsewhere)).toEqual(['InvalidImportTokenException', '']);
    await imports.importKeyMaterial({ keyId, importToken, encryptedKeyMaterial, ...forever });
  });

  it('is good for 24 hours, beside others, and more than once', async () => {
    const { clock, external, parameters, imports } = await start();
    const keyId = await external();
    const first = await parameters(keyId);
    expect(timestampMs(first.parametersValidTo!)).toBe(clock.now() + DAY);
    await parameters(keyId);
    const encryptedKeyMaterial = wrappedByOpenssl(randomBytes(32), first.publicKey, 'RSAES_OAEP_SHA_256');
    const call = { keyId, importToken: first.importToken, encryptedKeyMaterial, ...forever };
    await imports.importKeyMaterial(call);
    clock.advance(DAY - 1);
    await imports.importKeyMaterial(call);
    clock.advance(1);
    expect(await refusal(imports.importKeyMaterial(call))).toEqual(['ExpiredImportTokenException', '']);
  });
});

describe('imported material', () => {
  it('ends at its date, and not before', async () => {
    const { clock, external, importMaterial, described, macOf, keys } = await start();
    const keyId = await external();
    const material = randomBytes(32);
    const validTo = timestampFromMs(clock.now() + HOUR);
    await importMaterial(keyId, material, { validTo });
    const { arn, ...rest } = await described(keyId);
    expect(rest).toMatchObject({ validTo, expirationModel: ExpirationModel.KEY_MATERIAL_EXPIRES });
    clock.advance(HOUR - 1);
    await macOf(keyId);
    clock.advance(1);
    expect(await refusal(macOf(keyId))).toEqual(['KMSInvalidStateException', `${arn} is pending import.`]);
    const after = await described(keyId);
    expect(after).toMatchObject({ keyState: KeyState.PENDING_IMPORT, enabled: false, expirationModel: 0 });
    expect(after.validTo).toBeUndefined();
    expect(await refusal(keys.enableKey({ keyId }))).toEqual(['KMSInvalidStateException', `${arn} is pending import.`]);
    await importMaterial(keyId, material, { validTo: timestampFromMs(clock.now() + HOUR) });
    await macOf(keyId);
  });

  it('can be made to end earlier, later, or never', async () => {
    const { clock, external, importMaterial, described, macOf } = await start();
    const keyId = await external();
    const material = randomBytes(32);
    for (const hours of [3, 2, 5]) {
      await importMaterial(keyId, material, { validTo: timestampFromMs(clock.now() + hours * HOUR) });
      expect(timestampMs((await described(keyId)).validTo!)).toBe(clock.now() + hours * HOUR);
    }
    clock.advance(4 * HOUR);
    await macOf(keyId);
    await importMaterial(keyId, material);
    clock.advance(2 * HOUR);
    await macOf(keyId);
    await importMaterial(keyId, material, { validTo: timestampFromMs(clock.now() + HOUR) });
    clock.advance(HOUR);
    expect((await refusal(macOf(keyId)))[0]).toBe('KMSInvalidStateException');
  });

  it('ends at a millisecond, however fine the date', async () => {
    const { clock, external, importMaterial, described } = await start();
    const keyId = await external();
    const material = randomBytes(32);
    const { seconds } = timestampFromMs(clock.now() + HOUR);
    for (const [nanos, kept] of [
      [123_456_789, { seconds, nanos: 123_000_000 }],
      [1_500_000_000, { seconds: seconds + 1n, nanos: 500_000_000 }],
    ] as const) {
      const validTo = { $typeName: 'google.protobuf.Timestamp' as const, seconds, nanos };
      await importMaterial(keyId, material, { validTo });
      expect((await described(keyId)).validTo).toMatchObject(kept);
    }
  });

  it('enables a disabled key, stays gone when its deletion is cancelled', async () => {
    const { external, importMaterial, described, keys, imports } = await start();
    const keyId = await external();
    const material = randomBytes(32);
    await importMaterial(keyId, material);
    await keys.disableKey({ keyId });
    await importMaterial(keyId, material);
    expect((await described(keyId)).keyState).toBe(KeyState.ENABLED);
    await keys.scheduleKeyDeletion({ keyId });
    const { arn } = await described(keyId);
    const pending = ['KMSInvalidStateException', `${arn} is pending deletion.`];
    expect(await refusal(importMaterial(keyId, material))).toEqual(pending);
    await imports.deleteImportedKeyMaterial({ keyId });
    expect((await described(keyId)).keyState).toBe(KeyState.PENDING_DELETION);
    await keys.cancelKeyDeletion({ keyId });
    expect((await described(keyId)).keyState).toBe(KeyState.PENDING_IMPORT);
  });

  it('is refused with a date that cannot be', async () => {
    const { clock, external, importMaterial } = await start();
    const keyId = await external();
    const never = { validTo: { $typeName: 'google.protobuf.Timestamp' as const, seconds: 1n << 60n, nanos: 0 } };
    const cases: [object, string][] = [
      [{}, 'A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES'],
      [
        { ...at(clock.now() + HOUR), ...forever },
        'A validTo date cannot be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE',
      ],
      [at(clock.now()), 'ValidTo must be in the future'],
      [at(clock.now() + 365 * DAY + 1), 'ValidTo must be less than 365 days in the future'],
      [never, 'ValidTo must be less than 365 days in the future'],
      [{ ...forever, importType: 1 }, 'Input parameter importType cannot be used with HMAC_256 imported keys.'],
      [
        { ...forever, keyMaterialId: 'a'.repeat(64) },
        'Input parameter keyMaterialId cannot be used with HMAC_256 imported keys.',
      ],
      [
        { ...forever, keyMaterialDescription: 'x' },
        'Input parameter keyMaterialDescription cannot be used with HMAC_256 imported keys.',
      ],
    ];
    for (const [more, message] of cases) {
      expect(await refusal(importMaterial(keyId, randomBytes(32), more))).toEqual(['ValidationException', message]);
    }
  });

  it('is for keys of the origin EXTERNAL, wrapped in a way that there is', async () => {
    const { keys, imports, external, parameters } = await start();
    const made = await keys.createKey({ keySpec: KeySpec.HMAC_256, keyUsage: KeyUsage.GENERATE_VERIFY_MAC });
    const { keyId, arn } = made.keyMetadata!;
    const notExternal = [
      'UnsupportedOperationException',
      `${arn} origin is AWS_KMS which is not valid for this operation.`,
    ];
    const bytes = Buffer.from('x');
    for (const call of [
      parameters(keyId),
      imports.importKeyMaterial({ keyId, importToken: bytes, encryptedKeyMaterial: bytes }),
      imports.deleteImportedKeyMaterial({ keyId }),
    ]) {
      expect(await refusal(call)).toEqual(notExternal);
    }
    const call = imports.getParametersForImport({
      keyId: await external(),
      wrappingAlgorithm: WrappingAlgorithm.RSAES_PKCS1_V1_5,
      wrappingKeySpec: WrappingKeySpec.RSA_2048,
    });
    expect(await refusal(call)).toEqual([
      'ValidationException',
      'Wrapping algorithm RSAES_PKCS1_V1_5 and wrapping key spec RSA_2048 cannot be used to import a HMAC_256 key.',
    ]);
  });

  it('of an EXTERNAL key does not rotate', async () => {
    const { rotation, external, described } = await start();
    const keyId = await external();
    const { arn } = await described(keyId);
    const notRotating = [
      'UnsupportedOperationException',
      `${arn} origin is EXTERNAL which is not valid for this operation.`,
    ];
    expect(await refusal(rotation.enableKeyRotation({ keyId }))).toEqual(notRotating);
    expect(await refusal(rotation.disableKeyRotation({ keyId }))).toEqual(notRotating);
    expect((await refusal(rotation.rotateKeyOnDemand({ keyId })))[0]).toBe('KMSInvalidStateException');
  });
});

describe('what material is wrapped with', () => {
  it('is refused to some when too many ask for it at once', async () => {
    const { external, parameters } = await start();
    const keyId = await external();
    const calls = Array.from({ length: 60 }, () => parameters(keyId));
    const refused = (
      await Promise.all(
        calls.map((call) =>
          call.then(
            () => undefined,
            () => failureOf(call),
          ),
        ),
      )
    ).filter((failure) => failure !== undefined);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length).toBeLessThan(44);
    for (const failure of refused) {
      expect(failure).toMatchObject({ exception: 'ThrottlingException', code: 'ResourceExhausted' });
    }
    await parameters(keyId);
  });

  it('is kept for 1,000 imports of an account and no more, until it has ended', async () => {
    const clock = new FakeClock();
    const store = new ControlledStore({ exclusive: true });
    const running = await startService({}, { clock, store, sealer: openSealer });
    onTestFinished(async () => {
      await running[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    });
    const ended = new Date(clock.now() + DAY);
    const put = Array.from({ length: 999 }, (_, n) => ({
      path: paths.importParametersOf(ended, 'another-key', String(n)),
      version: crypto.randomUUID(),
      value: Buffer.alloc(0),
    }));
    await store.commit({ expect: [], put: put.slice(0, 500), remove: [] });
    await store.commit({ expect: [], put: put.slice(500), remove: [] });
    const clients = running.clients.gRPC;
    await createImportedKey(clients, randomBytes(32));
    expect(await refusal(createImportedKey(clients, randomBytes(32)))).toEqual([
      'LimitExceededException',
      'This account in this region has 1000 sets of parameters for import, and can have no more. Each set is gone 24 hours after it was made.',
    ]);
    clock.advance(DAY);
    await new MaterialExpiry(recordsOf(store, clock), paths, clock, () => {}).sweep();
    await createImportedKey(clients, randomBytes(32));
  });
});
