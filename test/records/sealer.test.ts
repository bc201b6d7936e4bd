import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { StoredRecord } from '../../src/records/record-store.ts';
import { RootKey } from '../../src/records/root-keys.ts';
import { RootKeySealer, UnsealError } from '../../src/records/sealer.ts';

const [first, second] = [new RootKey(randomBytes(32)), new RootKey(randomBytes(32))];
const STORE = 'f8c2f3c6-8f52-4e0e-9d6d-0d6f2b7f0a11';
const PATH = '000000000000/key/1234abcd-12ab-34cd-56ef-1234567890ab';
const VERSION = '01940000-0000-7000-8000-000000000000';
const PLAINTEXT = Buffer.from('a record with key material in it');
const sealer = new RootKeySealer(STORE, [first]);
const HEADER = 1 + 8 + 32;
const TAG = 16;

function sealed(by = sealer, plaintext: Uint8Array = PLAINTEXT): StoredRecord {
  return { path: PATH, version: VERSION, value: by.seal(PATH, VERSION, plaintext) };
}

/** What a record that must not open says. */
function errorOf(record: StoredRecord, by = sealer): UnsealError {
  try {
    by.open(record);
  } catch (error) {
    if (error instanceof UnsealError) return error;
    throw error;
  }
  throw new Error('it opened');
}

describe('a sealed record', () => {
  it.each([
    ['no byte', Buffer.alloc(0)],
    ['one byte', Buffer.of(0)],
    ['a text', PLAINTEXT],
    ['1 MiB', randomBytes(1_048_576)],
  ])('of %s opens to what was sealed', (_, plaintext) => {
    const record = sealed(sealer, plaintext);
    expect(Buffer.compare(sealer.open(record), plaintext)).toBe(0);
    expect(record.value.length).toBe(HEADER + plaintext.length + TAG);
  });

  it('shows nothing of what was sealed', () => {
    expect(Buffer.from(sealed().value).includes(PLAINTEXT.subarray(0, 4))).toBe(false);
  });

  it('differs each time: in salt, ciphertext and tag', () => {
    const values = Array.from({ length: 20 }, () => Buffer.from(sealed().value));
    const distinct = (from: number, to?: number) =>
      new Set(values.map((v) => v.subarray(from, to).toString('hex'))).size;
    expect(distinct(0, 9)).toBe(1);
    expect(distinct(9, HEADER)).toBe(20);
    expect(distinct(HEADER, -TAG)).toBe(20);
    expect(distinct(-TAG)).toBe(20);
  });

  const { value } = sealed();
  it.each([...value.keys()])('does not open when byte %i of it was flipped', (index) => {
    for (const bit of [0x01, 0x80]) {
      const flipped = Buffer.from(value);
      flipped[index]! ^= bit;
      expect(errorOf({ path: PATH, version: VERSION, value: flipped })).toBeDefined();
    }
  });

  it('does not open when it was cut at any length, or has more behind it', () => {
    for (let length = 0; length < value.length; length++) {
      expect(errorOf({ path: PATH, version: VERSION, value: value.subarray(0, length) })).toBeDefined();
      expect(errorOf({ path: PATH, version: VERSION, value: value.subarray(value.length - length) })).toBeDefined();
    }
    expect(errorOf({ path: PATH, version: VERSION, value: Buffer.concat([value, Buffer.of(0)]) })).toBeDefined();
  });

  it('does not open in the place of another one', () => {
    const one = sealed();
    const otherPath = `${PATH.slice(0, -1)}0`;
    const other = { path: otherPath, version: VERSION, value: sealer.seal(otherPath, VERSION, PLAINTEXT) };
    expect(errorOf({ ...one, value: other.value })).toBeDefined();
    expect(errorOf({ ...other, value: one.value })).toBeDefined();
    sealer.open(one);
    sealer.open(other);
  });

  it.each([
    ['another path', { path: `${PATH}x` }],
    ['another version', { version: '01940000-0000-7000-8000-000000000001' }],
    // What is moved from one part of the associated data to the next is told by the lengths.
    ['a path that begins in the version', { path: PATH + VERSION[0], version: VERSION.slice(1) }],
    ['a path that has the version in it', { path: PATH + VERSION, version: '' }],
  ])('does not open under %s', (_, change) => {
    const error = errorOf({ ...sealed(), ...change });
    expect(error.message).toMatch(/ does not open: it was changed after it was sealed$/);
    expect(error.foreignRootKeyId).toBeUndefined();
  });

  it('does not open in another store, or in one whose ID runs into the path', () => {
    expect(errorOf(sealed(), new RootKeySealer('11111111-1111-4111-8111-111111111111', [first]))).toBeDefined();
    const shifted = new RootKeySealer(STORE + PATH[0], [first]);
    expect(errorOf({ ...sealed(), path: PATH.slice(1) }, shifted)).toBeDefined();
  });

  it('that is no sealed record says so, and shows nothing of itself', () => {
    const unsealed = Buffer.alloc(200, 's3cret');
    expect(errorOf({ path: PATH, version: VERSION, value: unsealed }).message).toBe(
      `the record at ${PATH} does not open: it is not sealed`,
    );
  });
});

describe('several root keys', () => {
  const both = new RootKeySealer(STORE, [first, second]);
  const swapped = new RootKeySealer(STORE, [second, first]);
  const [firstId, secondId] = [first.id.toString('hex'), second.id.toString('hex')];

  it('seal by the first and open by all', () => {
    const older = sealed(new RootKeySealer(STORE, [second]));
    expect(both.open(older)).toEqual(PLAINTEXT);
    expect(swapped.open(sealed(both))).toEqual(PLAINTEXT);
    expect(sealer.open(sealed(both))).toEqual(PLAINTEXT);
    expect(errorOf(sealed(swapped)).foreignRootKeyId).toBe(secondId);
  });

  it('refuse what was sealed under one that was taken away, with its ID', () => {
    const error = errorOf(sealed(new RootKeySealer(STORE, [second])), sealer);
    expect(error.foreignRootKeyId).toBe(secondId);
    expect(error.message).toBe(`the record at ${PATH} does not open: it was sealed under the root key ${secondId}`);
  });

  it('do not open a record whose root key ID was changed to that of the other', () => {
    const forged = Buffer.from(sealed().value);
    forged.set(second.id, 1);
    const error = errorOf({ path: PATH, version: VERSION, value: forged }, both);
    expect(error.foreignRootKeyId).toBeUndefined();
    expect(firstId).not.toBe(secondId);
  });
});
