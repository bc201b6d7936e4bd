import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { MacAlgorithm } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { type RecordStore, StoreUnavailableError } from '../../src/records/record-store.ts';
import { RootKey } from '../../src/records/root-keys.ts';
import { RootKeySealer, type Sealer } from '../../src/records/sealer.ts';
import { openSqliteRecordStore } from '../../src/records/sqlite-record-store.ts';
import { makeKey } from '../macs/specs.ts';
import { alteredStore } from '../support/altered-store.ts';
import { failureOf, WIRES } from '../support/clients.ts';
import { startService } from '../support/running-service.ts';
import { failure } from './failing-calls.ts';
import { scrape } from './scrape.ts';

const CAUSE = 'redis://10.0.0.1 refused the secret of the operator';

/** A store whose reads fail while it is told to. */
function storeThatFails(error: () => Error): { store: RecordStore; fail: (failing: boolean) => void } {
  const inner = openSqliteRecordStore(':memory:');
  let failing = false;
  const store = alteredStore(inner, {
    getMany: async (paths) => {
      if (failing) throw error();
      return await inner.getMany(paths);
    },
  });
  return { store, fail: (wanted) => (failing = wanted) };
}

/** A sealer of one's own, which damages the record of a key when it opens it, once it is told to. */
function sealerThatDamages(storeId: string): { sealer: Sealer; damage: (keyArn: string) => void } {
  const inner = new RootKeySealer(storeId, [new RootKey(randomBytes(32))]);
  let damagedArn = '';
  const sealer: Sealer = {
    seal: (path, version, plaintext) => inner.seal(path, version, plaintext),
    open(record) {
      const value = Buffer.from(record.value);
      if (damagedArn.endsWith(`/${record.path.slice(-36)}`)) value[value.length - 1]! ^= 1;
      return inner.open({ ...record, value });
    },
  };
  return { sealer, damage: (keyArn) => (damagedArn = keyArn) };
}

const UNAVAILABLE = failure(
  'Unavailable',
  'KeyUnavailableException',
  'KEY_UNAVAILABLE',
  'The store of keys did not answer. You can retry the request.',
);
const INTERNAL = failure(
  'Internal',
  'KMSInternalException',
  'KMS_INTERNAL',
  'An internal exception occurred. You can retry the request.',
);
const request = { message: Buffer.from('m'), macAlgorithm: MacAlgorithm.HMAC_SHA_256 };

describe.each(WIRES)('over %s', (wire) => {
  it('KeyUnavailableException: the store does not answer; its reason is not shown, and the next call works', async () => {
    const { store, fail } = storeThatFails(() => new StoreUnavailableError(CAUSE));
    await using running = await startService({}, { store });
    const clients = running.clients[wire];
    const keyId = await makeKey(clients);
    fail(true);
    expect(await failureOf(clients.mac.generateMac({ ...request, keyId }))).toEqual(UNAVAILABLE);
    expect(await failureOf(clients.keys.describeKey({ keyId }))).toMatchObject({
      code: 'Unavailable',
      exception: 'KeyUnavailableException',
      message: UNAVAILABLE.message,
    });
    fail(false);
    expect((await clients.mac.generateMac({ ...request, keyId })).mac).toHaveLength(32);
    expect((await scrape(running.adminPort)).get('hmacd_store_errors_total')).toBe(2);
  });

  it('KMSInternalException: anything else; it is logged once with its cause, and not shown', async () => {
    const { store, fail } = storeThatFails(() => new TypeError(CAUSE));
    await using running = await startService({}, { store });
    const clients = running.clients[wire];
    const keyId = await makeKey(clients);
    fail(true);
    expect(await failureOf(clients.mac.generateMac({ ...request, keyId }))).toEqual(INTERNAL);
    const logged = running.logged.filter((line) => line.includes(CAUSE));
    expect(logged).toHaveLength(1);
    expect(JSON.parse(logged[0]!)).toMatchObject({ level: 50, operation: 'GenerateMac', err: { type: 'TypeError' } });
    fail(false);
    expect((await clients.mac.generateMac({ ...request, keyId })).mac).toHaveLength(32);
  });

  it('KMSInternalException: the record of a key does not open; others are served', async () => {
    const store = openSqliteRecordStore(':memory:');
    const { sealer, damage } = sealerThatDamages(store.storeId);
    await using running = await startService({}, { store, sealer });
    const clients = running.clients[wire];
    const [damaged, sound] = [await makeKey(clients), await makeKey(clients)];
    await clients.mac.generateMac({ ...request, keyId: sound });
    damage(damaged);
    expect(await failureOf(clients.mac.generateMac({ ...request, keyId: damaged }))).toEqual(INTERNAL);
    expect((await clients.mac.generateMac({ ...request, keyId: sound })).mac).toHaveLength(32);
    expect((await scrape(running.adminPort)).get('hmacd_damaged_records_total')).toBe(1);
  });
});
