import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hash, type webcrypto } from 'node:crypto';
import { exportSPKI, importJWK, type JSONWebKeySet, SignJWT } from 'jose';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { JwtVerifier } from '../../src/access/jwt.ts';
import type { OidcIssuer } from '../../src/access/oidc-issuer.ts';
import type { Principal } from '../../src/access/principal.ts';
import { Principals } from '../../src/access/principals.ts';
import { KmsError } from '../../src/errors.ts';
import { openLog } from '../../src/log.ts';
import { FakeClock } from '../support/running-service.ts';
import { AUDIENCE, encodePart, ISSUER, makeIssuer, type TokenIssuer } from './oidc-tokens.ts';

const issuer = await makeIssuer();
const stranger = await makeIssuer();
const ORDERS = 'arn:aws:iam::000000000000:role/orders';

function principalsWith(keys: OidcIssuer['keys'], more: Partial<OidcIssuer> = {}): Principals {
  const common = {
    issuer: ISSUER,
    audience: AUDIENCE,
    algorithms: ['ES256'],
    claim: 'sub',
    arns: new Map<string, string>(),
    arnTemplate: 'arn:aws:iam::000000000000:role/{claim}',
    policies: [],
  };
  return new Principals([], [{ ...common, keys, ...more }]);
}

const logged: string[] = [];
afterEach(() => void logged.splice(0));

function makeVerifier(principals = principalsWith(issuer.keySet)) {
  const clock = new FakeClock();
  const log = openLog('debug', { write: (line: string) => void logged.push(line) });
  const verifier = new JwtVerifier(clock, log);
  const verify = (token: string, by = principals) => verifier.verify(token, hash('sha256', token), by);
  return { clock, verify, sign: (claims = {}, by: TokenIssuer = issuer) => by.sign(claims, clock.now()) };
}

/** What the verification of a token ends in. */
async function outcomeOf(verify: () => Principal | Promise<Principal>): Promise<string> {
  try {
    return (await verify()).arn;
  } catch (error) {
    if (error instanceof KmsError) return error.exception;
    throw error;
  }
}

const REFUSED = 'UnrecognizedClientException';

describe('a token', () => {
  it('is verified once, and then known at once', async () => {
    const { verify, sign } = makeVerifier();
    const token = await sign();
    const first = verify(token);
    expect(first).toBeInstanceOf(Promise);
    expect(verify(token)).toBe(first);
    expect(await first).toMatchObject({ arn: ORDERS, authentication: 'jwt' });
    expect(verify(token)).toBe(await first);
  });

  it.each<readonly [string, object, string]>([
    ['another issuer', { iss: 'https://other.example' }, REFUSED],
    ['no issuer', { iss: undefined }, REFUSED],
    ['another audience', { aud: 'other' }, REFUSED],
    ['no audience', { aud: undefined }, REFUSED],
    ['several audiences, ours among them', { aud: ['other', AUDIENCE] }, ORDERS],
    ['no expiry', { exp: undefined }, REFUSED],
    ['an expiry that is no number', { exp: '9999999999' }, REFUSED],
    ['no claim', { sub: undefined }, REFUSED],
    ['a claim that is no text', { sub: ['orders'] }, REFUSED],
    ['a claim that is no name', { sub: 'a/orders' }, REFUSED],
    ['an empty claim', { sub: '' }, REFUSED],
  ])('with %s: %o ends in %s', async (_, claims, outcome) => {
    const { verify, sign } = makeVerifier();
    const token = await sign(claims);
    expect(await outcomeOf(() => verify(token))).toBe(outcome);
  });

  it.each([
    ['exp', -59, ORDERS],
    ['exp', -61, 'ExpiredTokenException'],
    ['nbf', 59, ORDERS],
    ['nbf', 61, REFUSED],
  ])('with %s %d seconds from now ends in %s', async (claim, seconds, outcome) => {
    const { clock, verify, sign } = makeVerifier();
    const token = await sign({ [claim]: clock.now() / 1_000 + seconds });
    expect(await outcomeOf(() => verify(token))).toBe(outcome);
  });

  it('that expires is not known any more', async () => {
    const { clock, verify, sign } = makeVerifier();
    const token = await sign();
    await verify(token);
    clock.advance(600_000 - 1);
    expect(await verify(token)).toMatchObject({ arn: ORDERS });
    clock.advance(60_001);
    expect(await outcomeOf(() => verify(token))).toBe('ExpiredTokenException');
  });

  it('of another key, and an expired one of another key, is not valid', async () => {
    const { verify, sign } = makeVerifier();
    for (const claims of [{}, { exp: 1 }]) {
      const token = await sign(claims, stranger);
      expect(await outcomeOf(() => verify(token))).toBe(REFUSED);
    }
  });

  it('without a signature, or with one that its own public key can make, is not valid', async () => {
    const { clock, verify, sign } = makeVerifier();
    const [, payload, signature] = (await sign()).split('.');
    const none = `${encodePart({ alg: 'none' })}.${payload}`;
    for (const token of [`${none}.`, `${none}.${signature}`, `${none}.AA`]) {
      expect(await outcomeOf(() => verify(token))).toBe(REFUSED);
    }
    const publicKey = await importJWK(issuer.keySet.keys[0]!, 'ES256', { extractable: true });
    const secrets = [await exportSPKI(publicKey as webcrypto.CryptoKey), JSON.stringify(issuer.keySet.keys[0])];
    const claims = { iss: ISSUER, aud: AUDIENCE, sub: 'orders', exp: clock.now() / 1_000 + 60 };
    for (const secret of secrets) {
      for (const kid of ['first', undefined]) {
        const header = { alg: 'HS256', ...(kid !== undefined && { kid }) };
        const token = await new SignJWT(claims).setProtectedHeader(header).sign(Buffer.from(secret));
        expect(await outcomeOf(() => verify(token))).toBe(REFUSED);
      }
    }
  });

  it('that brings its own key along is not valid', async () => {
    const { clock, verify } = makeVerifier();
    const { keySet } = stranger;
    const [, payload, signature] = (await stranger.sign({}, clock.now())).split('.');
    const header = encodePart({ alg: 'ES256', jwk: keySet.keys[0], jku: 'https://evil.example/jwks' });
    expect(await outcomeOf(() => verify(`${header}.${payload}.${signature}`))).toBe(REFUSED);
  });

  it('that was changed anywhere is not valid', async () => {
    const { verify, sign } = makeVerifier();
    const token = await sign();
    for (let at = 0; at < token.length; at += 7) {
      const changed = `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`;
      expect([at, await outcomeOf(() => verify(changed))]).toEqual([at, REFUSED]);
    }
  });

  it('of an algorithm that is not expected is not valid, though the key is right', async () => {
    const rsa = await makeIssuer('first', 'PS256');
    const { verify, sign } = makeVerifier(principalsWith(rsa.keySet, { algorithms: ['RS256'] }));
    const token = await sign({}, rsa);
    expect(await outcomeOf(() => verify(token))).toBe(REFUSED);
  });

  it('that does not say which of several keys it is signed by is tried with each', async () => {
    const keys = [stranger, issuer].map(({ keySet }) => keySet.keys[0]!); // Both go by the same ID.
    const { verify, sign } = makeVerifier(principalsWith({ keys }));
    for (const [by, outcome] of [
      [stranger, ORDERS],
      [issuer, ORDERS],
      [await makeIssuer(), REFUSED],
    ] as const) {
      const token = await sign({}, by);
      expect(await outcomeOf(() => verify(token))).toBe(outcome);
    }
    const expired = await sign({ exp: 1 });
    expect(await outcomeOf(() => verify(expired))).toBe('ExpiredTokenException');
  });

  it('is judged anew by new principals', async () => {
    const { verify, sign } = makeVerifier();
    const token = await sign();
    await verify(token);
    const other = principalsWith(stranger.keySet);
    expect(await outcomeOf(() => verify(token, other))).toBe(REFUSED);
    const renamed = principalsWith(issuer.keySet, { arns: new Map([['orders', `${ORDERS}-2`]]) });
    expect(await outcomeOf(() => verify(token, renamed))).toBe(`${ORDERS}-2`);
  });

  it('that was under way when the principals changed is not remembered', async () => {
    const { verify, sign } = makeVerifier();
    const token = await sign();
    const underWay = verify(token);
    const other = principalsWith(stranger.keySet);
    const later = verify(token, other);
    expect(later).not.toBe(underWay);
    await underWay;
    expect(await outcomeOf(() => later)).toBe(REFUSED);
    expect(await outcomeOf(() => verify(token, other))).toBe(REFUSED);
  });

  it('is not repeated in what it is refused with, or in the log', async () => {
    const { verify, sign } = makeVerifier();
    const token = await sign({ sub: 'recognisable-subject', exp: 1 });
    const error = await Promise.resolve(verify(token)).catch((reason: unknown) => reason as Error);
    expect(JSON.stringify([error, (error as Error).stack, (error as Error).cause, logged])).not.toMatch(
      new RegExp(`recognisable|${token.split('.').join('|')}`),
    );
  });
});

describe('an issuer with its keys at a URL', () => {
  interface KeyServer {
    readonly url: URL;
    answer: JSONWebKeySet | number | string;
    asked: number;
  }
  async function serveKeys(answer: KeyServer['answer']): Promise<KeyServer> {
    const server = createServer((_, response) => {
      state.asked++;
      if (typeof state.answer === 'number') response.writeHead(state.answer, { location: '/other' }).end();
      else response.end(typeof state.answer === 'string' ? state.answer : JSON.stringify(state.answer));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => server.close().closeAllConnections());
    const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`);
    const state: KeyServer = { url, answer, asked: 0 };
    return state;
  }

  it('is asked for them once, also when the principals change', async () => {
    const server = await serveKeys(issuer.keySet);
    const { verify, sign } = makeVerifier();
    for (let n = 0; n < 3; n++) {
      const token = await sign({ jti: String(n) });
      expect(await outcomeOf(() => verify(token, principalsWith(server.url)))).toBe(ORDERS);
    }
    expect(server.asked).toBe(1);
  });

  it('that has other keys than before makes all tokens be verified anew', async () => {
    const server = await serveKeys(issuer.keySet);
    const { verify, sign } = makeVerifier(principalsWith(server.url));
    const token = await sign();
    await verify(token);
    const next = await makeIssuer('next');
    server.answer = next.keySet;
    // A key that is not known is looked for at once, but by the machine's clock only every 30 seconds.
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 31_000 });
    onTestFinished(() => void vi.useRealTimers());
    const other = await sign({}, next);
    expect(await outcomeOf(() => verify(other))).toBe(ORDERS);
    expect(await outcomeOf(() => verify(token))).toBe(REFUSED);
    expect(server.asked).toBe(2);
  });

  it('is not asked by every token with an unknown key', async () => {
    const server = await serveKeys(issuer.keySet);
    const { verify, sign } = makeVerifier(principalsWith(server.url));
    const other = await makeIssuer('unknown');
    for (let n = 0; n < 3; n++) {
      const token = await sign({ jti: String(n) }, other);
      expect(await outcomeOf(() => verify(token))).toBe(REFUSED);
    }
    expect(server.asked).toBe(1);
  });

  it.each([500, 404, 302, 'no JSON', '{}', ' '.repeat(600_000)])(
    'that answers %.20j says nothing about a token; it is left alone for a while, and logged once',
    async (answer) => {
      const server = await serveKeys(answer);
      const { clock, verify, sign } = makeVerifier(principalsWith(server.url));
      const token = await sign();
      for (let n = 0; n < 3; n++) expect(await outcomeOf(() => verify(token))).toBe('DependencyTimeoutException');
      expect(server.asked).toBe(1);
      expect(logged.length).toBe(1);
      expect(logged[0]).toContain('cannot be fetched');
      server.answer = issuer.keySet;
      clock.advance(5_000);
      expect(await outcomeOf(() => verify(token))).toBe(ORDERS);
      expect(logged[1]).toContain('answers again');
    },
  );

  it('that does not answer at all says nothing about a token', async () => {
    const { verify, sign } = makeVerifier(principalsWith(new URL('http://127.0.0.1:1/keys')));
    const token = await sign();
    expect(await outcomeOf(() => verify(token))).toBe('DependencyTimeoutException');
  });

  it('is not believed for longer than 10 minutes', async () => {
    const server = await serveKeys(issuer.keySet);
    const { clock, verify, sign } = makeVerifier(principalsWith(server.url));
    const token = await sign({ exp: clock.now() / 1_000 + 86_400 });
    await verify(token);
    clock.advance(9 * 60_000);
    const later = await sign({ exp: clock.now() / 1_000 + 86_400, jti: '2' });
    await verify(later);
    clock.advance(60_000 - 1);
    for (const each of [token, later]) expect(verify(each)).not.toBeInstanceOf(Promise);
    clock.advance(1);
    for (const each of [token, later]) {
      const verifying = verify(each);
      expect(verifying).toBeInstanceOf(Promise);
      await verifying;
    }
  });
});
