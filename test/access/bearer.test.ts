import { describe, expect, it } from 'vitest';
import { bearerToken } from '../../src/access/bearer.ts';

describe('a bearer token', () => {
  it.each([
    ['Bearer abc', 'abc'],
    ['bearer abc', 'abc'],
    ['BEARER  a-b._~+/9==', 'a-b._~+/9=='],
    [`Bearer ${'x'.repeat(8_192)}`, 'x'.repeat(8_192)],
  ])('is read from %.30j', (header, token) => expect(bearerToken(header)).toBe(token));

  it.each(['Basic YTpi', 'Bearerabc', 'AWS4-HMAC-SHA256 Credential=a', '', 'xBearer abc', ' Bearer abc'])(
    'is not in %j, which is of another scheme',
    (header) => expect(bearerToken(header)).toBeUndefined(),
  );

  it.each([
    'Bearer',
    'Bearer ',
    'Bearer a b',
    'Bearer a, Bearer b',
    'Bearer a\t',
    'Bearer a=b',
    'Bearer é',
    'Bearer "a"',
    `Bearer ${'x'.repeat(8_193)}`,
    `Bearer ${' '.repeat(30_000)}x`,
  ])('that is none (%.30j) is refused, and not repeated', (header) => {
    expect(() => bearerToken(header)).toThrow(
      expect.objectContaining({
        exception: 'UnrecognizedClientException',
        message: 'The security token included in the request is invalid.',
      }) as Error,
    );
  });
});
