import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { describe, expect, it, onTestFinished } from 'vitest';
import { LastUsageOperation } from '../../src/gen/hmacd/v1/key_pb.ts';
import { LastUsages } from '../../src/keys/last-usages.ts';
import { StoreUnavailableError } from '../../src/records/record-store.ts';
import { ControlledStore } from '../records/controlled-store.ts';
import { failureOf, WIRES } from '../support/clients.ts';
import { sqliteDeployment } from '../support/deployment.ts';
import { FakeClock, startService } from '../support/running-service.ts';
import { macRequest, makeKey, openSealerWithDamage, paths, recordsOf } from './fixture.ts';

const { GENERATE_MAC, VERIFY_MAC } = LastUsageOperation;
const UUID = /^[0-9a-f-]{36}$/;

/** Two replicas on one store. */
function start() {
  const store = new ControlledStore();
  onTestFinished(() => store[Symbol.asyncDispose]());
  const clock = new FakeClock();
  const failures: unknown[] = [];
  const replica = () => new LastUsages(recordsOf(store, clock), paths, clock, (error) => failures.push(error));
  return { store, clock, failures, one: replica(), other: replica() };
}
const call = { requestId: 'a request' } as never;
const usage = (operation: LastUsageOperation, time: number) => ({
  operation,
  timestamp: timestampFromMs(time),
  kmsRequestId: 'a request',
});

describe.each(WIRES)('GetKeyLastUsage over %s', (wire) => {
  it('tells of the last MAC that was made or verified, and of no other call', async () => {
    const clock = new FakeClock();
    await using running = await startService({}, { clock });
    const { keys, mac } = running.clients[wire];
    const { keyId, arn } = await makeKey(running.clients[wire]);
    const made = timestampFromMs(clock.now());
    const never = await keys.getKeyLastUsage({ keyId });
    expect(never).toMatchObject({ keyId: arn, keyCreationDate: made, trackingStartDate: made });
    expect(never.keyLastUsage).toMatchObject({ operation: 0 });
    expect(never.keyLastUsage).not.toHaveProperty('timestamp');
    const last = async () => (await keys.getKeyLastUsage({ keyId: arn })).keyLastUsage!;
    clock.advance(1_000);
    const request = macRequest(keyId);
    const { mac: tag } = await mac.generateMac(request);
    const generated = await last();
    expect(generated).toMatchObject({ operation: GENERATE_MAC, timestamp: timestampFromMs(clock.now()) });
    expect(generated.kmsRequestId).toMatch(UUID);
    clock.advance(1_000);
    await failureOf(mac.generateMac({ ...request, dryRun: true }));
    await failureOf(mac.verifyMac({ ...request, mac: Buffer.from('x') }));
    await keys.describeKey({ keyId });
    expect(await last()).toEqual(generated);
    await mac.verifyMac({ ...request, mac: tag });
    expect(await last()).toMatchObject({ operation: VERIFY_MAC, timestamp: timestampFromMs(clock.now()) });
  });
});

describe('last usages', () => {
  it('outlive the service', async () => {
    const { settings } = sqliteDeployment();
    let keyId = '';
    {
      await using running = await startService(settings);
      keyId = (await makeKey(running.clients.gRPC)).keyId;
      await running.clients.gRPC.mac.generateMac(macRequest(keyId));
    }
    await using running = await startService(settings);
    const { keyLastUsage } = await running.clients.gRPC.keys.getKeyLastUsage({ keyId });
    expect(keyLastUsage!.operation).toBe(GENERATE_MAC);
  });

  it('are the latest of all replicas, whichever stores them last', async () => {
    const { clock, one, other } = start();
    one.note('key', GENERATE_MAC, call);
    clock.advance(1);
    other.note('key', VERIFY_MAC, call);
    const later = clock.now();
    await other.sweep();
    await one.sweep();
    expect(await one.of('key')).toMatchObject(usage(VERIFY_MAC, later));
    one.note('key', GENERATE_MAC, call);
    clock.advance(1);
    other.note('key', VERIFY_MAC, call);
    await other.sweep();
    // It has noted an earlier one itself.
    expect(await one.of('key')).toMatchObject(usage(VERIFY_MAC, clock.now()));
  });

  it('are stored once a sweep, however often a key is used, and not when it is not', async () => {
    const { store, clock, one } = start();
    for (let n = 0; n < 1_000; n++) {
      clock.advance(1);
      for (let key = 0; key < 3; key++) one.note(`key-${key}`, GENERATE_MAC, call);
    }
    const before = store.counts.commit;
    await one.sweep();
    expect(store.counts.commit).toBe(before + 1);
    await one.sweep();
    expect(store.counts.commit).toBe(before + 1);
  });

  it('are told while they are being stored', async () => {
    const { store, clock, one } = start();
    one.note('key', GENERATE_MAC, call);
    let told: unknown;
    store.before = async (method) => {
      if (method === 'commit') told = await one.of('key');
    };
    await one.sweep();
    expect(told).toMatchObject(usage(GENERATE_MAC, clock.now()));
  });

  it('are told where what was stored before is damaged', async () => {
    const { store, clock } = start();
    const damaged = new Set<string>();
    const records = recordsOf(store, clock, openSealerWithDamage(damaged));
    const usages = new LastUsages(records, paths, clock, () => {});
    usages.note('key', GENERATE_MAC, call);
    await usages.sweep();
    damaged.add(paths.lastUsage('key'));
    expect(await usages.of('key')).toBeUndefined();
    usages.note('key', VERIFY_MAC, call);
    expect(await usages.of('key')).toMatchObject(usage(VERIFY_MAC, clock.now()));
  });

  it('of more keys than go into a commit are stored all', async () => {
    const { one, other } = start();
    for (let key = 0; key < 450; key++) one.note(`key-${key}`, GENERATE_MAC, call);
    await one.sweep();
    for (const key of [0, 199, 200, 449]) expect((await other.of(`key-${key}`))?.operation).toBe(GENERATE_MAC);
  });

  it('are left for later while the store does not answer, which is told once', async () => {
    const { store, failures, one, other } = start();
    for (let key = 0; key < 650; key++) one.note(`key-${key}`, GENERATE_MAC, call);
    let commits = 0;
    store.before = (method) => {
      if (method === 'commit' && ++commits > 1) throw new StoreUnavailableError('the test says so');
    };
    await one.sweep();
    expect(commits).toBe(2);
    expect(failures).toMatchObject([{ message: 'the test says so' }]);
    expect((await other.of('key-0'))?.operation).toBe(GENERATE_MAC);
    expect(await other.of('key-649')).toBeUndefined();
    expect((await one.of('key-649'))?.operation).toBe(GENERATE_MAC);
    store.before = () => {};
    await one.sweep();
    for (const key of [199, 200, 400, 649]) expect((await other.of(`key-${key}`))?.operation).toBe(GENERATE_MAC);
  });

  it('of one batch that cannot be stored do not keep the others', async () => {
    const { store, failures, one, other } = start();
    for (let key = 0; key < 450; key++) one.note(`key-${key}`, GENERATE_MAC, call);
    let commits = 0;
    store.before = (method) => {
      if (method === 'commit' && ++commits === 1) throw new Error('the test says so');
    };
    await one.sweep();
    expect(failures).toMatchObject([{ message: 'the test says so' }]);
    expect(await other.of('key-0')).toBeUndefined();
    expect((await other.of('key-449'))?.operation).toBe(GENERATE_MAC);
    await one.sweep();
    expect((await other.of('key-0'))?.operation).toBe(GENERATE_MAC);
  });

  it('that could not be stored are told, kept, and stored later, unless there are later ones', async () => {
    const { store, clock, failures, one, other } = start();
    one.note('key', GENERATE_MAC, call);
    one.note('another', GENERATE_MAC, call);
    store.before = (method) => {
      if (method === 'commit') throw new StoreUnavailableError('the test says so');
    };
    const swept = one.sweep();
    clock.advance(1);
    one.note('key', VERIFY_MAC, call);
    await swept;
    expect(failures).toHaveLength(1);
    store.before = () => {};
    await one.sweep();
    expect((await other.of('key'))?.operation).toBe(VERIFY_MAC);
    expect((await other.of('another'))?.operation).toBe(GENERATE_MAC);
  });
});
