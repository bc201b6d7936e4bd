import { createSecretKey, randomBytes, randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { KmsError } from '../../src/errors.ts';
import { digestOfToken, issueToken, readToken } from '../../src/grants/grant-token.ts';

const key = createSecretKey(randomBytes(32));

const claims = () => ({
  keyId: randomUUID(),
  grantId: randomBytes(32).toString('hex'),
  issuedAt: Date.UTC(2026, 0, 1) + Math.floor(Math.random() * 1e12),
});

/** Whether it is refused as AWS refuses it, without a text. */
function isRefused(token: string, by = key): boolean {
  try {
    readToken(by, token);
    return false;
  } catch (error) {
    if (!(error instanceof KmsError)) throw error;
    return error.exception === 'InvalidGrantTokenException' && error.message === '';
  }
}

describe('a grant token', () => {
  it('says what was put into it', () => {
    const edges = [
      { keyId: '00000000-0000-0000-0000-000000000000', grantId: '0'.repeat(64), issuedAt: 0 },
      { keyId: 'ffffffff-ffff-ffff-ffff-ffffffffffff', grantId: 'f'.repeat(64), issuedAt: 2 ** 48 - 1 },
    ];
    for (const each of [...edges, ...Array.from({ length: 1_000 }, claims)]) {
      expect(readToken(key, issueToken(key, each))).toEqual(each);
    }
  });

  it('is base64url of at most 8,192 characters', () => {
    for (let n = 0; n < 100; n++) {
      const token = issueToken(key, claims());
      expect(token).toMatch(/^[\w-]+$/);
      expect(token.length).toBeLessThanOrEqual(8_192);
    }
  });

  it('is another one each time', () => {
    const same = claims();
    const tokens = new Set(Array.from({ length: 1_000 }, () => issueToken(key, same)));
    expect(tokens.size).toBe(1_000);
    expect(new Set([...tokens].map(digestOfToken)).size).toBe(1_000);
  });

  it('of which any one bit is turned is refused', () => {
    const bytes = Buffer.from(issueToken(key, claims()), 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const turned = Buffer.from(bytes);
      turned[bit >> 3]! ^= 1 << (bit & 7);
      expect([bit, isRefused(turned.toString('base64url'))]).toEqual([bit, true]);
    }
  });

  it('of which any one character is another is refused', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const token = issueToken(key, claims());
    for (let at = 0; at < token.length; at++) {
      for (const character of alphabet.replace(token[at]!, '')) {
        const other = token.slice(0, at) + character + token.slice(at + 1);
        expect([at, character, isRefused(other)]).toEqual([at, character, true]);
      }
    }
  });

  it('of another length is refused', () => {
    const token = issueToken(key, claims());
    for (let length = 0; length < token.length; length++) expect(isRefused(token.slice(0, length))).toBe(true);
    for (const more of ['A', 'AA', 'AAAA', token, 'A'.repeat(8_192 - token.length)]) {
      expect(isRefused(token + more)).toBe(true);
      expect(isRefused(more + token)).toBe(true);
    }
  });

  it('that is spelled otherwise is refused', () => {
    // Until it has characters that the alphabets do not share.
    let token = '';
    while (!/-.*_|_.*-/.test(token)) token = issueToken(key, claims());
    const spellings = [
      token.replaceAll('-', '+').replaceAll('_', '/'),
      token.replace('-', '+'),
      token.replace('_', '/'),
      ...['=', '==', ' ', '\n', '\0', '.', '%3D'].flatMap((extra) => [
        token + extra,
        extra + token,
        token.slice(0, 9) + extra + token.slice(9),
      ]),
      Buffer.from(token, 'base64url').toString('hex'),
      token.toLowerCase(),
    ];
    for (const spelling of spellings) expect([spelling, isRefused(spelling)]).toEqual([spelling, true]);
    expect(isRefused(token)).toBe(false);
  });

  it('of another store is refused', () => {
    const other = createSecretKey(randomBytes(32));
    expect(isRefused(issueToken(other, claims()))).toBe(true);
    expect(isRefused(issueToken(key, claims()), other)).toBe(true);
  });

  it('whose parts are of several is refused', () => {
    const same = claims();
    const one = Buffer.from(issueToken(key, same), 'base64url');
    const other = Buffer.from(issueToken(key, same), 'base64url');
    for (let at = 1; at < one.length; at++) {
      const mixed = Buffer.concat([one.subarray(0, at), other.subarray(at)]);
      // They differ from the nonce on.
      expect(isRefused(mixed.toString('base64url'))).toBe(!mixed.equals(one) && !mixed.equals(other));
    }
  });
});
