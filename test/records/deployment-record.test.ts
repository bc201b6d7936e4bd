import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { DeploymentSchema } from '../../src/gen/hmacd/store/v1/records_pb.ts';
import { ChangeFollower } from '../../src/records/change-follower.ts';
import { type Agreement, agreeOnDeployment, sealAsAgreed } from '../../src/records/deployment-record.ts';
import { createRecord, Records } from '../../src/records/records.ts';
import { RootKey } from '../../src/records/root-keys.ts';
import { RootKeySealer } from '../../src/records/sealer.ts';
import { ControlledStore } from './controlled-store.ts';

const [rootKey, otherRootKey] = [new RootKey(Buffer.alloc(32, 1)), new RootKey(Buffer.alloc(32, 2))];
const AGREEMENT: Agreement = {
  deployment: { partition: 'aws', region: 'us-east-1', accountId: '000000000000' },
  keyCacheTtl: 1_000,
};
const PATH = '000000000000/deployment';

function open(): ControlledStore {
  const store = new ControlledStore();
  onTestFinished(() => store[Symbol.asyncDispose]());
  return store;
}

function recordsOf(store: ControlledStore, keys: [RootKey, ...RootKey[]], ttl = AGREEMENT.keyCacheTtl): Records {
  const follower = new ChangeFollower(store, ttl, systemClock, () => {});
  return new Records(store, new RootKeySealer(store.storeId, keys), follower, systemClock);
}

/** A replica that starts on a store. */
async function agree(
  store: ControlledStore,
  agreement: Agreement = AGREEMENT,
  keys: [RootKey, ...RootKey[]] = [rootKey],
) {
  await agreeOnDeployment(
    recordsOf(store, keys, agreement.keyCacheTtl),
    store,
    agreement,
    keys.map(({ id }) => id.toString('hex')),
  );
}

const setTo = (change: Partial<Agreement['deployment']>): Agreement => ({
  ...AGREEMENT,
  deployment: { ...AGREEMENT.deployment, ...change },
});

describe('the deployment of a store', () => {
  it('is written down by the first replica, and left alone by the others', async () => {
    const store = open();
    await agree(store);
    const written = await store.everything();
    expect(written.map(({ path }) => path)).toEqual([PATH]);
    await agree(store);
    await agree(store);
    expect(await store.everything()).toEqual(written);
  });

  it('is agreed on by replicas that start at the same time', async () => {
    const store = open();
    // Every answer takes a turn, so that they come between each other.
    store.after = () => new Promise((resolve) => setImmediate(resolve));
    await Promise.all([agree(store), agree(store), agree(store)]);
    expect(await store.paths()).toEqual([PATH]);
  });

  it('is that of the first of two that start at the same time and do not agree', async () => {
    const store = open();
    store.after = () => new Promise((resolve) => setImmediate(resolve));
    const started = await Promise.allSettled([agree(store), agree(store, setTo({ region: 'eu-west-1' }))]);
    expect(started.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  });

  it.each([
    [
      'Region',
      setTo({ region: 'eu-west-1' }),
      'the store was made for the region us-east-1, and this service is set to eu-west-1',
    ],
    [
      'partition',
      setTo({ partition: 'aws-cn' }),
      'the store was made for the partition aws, and this service is set to aws-cn',
    ],
    [
      'account',
      setTo({ accountId: '111111111111' }),
      'the store was made for the accountId 000000000000, and this service is set to 111111111111',
    ],
    [
      'key cache TTL',
      { ...AGREEMENT, keyCacheTtl: 2_000 },
      'the store\'s key cache TTL is 1000ms, and HMACD_KEY_CACHE_TTL is 2000ms; to change it, stop every replica and run "hmacd set-key-cache-ttl 2000ms"',
    ],
  ])('stops a replica of another %s', async (_, agreement, sentence) => {
    const store = open();
    await agree(store);
    const before = await store.everything();
    await expect(agree(store, agreement)).rejects.toThrow(new Error(sentence));
    expect(await store.everything()).toEqual(before);
  });

  it('stops a replica with another root key, and names both', async () => {
    const store = open();
    await agree(store);
    const [id, otherId] = [rootKey.id.toString('hex'), otherRootKey.id.toString('hex')];
    const third = new RootKey(Buffer.alloc(32, 3));
    await expect(agree(store, AGREEMENT, [otherRootKey, third])).rejects.toThrow(
      `the store was sealed under the root key ${id}, and HMACD_ROOT_KEY_FILE has ${otherId}, ${third.id.toString('hex')}`,
    );
    await agree(store, AGREEMENT, [otherRootKey, rootKey]);
  });

  it('that does not say yet which root key seals is told by the first replica', async () => {
    const store = open();
    const records = recordsOf(store, [rootKey]);
    const { deployment, keyCacheTtl } = AGREEMENT;
    await records.commit([createRecord(PATH, DeploymentSchema, { ...deployment, keyCacheTtlMs: keyCacheTtl })], 'adds');
    const found = await records.get(DeploymentSchema, PATH);
    const sealer = new RootKeySealer(store.storeId, [rootKey]);
    expect(() => sealAsAgreed(found!, sealer)).toThrow('start a replica on it first');
    const keys: [RootKey, RootKey] = [rootKey, otherRootKey];
    await Promise.all([agree(store, AGREEMENT, keys), agree(store, AGREEMENT, keys)]);
    expect((await records.get(DeploymentSchema, PATH))?.message.rootKeyId).toBe(rootKey.id.toString('hex'));
  });

  it('that was changed in the store stops every replica', async () => {
    const store = open();
    await agree(store);
    const [record] = await store.everything();
    const value = Buffer.from(record!.value);
    value[value.length - 1]! ^= 1;
    await store.commit({ expect: [], put: [{ ...record!, value }], remove: [] });
    await expect(agree(store)).rejects.toThrow(
      /^the store is damaged \(the record at .* does not open: it was changed/,
    );
  });

  it('that was taken out of a store with records stops every replica, and is not made anew', async () => {
    const store = open();
    await agree(store);
    const record = { path: '000000000000/key/x', version: crypto.randomUUID(), value: Buffer.alloc(0) };
    await store.commit({ expect: [], put: [record], remove: [PATH] });
    await expect(agree(store)).rejects.toThrow(
      new Error('the store has records, but none that says what it was made for: it is damaged'),
    );
    expect(await store.paths()).toEqual(['000000000000/key/x']);
  });
});
