import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { KeySpec, KeyUsage, Origin } from '../../src/gen/hmacd/v1/key_pb.ts';
import { IncludeKeyMaterial, RotationType } from '../../src/gen/hmacd/v1/rotation_pb.ts';
import { StoreUnavailableError } from '../../src/records/record-store.ts';
import { ControlledStore } from '../records/controlled-store.ts';
import { failureOf, WIRES, type WireName } from '../support/clients.ts';
import { FakeClock, startService } from '../support/running-service.ts';
import { macRequest, makeKey, openSealer, storedKey } from './fixture.ts';

const versioned = { keySpec: KeySpec.HMAC_256, keyUsage: KeyUsage.GENERATE_VERIFY_MAC, rotationEnabled: true };

async function refusal(call: Promise<unknown>): Promise<[string | undefined, string]> {
  const { exception, message } = await failureOf(call);
  return [exception, message];
}

/** A key with versions. */
async function start(wire: WireName = 'gRPC') {
  const clock = new FakeClock();
  const store = new ControlledStore({ exclusive: true });
  const running = await startService({}, { clock, store, sealer: openSealer });
  onTestFinished(async () => {
    await running[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
  });
  const { keys, mac, rotation } = running.clients[wire];
  const made = await keys.createKey(versioned);
  const { keyId, arn } = made.keyMetadata!;
  const rotate = async () => (await rotation.rotateKeyOnDemand({ keyId })).keyVersion;
  const retire = (keyVersion: number) => rotation.retireKeyVersion({ keyId, keyVersion });
  const generate = (text = 'message') => mac.generateMac({ ...macRequest(keyId), message: Buffer.from(text) });
  const verify = (tag: Uint8Array, text = 'message') =>
    mac.verifyMac({ ...macRequest(keyId), message: Buffer.from(text), mac: tag });
  const versions = async () => {
    const { keyMetadata } = await keys.describeKey({ keyId });
    return keyMetadata!.versions.map(({ version, current }) => (current ? `${version} current` : `${version}`));
  };
  return { clock, store, running, keyId, arn, keys, mac, rotation, made, rotate, retire, generate, verify, versions };
}

describe.each(WIRES)('over %s, a key with versions', (wire) => {
  it('makes MACs by the newest, and verifies those of all that are not retired', async () => {
    const { rotate, retire, generate, verify, versions, made, arn, clock } = await start(wire);
    expect(made.keyMetadata!.versions).toMatchObject([
      { version: 1, current: true, creationDate: timestampFromMs(clock.now()) },
    ]);
    const first = await generate();
    expect(first.keyVersion).toBe(1);
    expect(await rotate()).toBe(2);
    expect(await rotate()).toBe(3);
    expect(await versions()).toEqual(['1', '2', '3 current']);
    const third = await generate();
    expect(third.keyVersion).toBe(3);
    expect(third.mac).not.toEqual(first.mac);
    expect(await verify(first.mac)).toMatchObject({ macValid: true, keyVersion: 1, keyId: arn });
    expect(await verify(third.mac)).toMatchObject({ macValid: true, keyVersion: 3, keyId: arn });
    expect(await refusal(verify(first.mac, 'another'))).toEqual(['KMSInvalidMacException', '']);
    expect(await retire(1)).toMatchObject({ keyId: arn, keyVersion: 1 });
    expect(await refusal(verify(first.mac))).toEqual(['KMSInvalidMacException', '']);
    expect(await verify(third.mac)).toMatchObject({ keyVersion: 3 });
    expect(await versions()).toEqual(['2', '3 current']);
    expect(await rotate()).toBe(4);
    expect(await verify(third.mac)).toMatchObject({ keyVersion: 3 });
  });
});

describe('a key with versions', () => {
  it('has its rotations listed, a page at a time', async () => {
    const { rotation, rotate, retire, keyId, arn, clock } = await start();
    for (let n = 0; n < 5; n++) {
      clock.advance(1_000);
      await rotate();
    }
    await retire(3);
    const first = await rotation.listKeyRotations({ keyId, limit: 2 });
    expect(first).toMatchObject({ truncated: true, nextMarker: expect.any(String) });
    expect(first.rotations[0]).toMatchObject({ keyId: arn, rotationType: RotationType.ON_DEMAND, keyVersion: 2 });
    expect(first.rotations[0]!.rotationDate).toEqual(timestampFromMs(clock.now() - 4_000));
    const second = await rotation.listKeyRotations({ keyId, limit: 2, marker: first.nextMarker! });
    expect([...first.rotations, ...second.rotations].map(({ keyVersion }) => keyVersion)).toEqual([2, 4, 5, 6]);
    expect(second).toMatchObject({ truncated: false });
    expect(second).not.toHaveProperty('nextMarker');
    expect(await refusal(rotation.listKeyRotations({ keyId, marker: 'x' }))).toEqual(['InvalidMarkerException', '']);
    const included = rotation.listKeyRotations({ keyId, includeKeyMaterial: IncludeKeyMaterial.ALL_KEY_MATERIAL });
    expect((await refusal(included))[0]).toBe('ValidationException');
    expect((await rotation.getKeyRotationStatus({ keyId })).keyRotationEnabled).toBe(false);
    expect(await refusal(rotation.enableKeyRotation({ keyId }))).toEqual(['UnsupportedOperationException', '']);
  });

  it('keeps its current version, and what is not there cannot be retired', async () => {
    const { rotate, retire, versions, arn, keys, keyId, rotation } = await start();
    expect(await refusal(retire(1))).toEqual([
      'KMSInvalidStateException',
      `Version 1 of ${arn} is its current version.`,
    ]);
    await rotate();
    await retire(1);
    const gone = ['NotFoundException', `Version 1 of key '${arn}' does not exist`];
    expect(await refusal(retire(1))).toEqual(gone);
    expect((await refusal(retire(3)))[0]).toBe('NotFoundException');
    expect((await refusal(retire(0)))[0]).toBe('ValidationException');
    expect((await refusal(rotation.retireKeyVersion({ keyId })))[0]).toBe('ValidationException');
    expect(await versions()).toEqual(['2 current']);
    const { keyId: plain } = await makeKey({ keys } as never);
    expect(await refusal(rotation.retireKeyVersion({ keyId: plain, keyVersion: 1 }))).toEqual([
      'UnsupportedOperationException',
      expect.stringMatching(/ has no versions: it was made without rotation_enabled\.$/),
    ]);
  });

  it('is told of its state first', async () => {
    const { rotate, retire, keys, keyId, arn, versions } = await start();
    await rotate();
    await keys.disableKey({ keyId });
    expect(await refusal(rotate())).toEqual(['DisabledException', `${arn} is disabled.`]);
    await keys.scheduleKeyDeletion({ keyId });
    const pending = ['KMSInvalidStateException', `${arn} is pending deletion.`];
    expect(await refusal(rotate())).toEqual(pending);
    expect(await refusal(retire(1))).toEqual(pending);
    await keys.cancelKeyDeletion({ keyId });
    await keys.enableKey({ keyId });
    expect(await versions()).toEqual(['1', '2 current']);
  });

  it('has at most 100', async () => {
    const { rotate, retire, generate, verify } = await start();
    const { mac } = await generate();
    for (let n = 2; n <= 100; n++) expect(await rotate()).toBe(n);
    expect(await refusal(rotate())).toEqual([
      'LimitExceededException',
      'Versions per key quota is 100, current usage is 100.',
    ]);
    expect(await verify(mac)).toMatchObject({ keyVersion: 1 });
    await retire(50);
    expect(await rotate()).toBe(101);
  });

  it('has the material of no version that was retired', async () => {
    const { store, keyId, rotate, retire } = await start();
    await rotate();
    const stored = async () => (await storedKey(store, keyId))!;
    const { versions, material } = await stored();
    expect(material).toHaveLength(0);
    expect(new Set(versions.map((each) => Buffer.from(each.material).toString('hex'))).size).toBe(2);
    await retire(1);
    expect((await stored()).versions).toEqual([versions[1]]);
  });

  it('whose rotation broke off makes that version current next time', async () => {
    const { store, rotate, generate, verify, versions } = await start();
    let commits = 0;
    store.before = (method) => {
      if (method === 'commit' && ++commits === 2) throw new StoreUnavailableError('the test says so');
    };
    expect((await refusal(rotate()))[0]).toBe('KeyUnavailableException');
    store.before = () => {};
    expect(await versions()).toEqual(['1 current', '2']);
    const { mac, keyVersion } = await generate();
    expect(keyVersion).toBe(1);
    expect(await rotate()).toBe(2);
    expect(await versions()).toEqual(['1', '2 current']);
    expect(await verify(mac)).toMatchObject({ keyVersion: 1 });
  });

  it('has material that the service made', async () => {
    const { keys } = await start();
    const external = keys.createKey({ ...versioned, origin: Origin.EXTERNAL });
    expect((await refusal(external))[0]).toBe('UnsupportedOperationException');
  });
});

it('A version that another call has added since is not made current before its time', async () => {
  const clock = new FakeClock();
  const store = new ControlledStore();
  const running = await startService({ KEY_CACHE_TTL: '1s' }, { clock, store, sealer: openSealer });
  onTestFinished(async () => {
    await running[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
  });
  const { keys, rotation } = running.clients.gRPC;
  const { keyId } = (await keys.createKey(versioned)).keyMetadata!;
  const stateOf = async () => {
    const { versions, currentVersion } = (await storedKey(store, keyId))!;
    return { newest: versions.at(-1)!.version, currentVersion };
  };
  const rotate = async () => (await rotation.rotateKeyOnDemand({ keyId })).keyVersion;
  const first = rotate();
  await vi.waitFor(async () => expect(await stateOf()).toEqual({ newest: 2, currentVersion: 1 }));
  await delay(50);
  clock.advance(500);
  const second = rotate();
  await delay(100);
  // The first one's wait ends, and a third one adds a version, while the second one still waits for the version before.
  clock.advance(560);
  await vi.waitFor(async () => expect(await stateOf()).toEqual({ newest: 2, currentVersion: 2 }));
  const third = rotate();
  await vi.waitFor(async () => expect(await stateOf()).toEqual({ newest: 3, currentVersion: 2 }));
  await delay(50);
  clock.advance(520);
  await delay(200);
  expect(await stateOf()).toEqual({ newest: 3, currentVersion: 2 });
  clock.advance(600);
  await vi.waitFor(async () => expect(await stateOf()).toEqual({ newest: 3, currentVersion: 3 }));
  clock.advance(1_100);
  await delay(100);
  clock.advance(1_100);
  expect(await Promise.all([first, second, third])).toEqual([2, 2, 3]);
});

it('A key without versions is as on AWS', async () => {
  const { keys, mac, rotation } = await start();
  const made = await keys.createKey({ ...versioned, rotationEnabled: false });
  const { keyId } = made.keyMetadata!;
  expect(made.keyMetadata!.versions).toEqual([]);
  expect(await refusal(rotation.rotateKeyOnDemand({ keyId }))).toEqual(['UnsupportedOperationException', '']);
  const { mac: tag, keyVersion } = await mac.generateMac(macRequest(keyId));
  expect(keyVersion).toBe(0);
  expect((await mac.verifyMac({ ...macRequest(keyId), mac: tag })).keyVersion).toBe(0);
  expect(await refusal(mac.verifyMac({ ...macRequest(keyId), mac: randomBytes(32) }))).toEqual([
    'KMSInvalidMacException',
    '',
  ]);
});
