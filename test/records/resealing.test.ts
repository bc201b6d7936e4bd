import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { PendingDeletionSchema as Schema } from '../../src/gen/hmacd/store/v1/records_pb.ts';
import { ChangeFollower } from '../../src/records/change-follower.ts';
import { agreeOnDeployment, sealAsAgreed } from '../../src/records/deployment-record.ts';
import { DeploymentWatch } from '../../src/records/deployment-watch.ts';
import { type Commit, type RecordStore, StoreUnavailableError } from '../../src/records/record-store.ts';
import { createRecord, Records, replaceRecord } from '../../src/records/records.ts';
import { resealRecords } from '../../src/records/resealing.ts';
import { RootKeyChange, RootKeyChangedError } from '../../src/records/root-key-change.ts';
import { RootKey } from '../../src/records/root-keys.ts';
import { rootKeyIdOf, RootKeySealer } from '../../src/records/sealer.ts';
import { alteredStore } from '../support/altered-store.ts';
import { FakeClock } from '../support/running-service.ts';
import { ControlledStore } from './controlled-store.ts';

const ACCOUNT = '000000000000';
const AGREEMENT = {
  deployment: { partition: 'aws', region: 'us-east-1', accountId: ACCOUNT },
  keyCacheTtl: 1_000,
};
const [former, next] = [new RootKey(Buffer.alloc(32, 1)), new RootKey(Buffer.alloc(32, 2))];
const [formerId, nextId] = [former, next].map((key) => key.id.toString('hex')) as [string, string];
const pathOf = (n: number): string => `${ACCOUNT}/key/${String(n).padStart(4, '0')}`;

/** A store with some records that are sealed under the former root key. */
async function begin(count = 0) {
  const clock = new FakeClock();
  const store = new ControlledStore({ exclusive: true });
  onTestFinished(() => store[Symbol.asyncDispose]());
  /** Somebody who has these root keys. */
  const open = (...rootKeys: [RootKey, ...RootKey[]]) => {
    const sealer = new RootKeySealer(store.storeId, rootKeys);
    // It follows what others change, while a commit does not wait for them: the test lets the time pass.
    const follower = new ChangeFollower(alteredStore(store, { exclusive: false }), 1_000, clock, () => {});
    return { sealer, follower, records: new Records(store, sealer, follower, clock) };
  };
  const { records } = open(former);
  await agreeOnDeployment(records, store, AGREEMENT, [formerId]);
  for (let n = 0; n < count; n++) {
    await records.commit([createRecord(pathOf(n), Schema, { keyId: String(n) })], 'adds');
  }
  const operator = open(next, former);
  const change = new RootKeyChange(operator.records, operator.sealer, ACCOUNT, nextId);
  /** A replica that polls when it is told to. */
  const replica = (...rootKeys: [RootKey, ...RootKey[]]) => {
    const opened = open(...rootKeys);
    const fatal: string[] = [];
    opened.follower.listen(
      new DeploymentWatch(opened.records, AGREEMENT, opened.sealer, (sentence) => fatal.push(sentence)),
    );
    const poll = async (): Promise<void> => {
      clock.advance(2_000);
      await opened.follower.held();
    };
    const start = async (): Promise<void> => {
      sealAsAgreed(await agreeOnDeployment(opened.records, store, AGREEMENT, opened.sealer.rootKeyIds), opened.sealer);
      await poll();
    };
    return { ...opened, fatal, start, poll };
  };
  return { store, open, change, operator, replica };
}

/** Seals all records anew; none may be damaged. */
const resealAll = async (store: RecordStore, sealer: RootKeySealer, rootKeyId: string) =>
  await resealRecords(store, sealer, rootKeyId, (error) => {
    throw error;
  });

const rootKeyIdsIn = async (store: ControlledStore): Promise<string[]> =>
  [...new Set((await store.everything()).map(({ value }) => rootKeyIdOf(value)))].toSorted();

describe('records that are sealed anew', () => {
  it('are the same under another root key, and those that are so already stay as they are', async () => {
    const { store, change, operator, open } = await begin(120);
    await change.begin();
    const before = await store.everything();
    const walk = { recordCount: 121, damagedCount: 0 };
    expect(await resealAll(store, operator.sealer, nextId)).toEqual({ ...walk, resealedCount: 120 });
    const after = await store.everything();
    expect(after.map(({ path }) => path)).toEqual(before.map(({ path }) => path));
    expect(after.filter(({ version }, n) => version === before[n]!.version).map(({ path }) => path)).toEqual([
      `${ACCOUNT}/deployment`,
    ]);
    const { records } = open(next);
    for (let n = 0; n < 120; n++) expect((await records.get(Schema, pathOf(n)))!.message.keyId).toBe(String(n));
    expect(await resealAll(store, operator.sealer, nextId)).toEqual({ ...walk, resealedCount: 0 });
    expect(await store.everything()).toEqual(after);
  });

  it('leave the store to others for as long as they took', async () => {
    const { store, change, operator } = await begin(120);
    await change.begin();
    const idle: number[] = [];
    let last: number | undefined;
    store.before = async (method) => {
      if (method !== 'commit') return;
      if (last !== undefined) idle.push(performance.now() - last);
      await delay(50);
    };
    store.after = (method) => void (method === 'commit' && (last = performance.now()));
    await resealAll(store, operator.sealer, nextId);
    expect(idle).toHaveLength(2);
    for (const milliseconds of idle) expect(milliseconds).toBeGreaterThan(45);
  });

  it('are those of another writer, where one came first', async () => {
    const { store, change, operator, open, replica } = await begin(10);
    await change.begin();
    const other = replica(former, next);
    await other.start();
    store.before = async (method) => {
      if (method !== 'commit') return;
      store.before = () => {};
      const found = await other.records.get(Schema, pathOf(4));
      await other.records.commit([replaceRecord(found!, Schema, { keyId: 'newer' })], 'adds');
    };
    // That one is under the root key by then.
    expect((await resealAll(store, operator.sealer, nextId)).resealedCount).toBe(9);
    expect((await open(next).records.get(Schema, pathOf(4)))!.message.keyId).toBe('newer');
  });

  it('stay as they are when they do not open, and are told', async () => {
    const { store, change, operator } = await begin(3);
    await change.begin();
    const [, , damaged] = await store.everything();
    const value = Buffer.from(damaged!.value);
    value[value.length - 1]! ^= 1;
    await store.commit({ expect: [], put: [{ ...damaged!, value }], remove: [] });
    const told: string[] = [];
    const walk = await resealRecords(store, operator.sealer, nextId, ({ message }) => told.push(message));
    expect(walk).toEqual({ recordCount: 4, resealedCount: 2, damagedCount: 1 });
    expect(told).toEqual([expect.stringContaining(damaged!.path)]);
  });

  it('are left to another root key, when that is to seal meanwhile', async () => {
    const { store, change, operator, open } = await begin(120);
    await change.begin();
    let commits = 0;
    store.before = async (method) => {
      if (method !== 'commit' || ++commits !== 2) return;
      store.before = () => {};
      const { records, sealer } = open(former, next);
      await new RootKeyChange(records, sealer, ACCOUNT, formerId).begin();
    };
    await expect(resealAll(store, operator.sealer, nextId)).rejects.toThrow(RootKeyChangedError);
    expect(await rootKeyIdsIn(store)).toEqual([formerId, nextId].toSorted());
    const { resealedCount } = await resealAll(store, open(former, next).sealer, formerId);
    expect(resealedCount).toBe(50);
  });
});

describe('a change of the root key', () => {
  it('makes replicas that have it seal under it, and only when all others can open that', async () => {
    const { store, change, replica } = await begin();
    const one = replica(former, next);
    await one.poll();
    const sealedUnder = (): string => rootKeyIdOf(one.sealer.seal('a', 'b', Buffer.alloc(1)));
    const seen: string[] = [];
    store.after = async (method) => {
      if (method !== 'commit') return;
      store.after = () => {};
      // It was announced.
      await one.poll();
      seen.push(sealedUnder());
    };
    await change.begin();
    await one.poll();
    expect([...seen, sealedUnder()]).toEqual([formerId, nextId]);
    expect(one.fatal).toEqual([]);
  });

  it('is refused while a replica lacks it, which goes on, and is over for all', async () => {
    const { store, change, replica } = await begin();
    const [without, both] = [replica(former), replica(next, former)];
    for (const one of [without, both]) await one.poll();
    store.after = async (method) => {
      if (method !== 'commit') return;
      store.after = () => {};
      for (const one of [without, both]) await one.poll();
    };
    await expect(change.begin()).rejects.toThrow(
      new RegExp(`^the root key ${nextId} is not in HMACD_ROOT_KEY_FILE of process ${process.pid} on `),
    );
    for (const one of [without, both]) {
      await one.poll();
      expect(one.fatal).toEqual([]);
    }
    expect(await store.paths()).toEqual([`${ACCOUNT}/deployment`]);
    expect((await change.agreed()).message).toMatchObject({ rootKeyId: formerId, otherRootKeyIds: [] });
    expect(await rootKeyIdsIn(store)).toEqual([formerId]);
    await change.begin();
  });

  it.each([1, 2])('that ended after its commit %i is gone on with', async (commits) => {
    const { store, change, replica } = await begin(3);
    let left = commits;
    store.after = (method) => {
      if (method === 'commit' && --left === 0) throw new Error('killed');
    };
    await expect(change.begin()).rejects.toThrow('killed');
    store.after = () => {};
    await change.begin();
    const agreed = await change.agreed();
    expect(agreed.message).toMatchObject({ rootKeyId: nextId, otherRootKeyIds: [formerId] });
    await change.end(agreed);
    expect((await change.agreed()).message).toMatchObject({ rootKeyId: nextId, otherRootKeyIds: [] });
    const one = replica(next);
    await one.poll();
    expect(one.fatal).toEqual([]);
  });

  it('keeps out what was sealed before it, however late that comes, which is sealed anew', async () => {
    const { store, change, replica } = await begin();
    const [late, prompt] = [replica(former, next), replica(former, next)];
    for (const one of [late, prompt]) await one.start();
    const sealedUnder: string[] = [];
    store.before = async (method, argument) => {
      const record = method === 'commit' ? (argument as Commit).put[0] : undefined;
      if (record?.path !== pathOf(2)) return;
      sealedUnder.push(rootKeyIdOf(record.value));
      if (sealedUnder.length > 1) return;
      // It is on its way when the root key is changed.
      await change.begin();
      await prompt.records.commit([createRecord(pathOf(1), Schema, {})], 'adds');
    };
    await late.records.commit([createRecord(pathOf(2), Schema, {})], 'adds');
    expect(sealedUnder).toEqual([formerId, nextId]);
    expect(await rootKeyIdsIn(store)).toEqual([nextId]);
    expect(await store.paths()).toEqual([`${ACCOUNT}/deployment`, pathOf(1), pathOf(2)]);
  });

  it('is objected to at the next poll, when the objection of this one meets another change', async () => {
    const { store, change, replica } = await begin();
    const without = replica(former);
    await without.start();
    const objection = /\/root-key-objection\//;
    const putObjection = async (method: string, argument: unknown): Promise<void> => {
      const [record] = method === 'commit' ? (argument as Commit).put : [];
      if (record === undefined || !objection.test(record.path)) return;
      store.before = () => {};
      await store.commit({ expect: [], put: [{ ...record, version: crypto.randomUUID() }], remove: [] });
    };
    let lists = 0;
    store.before = async (method) => {
      if (method !== 'list' || ++lists !== 2) return;
      store.before = putObjection;
      await expect(without.poll()).rejects.toThrow(StoreUnavailableError);
      expect(without.follower.holds()).toBe(false);
      await without.poll();
    };
    await expect(change.begin()).rejects.toThrow(`process ${process.pid} on `);
    expect(without.fatal).toEqual([]);
  });

  it('does not begin when another one comes between', async () => {
    const { store, open } = await begin();
    const third = new RootKey(Buffer.alloc(32, 3));
    const changeTo = (rootKey: RootKey): RootKeyChange => {
      const { records, sealer } = open(former, next, third);
      return new RootKeyChange(records, sealer, ACCOUNT, rootKey.id.toString('hex'));
    };
    store.after = async (method) => {
      if (method !== 'commit') return;
      store.after = () => {};
      await changeTo(third).begin();
    };
    await expect(changeTo(next).begin()).rejects.toThrow(RootKeyChangedError);
  });

  it('does not take it for consent that another one has removed what replicas objected to', async () => {
    const { store, change, open, replica } = await begin();
    const without = replica(former);
    await without.start();
    /** When it looks for who objects to what it has announced. */
    const meanwhile = (act: () => Promise<void>): void => {
      let lists = 0;
      store.before = async (method) => {
        if (method !== 'list' || ++lists !== 2) return;
        store.before = () => {};
        await without.poll();
        await act();
      };
    };
    meanwhile(async () => {
      store.after = (again) => {
        if (again === 'commit') throw new Error('killed');
      };
      const { records, sealer } = open(next, former);
      await expect(new RootKeyChange(records, sealer, ACCOUNT, nextId).begin()).rejects.toThrow('killed');
      store.after = () => {};
    });
    await expect(change.begin()).rejects.toThrow(RootKeyChangedError);
    await without.poll();
    expect(without.fatal).toEqual([]);
    expect(await rootKeyIdsIn(store)).toEqual([formerId]);
    meanwhile(async () => {});
    await expect(change.begin()).rejects.toThrow('until this has ended, a replica without it does not start');
  });

  it('does not end when another one came between', async () => {
    const { change, open } = await begin();
    await change.begin();
    const agreed = await change.agreed();
    const { records, sealer } = open(former, next);
    await new RootKeyChange(records, sealer, ACCOUNT, formerId).begin();
    await expect(change.end(agreed)).rejects.toThrow(RootKeyChangedError);
  });

  it('keeps out who lacks a root key that is still needed, and stops who has not followed', async () => {
    const { store, change, open, replica } = await begin();
    const late = replica(former);
    await late.poll();
    await change.begin();
    await expect(late.poll()).rejects.toThrow(`the store was sealed under the root key ${nextId}`);
    expect(late.fatal).toEqual([
      expect.stringMatching(
        `^the store was sealed under the root key ${nextId}, and HMACD_ROOT_KEY_FILE has ${formerId} `,
      ),
    ]);
    const tooEarly = open(next);
    const without = new RootKeyChange(tooEarly.records, tooEarly.sealer, ACCOUNT, nextId);
    await expect(without.agreed()).rejects.toThrow(
      `records of the store are sealed under the root key ${formerId}, or are about to be, and HMACD_ROOT_KEY_FILE has ${nextId};`,
    );
    expect(await rootKeyIdsIn(store)).toEqual([nextId]);
  });
});
