import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { BackupHeaderSchema } from '../../src/gen/hmacd/store/v1/backup_pb.ts';
import { backUp } from '../../src/records/back-up.ts';
import { BackupReader } from '../../src/records/backup-reader.ts';
import type { Commit, RecordStore, StoredRecord } from '../../src/records/record-store.ts';
import { RootKey } from '../../src/records/root-keys.ts';
import { ControlledStore } from './controlled-store.ts';
import { makeRecord } from './record-store-contract.ts';

const folder = mkdtempSync(join(tmpdir(), 'hmacd-snapshot-'));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
const rootKey = new RootKey(randomBytes(32));
const pathOf = (n: number): string => `a/${String(n).padStart(4, '0')}`;

async function backedUp(store: RecordStore): Promise<StoredRecord[]> {
  const path = join(folder, String(++files));
  const rootKeyId = rootKey.id.toString('hex');
  const header = create(BackupHeaderSchema, { storeId: store.storeId, rootKeyId, salt: randomBytes(32) });
  const count = await backUp(store, header, rootKey, path, () => {});
  using reader = new BackupReader(path, [rootKey]);
  reader.verify(() => {});
  const records = [...reader.records()];
  expect(records).toHaveLength(count);
  return records;
}

/** A store of 1,000 records, until the test ends. */
async function storeOfMany(logLength = 10_000): Promise<ControlledStore> {
  const store = new ControlledStore({ logLength });
  onTestFinished(() => store[Symbol.asyncDispose]());
  for (let start = 0; start < 1_000; start += 500) {
    const put = Array.from({ length: 500 }, (_, n) => makeRecord(pathOf(start + n), '0'));
    await store.commit({ expect: [], put, remove: [] });
  }
  return store;
}

const change = (commit: Partial<Commit>): Commit => ({ expect: [], put: [], remove: [], ...commit });

describe('a backup of a store that changes', () => {
  it('has its records as of one moment, whatever was changed, made and removed while they were read', async () => {
    const store = await storeOfMany();
    let pages = 0;
    store.after = async (method) => {
      if (method !== 'list') return;
      pages++;
      // Some of what was read and some of what was not, in one commit.
      await store.commit(
        change({
          put: [pathOf(3), pathOf(100), pathOf(700), `a/0000-${pages}`, `b/${pages}`].map((path) => makeRecord(path)),
          remove: [pathOf(4 + pages), pathOf(800 + pages)],
        }),
      );
    };
    const records = await backedUp(store);
    store.after = () => {};
    expect(pages).toBeGreaterThan(4);
    const now = await store.list('', '', 1_001);
    expect(records.map(({ path, version }) => [path, version])).toEqual(
      now.map(({ path, version }) => [path, version]),
    );
  });

  it('has what was changed while the changes were read', async () => {
    const store = await storeOfMany();
    let left = 5;
    store.before = async (method) => {
      if (method === 'getMany' && left-- > 0) await store.commit(change({ put: [makeRecord(pathOf(left), 'late')] }));
    };
    store.after = async (method, argument) => {
      if (method === 'list' && argument === '' && left === 5) {
        left = 4;
        await store.commit(change({ put: [makeRecord(pathOf(0), 'early'), makeRecord(pathOf(9), 'early')] }));
      }
    };
    const records = await backedUp(store);
    expect(left).toBeLessThan(0);
    expect(records.map(({ version }) => version)).toEqual(
      (await store.list('', '', 1_001)).map(({ version }) => version),
    );
  });

  it('is begun anew when the log of changes does not reach back', async () => {
    const store = await storeOfMany(2);
    let storms = 2;
    store.after = async (method) => {
      if (method !== 'list' || storms-- <= 0) return;
      for (let n = 0; n < 4; n++) await store.commit(change({ put: [makeRecord(pathOf(n), 'x')] }));
    };
    const records = await backedUp(store);
    expect(storms).toBeLessThan(0);
    expect(records.map(({ version }) => version)).toEqual(
      (await store.list('', '', 1_001)).map(({ version }) => version),
    );
  });

  it('is given up when the log never reaches back', async () => {
    const store = await storeOfMany(2);
    store.after = async (method) => {
      if (method !== 'list') return;
      for (let n = 0; n < 4; n++) await store.commit(change({ put: [makeRecord(pathOf(n), 'x')] }));
    };
    await expect(backedUp(store)).rejects.toThrow('the store changes faster than it can be backed up');
  });
});
