import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { BackupHeaderSchema } from '../../src/gen/hmacd/store/v1/backup_pb.ts';
import { backUp } from '../../src/records/back-up.ts';
import { BackupReader } from '../../src/records/backup-reader.ts';
import type { RecordStore, StoredRecord } from '../../src/records/record-store.ts';
import { restore } from '../../src/records/restore.ts';
import { RootKey } from '../../src/records/root-keys.ts';
import { openSqliteRecordStore } from '../../src/records/sqlite-record-store.ts';
import { beginSqliteRestoration } from '../../src/records/sqlite-restoration.ts';
import { alteredStore } from '../support/altered-store.ts';
import { ControlledStore } from './controlled-store.ts';
import { makeRecord } from './record-store-contract.ts';

const folder = mkdtempSync(join(tmpdir(), 'hmacd-backup-'));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
const newPath = (): string => join(folder, String(++files));

const [rootKey, otherRootKey] = [new RootKey(randomBytes(32)), new RootKey(randomBytes(32))];
const nothing = (): void => {};

function headerOf(storeId: string) {
  const rootKeyId = rootKey.id.toString('hex');
  return create(BackupHeaderSchema, { storeId, accountId: 'a', rootKeyId, salt: randomBytes(32) });
}

const backUpTo = async (store: RecordStore, path: string): Promise<number> =>
  await backUp(store, headerOf(store.storeId), rootKey, path, nothing);

/** The records of a backup that was found to be genuine. */
function recordsIn(path: string): StoredRecord[] {
  using reader = new BackupReader(path, [rootKey]);
  reader.verify(nothing);
  return [...reader.records()];
}

/** A store with records, until the test ends. */
async function storeOf(...records: StoredRecord[]): Promise<ControlledStore> {
  const store = new ControlledStore();
  onTestFinished(() => store[Symbol.asyncDispose]());
  for (let start = 0; start < records.length; start += 500) {
    await store.commit({ expect: [], put: records.slice(start, start + 500), remove: [] });
  }
  return store;
}

function refusalOf(bytes: Buffer, rootKeys = [rootKey]): string {
  const path = newPath();
  writeFileSync(path, bytes);
  try {
    using reader = new BackupReader(path, rootKeys);
    reader.verify(nothing);
  } catch (error) {
    return (error as Error).message.replace(path, 'FILE');
  }
  return 'none';
}

describe('a backup', () => {
  it('has all records as they are, for its owner alone, and nothing is beside it', async () => {
    const records = Array.from({ length: 450 }, (_, n) => makeRecord(`a/${String(n).padStart(3, '0')}`, String(n)));
    const place = newPath();
    const path = `${place}.backup`;
    expect(await backUpTo(await storeOf(...records), path)).toBe(450);
    expect(recordsIn(path).map((record) => ({ ...record, value: Buffer.from(record.value) }))).toEqual(
      records.map((record) => ({ ...record, value: Buffer.from(record.value) })),
    );
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder).filter((name) => name.includes('unfinished'))).toEqual([]);
  });

  it('has records of the longest value there is', async () => {
    const path = newPath();
    const record = { ...makeRecord(`a/${'x'.repeat(1_000)}`), value: randomBytes(1024 * 1024) };
    await backUpTo(await storeOf(record), path);
    expect(Buffer.from(recordsIn(path)[0]!.value).equals(record.value)).toBe(true);
  });

  it('takes the place of no file', async () => {
    const path = newPath();
    writeFileSync(path, 'precious');
    await expect(backUpTo(await storeOf(makeRecord('a')), path)).rejects.toThrow(
      `${path} exists; a backup takes the place of no other file`,
    );
    expect(readFileSync(path, 'utf8')).toBe('precious');
  });

  it('that fails leaves nothing behind', async () => {
    const path = newPath();
    const store = await storeOf(makeRecord('a'));
    const broken = alteredStore(store, { list: () => Promise.reject(new Error('broken')) });
    await expect(backUpTo(broken, path)).rejects.toThrow('broken');
    expect(readdirSync(folder).filter((name) => name.startsWith(`${files}`))).toEqual([]);
    await expect(backUpTo(store, join(path, 'no', 'folder'))).rejects.toThrow(/cannot be written: ENOENT$/);
  });
});

describe('a backup that is not as it was written', async () => {
  const path = newPath();
  const store = new ControlledStore();
  const put = ['a/1', 'a/2', 'a/3'].map((at) => makeRecord(at, 'v'));
  await store.commit({ expect: [], put, remove: [] });
  await backUpTo(store, path);
  await store[Symbol.asyncDispose]();
  const whole = readFileSync(path);
  /** Where records begin, and where they end. */
  const bounds = recordBounds(whole);

  it('is refused when it is cut anywhere', () => {
    expect(refusalOf(whole)).toBe('none');
    const refusals = Array.from(whole, (_, length) => refusalOf(whole.subarray(0, length)));
    expect(new Set(refusals)).toEqual(new Set(['the backup FILE is cut short']));
  });

  it('is refused when any bit is turned', () => {
    const taken: number[] = [];
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const turned = Buffer.from(whole);
      turned[bit >> 3]! ^= 1 << (bit & 7);
      if (refusalOf(turned) === 'none') taken.push(bit);
    }
    expect(taken).toEqual([]);
  });

  it('is refused without a word of a header that was made up', () => {
    const made = Buffer.from(whole);
    const at = made.indexOf(rootKey.id.toString('hex'));
    made.write('\u001b[2K\rAll is well', at);
    expect(refusalOf(made)).toBe('the backup FILE is damaged, or was changed after it was made');
  });

  const part = (n: number): Buffer => whole.subarray(bounds[n], bounds[n + 1]);
  const head = whole.subarray(0, bounds[0]);
  const tail = whole.subarray(bounds[3]);
  const fewer = Buffer.from(tail);
  fewer.writeBigUInt64BE(2n, 4);
  it.each([
    ['a record is missing', [head, part(0), part(2), tail]],
    ['a record is missing, and it says so', [head, part(0), part(2), fewer]],
    ['records are in another order', [head, part(1), part(0), part(2), tail]],
    ['a record is there twice', [head, part(0), part(0), part(1), part(2), tail]],
    ['something is behind it', [whole, Buffer.of(0)]],
    ['another one is behind it', [whole, whole]],
  ])('is refused when %s', (_, parts) => {
    expect(refusalOf(Buffer.concat(parts))).toBe('the backup FILE is damaged, or was changed after it was made');
  });

  it('is refused when a message is too long to be one', () => {
    const long = Buffer.from(whole);
    long.writeUInt32BE(0xffffffff, bounds[0]);
    expect(refusalOf(long)).toBe('the backup FILE is damaged, or was changed after it was made');
  });

  it('is refused under another root key, and when it is something else or not there', () => {
    const [id, other] = [rootKey, otherRootKey].map((key) => key.id.toString('hex'));
    expect(refusalOf(whole, [otherRootKey])).toBe(
      `the backup FILE was made under the root key ${id}, and HMACD_ROOT_KEY_FILE has ${other}`,
    );
    expect(refusalOf(whole, [otherRootKey, rootKey])).toBe('none');
    expect(refusalOf(Buffer.from('something else entirely'))).toBe('the backup FILE is none that this hmacd can read');
    expect(() => new BackupReader(join(folder, 'no'), [rootKey])).toThrow(/^the backup .* cannot be read: ENOENT$/);
  });

  it('does not complete a store when it is changed after it was verified', async () => {
    const changing = newPath();
    writeFileSync(changing, whole);
    using reader = new BackupReader(changing, [rootKey]);
    reader.verify(nothing);
    const turned = Buffer.from(whole);
    turned[bounds[1]! - 1]! ^= 1;
    writeFileSync(changing, turned);
    const target = `${newPath()}.db`;
    const restoration = beginSqliteRestoration(target, crypto.randomUUID());
    await expect(restore(reader, restoration, nothing)).rejects.toThrow(/is damaged, or was changed/);
    await restoration.store.close();
    expect(() => openSqliteRecordStore(target)).toThrow(/cannot be opened: a restore into it has not ended;/);
    expect(existsSync(target)).toBe(true);
  });
});

/** Where each record begins, and behind them where the end does. */
function recordBounds(bytes: Buffer): number[] {
  let at = 15;
  at += 4 + bytes.readUInt32BE(at);
  const bounds = [at];
  for (let length = bytes.readUInt32BE(at); length > 0; length = bytes.readUInt32BE(at))
    bounds.push((at += 4 + length));
  return bounds;
}
