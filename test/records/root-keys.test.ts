import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { describeStore, type StoreTarget } from '../../src/records/open-record-store.ts';
import { rootKeysOfStore } from '../../src/records/root-keys-of-store.ts';
import { makeRootKey, readRootKeys, RootKey } from '../../src/records/root-keys.ts';
import { ControlledStore } from './controlled-store.ts';

const folder = mkdtempSync(join(tmpdir(), 'hmacd-root-keys-'));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
const newPath = (): string => join(folder, String(++files));
function fileOf(content: string | Uint8Array): string {
  const path = newPath();
  writeFileSync(path, content);
  return path;
}

const BYTES = Buffer.from('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1dffff', 'hex');
const BASE64 = BYTES.toString('base64');
const ID = new RootKey(BYTES).id.toString('hex');

describe('a root key file', () => {
  it.each([
    ['raw', BYTES],
    ['in base64', BASE64],
    ['in base64 with a line break', `${BASE64}\n`],
    ['in base64 with a line break of Windows', `${BASE64}\r\n`],
  ])('holds 32 bytes %s', (_, content) => {
    const [key] = readRootKeys([fileOf(content)]);
    expect(key.id.toString('hex')).toBe(ID);
    const derived = key.derive(Buffer.from('salt'), 'a test', 16);
    expect(derived).toEqual(new RootKey(BYTES).derive(Buffer.from('salt'), 'a test', 16));
  });

  it.each([
    ['empty', ''],
    ['of 31 bytes', BYTES.subarray(1)],
    ['of 33 bytes', Buffer.concat([BYTES, Buffer.of(0)])],
    ['of 31 bytes in base64', BYTES.subarray(1).toString('base64')],
    ['of 33 bytes in base64', Buffer.concat([BYTES, Buffer.of(0)]).toString('base64')],
    ['of base64url', BASE64.replace('/', '_')],
    ['of base64 without padding', BASE64.replace('=', '')],
    ['of hex', BYTES.toString('hex')],
    ['of base64 with a word before it', `key: ${BASE64}`],
    ['of two keys', `${BASE64}\n${BASE64}`],
  ])('that is %s is refused, and not shown', (_, content) => {
    const path = fileOf(content);
    expect(() => readRootKeys([path])).toThrow(
      new Error(`the root key file ${path} does not hold 32 bytes, raw or in base64`),
    );
  });

  it('that is not there, or a folder, is refused with the reason', () => {
    expect(() => readRootKeys([join(folder, 'no')])).toThrow(
      `the root key file ${join(folder, 'no')} cannot be read: ENOENT`,
    );
    expect(() => readRootKeys([folder])).toThrow(`the root key file ${folder} cannot be read: EISDIR`);
  });

  it('gives keys in the order of the files', () => {
    const other = fileOf(randomBytes(32));
    const ids = readRootKeys([fileOf(BASE64), other]).map((key) => key.id.toString('hex'));
    expect(ids[0]).toBe(ID);
    expect(ids[1]).toBe(readRootKeys([other])[0].id.toString('hex'));
    expect(ids[1]).not.toBe(ID);
  });
});

describe('makeRootKey', () => {
  it('makes a file for its owner alone, with a key that can be read, in a folder for its owner alone', () => {
    const path = join(newPath(), 'deep', 'root.key');
    makeRootKey(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(path, '..')).mode & 0o777).toBe(0o700);
    expect(readFileSync(path, 'utf8')).toMatch(/^[A-Za-z0-9+/]{43}=\n$/);
    expect(readRootKeys([path]).length).toBe(1);
  });

  it('makes another key each time', () => {
    const paths = [newPath(), newPath()];
    for (const path of paths) makeRootKey(path);
    const [one, other] = readRootKeys(paths);
    expect(one.id).not.toEqual(other!.id);
  });

  it('never touches a file that exists, nor one behind a link', () => {
    const path = fileOf('precious');
    chmodSync(path, 0o644);
    const link = newPath();
    symlinkSync(path, link);
    const dangling = newPath();
    symlinkSync(newPath(), dangling);
    for (const existing of [path, link, dangling]) {
      expect(() => makeRootKey(existing)).toThrow(expect.objectContaining({ code: 'EEXIST' }));
    }
    expect(readFileSync(path, 'utf8')).toBe('precious');
  });
});

describe('a root key', () => {
  it('shows its bytes in nothing that prints it', () => {
    const key = new RootKey(BYTES);
    const prints = [
      inspect(key, { showHidden: true, depth: 10, getters: true }),
      JSON.stringify(key),
      JSON.stringify(Object.getOwnPropertyDescriptors(key)),
      inspect({ error: new Error('x', { cause: key }) }, { depth: 10, showHidden: true }),
    ].join('\n');
    for (const encoding of ['hex', 'base64'] as const)
      expect(prints).not.toContain(BYTES.subarray(0, 6).toString(encoding));
    expect(prints).not.toMatch(/0+,\s*1,\s*2,\s*3/);
    expect(prints).not.toMatch(/00 01 02 03/);
  });

  it('has an ID that tells nothing of it and that is its own', () => {
    expect(ID).toMatch(/^[0-9a-f]{16}$/);
    expect(BYTES.includes(Buffer.from(ID, 'hex'))).toBe(false);
    const flipped = Buffer.from(BYTES);
    flipped[31]! ^= 1;
    expect(new RootKey(flipped).id.toString('hex')).not.toBe(ID);
  });
});

const sqlite = (): StoreTarget => ({ kind: 'sqlite', path: join(newPath(), 'hmacd.db') });
const redis: StoreTarget = {
  kind: 'redis',
  target: {
    kind: 'standalone',
    hosts: [{ host: 'r', port: 1 }],
    masterName: '',
    database: 0,
    username: undefined,
    tls: false,
  },
};
const record = { path: 'a', version: crypto.randomUUID(), value: Buffer.alloc(1) };

describe('the root keys of a store', () => {
  it('in memory are new each time, and in no file', async () => {
    await using store = new ControlledStore();
    const path = newPath();
    const one = await rootKeysOfStore({ kind: 'sqlite', path: ':memory:' }, store, [path]);
    const other = await rootKeysOfStore({ kind: 'sqlite', path: ':memory:' }, store, [path]);
    expect(one[0].id).not.toEqual(other[0].id);
    expect(() => statSync(path)).toThrow('ENOENT');
  });

  it('are made beside an empty SQLite store, and are the same from then on', async () => {
    await using store = new ControlledStore();
    const path = newPath();
    const [made] = await rootKeysOfStore(sqlite(), store, [path]);
    await store.commit({ expect: [], put: [record], remove: [] });
    const [again] = await rootKeysOfStore(sqlite(), store, [path]);
    expect(again.id).toEqual(made.id);
  });

  it('that are missing beside a SQLite store with records are asked for, and not made', async () => {
    await using store = new ControlledStore();
    await store.commit({ expect: [], put: [record], remove: [] });
    const path = newPath();
    const target = sqlite();
    await expect(rootKeysOfStore(target, store, [path])).rejects.toThrow(
      `the root key file ${path} does not exist, and the ${describeStore(target)} has records that it sealed; put it back`,
    );
    expect(() => statSync(path)).toThrow('ENOENT');
  });

  it('that are missing for a store that others share are asked for, and not made', async () => {
    await using store = new ControlledStore();
    const path = newPath();
    await expect(rootKeysOfStore(redis, store, [path])).rejects.toThrow(
      `the root key file ${path} does not exist; "hmacd make-root-key ${path}" makes one`,
    );
    expect(() => statSync(path)).toThrow('ENOENT');
    mkdirSync(path);
    await expect(rootKeysOfStore(redis, store, [path])).rejects.toThrow(/cannot be read: EISDIR$/);
  });
});
