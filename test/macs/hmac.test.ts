import { createHash, createSecretKey, randomBytes, randomInt } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { hmac, sameMac } from '../../src/macs/hmac.ts';
import { RFC_4231 } from './rfc4231.ts';
import { SPECS } from './specs.ts';

describe.each(SPECS)('hmac with $hash', ({ hash, length }) => {
  it('gives the MACs of RFC 4231, for keys shorter and longer than the block', () => {
    for (const { key, message, macs, number } of RFC_4231) {
      const mac = hmac(hash, createSecretKey(key), message);
      expect(mac.toString('hex').slice(0, macs[hash].length), `case ${number}`).toBe(macs[hash]);
    }
  });

  it('is what RFC 2104 defines, for random keys and messages', () => {
    for (let round = 0; round < 200; round++) {
      const key = randomBytes(length);
      const message = randomBytes(randomInt(1, 4_097));
      const mac = hmac(hash, createSecretKey(key), message);
      expect(mac.toString('hex')).toBe(hmacByDefinition(hash, key, message).toString('hex'));
      expect(mac).toHaveLength(length);
    }
  });

  it('reads a message that is a part of a larger buffer, and nothing beside it', () => {
    const key = randomBytes(length);
    const whole = randomBytes(300);
    const part = whole.subarray(100, 200);
    expect(hmac(hash, createSecretKey(key), part)).toEqual(hmacByDefinition(hash, key, Buffer.from(part)));
  });
});

describe('hmac', () => {
  it('agrees with Web Crypto', async () => {
    for (const [hash, name] of [
      ['sha256', 'SHA-256'],
      ['sha384', 'SHA-384'],
      ['sha512', 'SHA-512'],
    ] as const) {
      const key = randomBytes(64);
      const message = randomBytes(1_000);
      const imported = await crypto.subtle.importKey('raw', key, { name: 'HMAC', hash: name }, false, ['sign']);
      const signed = await crypto.subtle.sign('HMAC', imported, message);
      expect(hmac(hash, createSecretKey(key), message)).toEqual(Buffer.from(signed));
    }
  });
});

describe('sameMac', () => {
  const mac = randomBytes(32);

  it('is true for equal bytes, whichever buffers they are in', () => {
    expect(sameMac(mac, Buffer.from(mac))).toBe(true);
    expect(sameMac(mac, new Uint8Array([0, ...mac]).subarray(1))).toBe(true);
  });

  it('is false for one bit of difference, wherever it is', () => {
    for (let bit = 0; bit < mac.length * 8; bit++) {
      const other = Buffer.from(mac);
      other[bit >> 3]! ^= 1 << (bit & 7);
      expect(sameMac(mac, other), `bit ${bit}`).toBe(false);
    }
  });

  it('is false, and does not throw, for another length', () => {
    expect(sameMac(mac, mac.subarray(0, 31))).toBe(false);
    expect(sameMac(mac, Buffer.concat([mac, Buffer.alloc(1)]))).toBe(false);
    expect(sameMac(mac, new Uint8Array())).toBe(false);
    expect(sameMac(new Uint8Array(), mac)).toBe(false);
  });
});

/** RFC 2104, section 2, word for word. */
function hmacByDefinition(hash: string, key: Buffer, message: Buffer): Buffer {
  const block = hash === 'sha384' || hash === 'sha512' ? 128 : 64;
  const fitting = key.length > block ? createHash(hash).update(key).digest() : key;
  const padded = Buffer.concat([fitting, Buffer.alloc(block - fitting.length)]);
  const inner = createHash(hash)
    .update(padded.map((byte) => byte ^ 0x36))
    .update(message)
    .digest();
  return createHash(hash)
    .update(padded.map((byte) => byte ^ 0x5c))
    .update(inner)
    .digest();
}
