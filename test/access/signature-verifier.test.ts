import { createHmac, createSecretKey, hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { expect, it } from 'vitest';
import type { SignedRequest } from '../../src/access/canonical-request.ts';
import { Principals } from '../../src/access/principals.ts';
import { isSigned, type KnownSignings, SignatureVerifier } from '../../src/access/signature-verifier.ts';
import type { KmsError } from '../../src/errors.ts';
import { FakeClock } from '../support/running-service.ts';

const ARN = 'arn:aws:iam::000000000000:role/orders';
const ID = 'AKIAIOSFODNN7EXAMPLE';
const NOON = Date.UTC(2026, 0, 1, 12);
const BODY = Buffer.from('{}');

/** The principals of a file in which a role has an access key. */
function principalsWith(id: string, secret: string, sessionToken?: string): Principals {
  const key = {
    signingSecret: createSecretKey(`AWS4${secret}`, 'utf8'),
    sessionTokenDigest: sessionToken && hash('sha256', sessionToken),
    expiresAt: undefined,
  };
  const entry = { arn: ARN, policies: [], tokenDigests: [], tlsIdentities: [], accessKeys: new Map([[id, key]]) };
  return new Principals([entry]);
}

const TARGET = { 'x-amz-target': 'TrentService.ListKeys' };

interface Signing {
  readonly secret?: string;
  /** In milliseconds since 1970. */
  readonly time?: number;
  /** Of the scope; that of the time when left out. */
  readonly day?: string;
  /** Signed, beside the host and the date; instead of these, where they have the same name. */
  readonly headers?: Readonly<Record<string, string>>;
  /** As they are signed, in the order in which they are; all of the headers, in AWS's order, when left out. */
  readonly signedHeaders?: readonly (readonly [name: string, value: string])[];
  readonly unsigned?: Readonly<Record<string, string>>;
}

/** A request as AWS's document on signatures says that it is made. */
function signed({
  secret = 'secret',
  time = NOON,
  day,
  headers = TARGET,
  signedHeaders,
  unsigned = {},
}: Signing = {}): SignedRequest {
  const date = new Date(time).toISOString().replaceAll(/[-:]|\.\d{3}/g, '');
  const all: Record<string, string> = { host: 'localhost', 'x-amz-date': date, ...headers };
  const lines = signedHeaders ?? Object.entries(all).toSorted(([one], [other]) => (one < other ? -1 : 1));
  const names = lines.map(([name]) => name).join(';');
  const scope = [day ?? date.slice(0, 8), 'us-east-1', 'kms', 'aws4_request'];
  const canonical = `POST\n/\n\n${lines.map(([name, value]) => `${name}:${value}\n`).join('')}\n${names}\n${hash('sha256', BODY)}`;
  const text = `AWS4-HMAC-SHA256\n${date}\n${scope.join('/')}\n${hash('sha256', canonical)}`;
  const key = scope.reduce<Buffer>(
    (by, part) => createHmac('sha256', by).update(part).digest(),
    Buffer.from(`AWS4${secret}`),
  );
  const signature = createHmac('sha256', key).update(text).digest('hex');
  const authorization = `AWS4-HMAC-SHA256 Credential=${ID}/${scope.join('/')}, SignedHeaders=${names}, Signature=${signature}`;
  return { method: 'POST', target: '/', headers: { ...all, ...unsigned, authorization }, body: BODY };
}

/** A verifier, and how it ends for a request: the signer, or the exception. */
function start() {
  const clock = new FakeClock(NOON);
  const known: KnownSignings = new LRUCache({ max: 10 });
  const verifier = new SignatureVerifier('us-east-1', clock, known);
  const principals = principalsWith(ID, 'secret');
  const outcomeOf = (request: SignedRequest, by = principals): string => {
    try {
      return verifier.signerOf(request, by).arn;
    } catch (error) {
      return (error as KmsError).exception;
    }
  };
  const messageOf = (request: SignedRequest): string => {
    try {
      return verifier.signerOf(request, principals).arn;
    } catch (error) {
      return (error as KmsError).message;
    }
  };
  return { clock, outcomeOf, messageOf, known };
}

it('A way to sign that is known lets nobody in whose access key was taken away or changed', () => {
  const { outcomeOf } = start();
  expect(outcomeOf(signed())).toBe(ARN);
  expect(outcomeOf(signed(), principalsWith('AKIAOTHEROTHEROTHERO', 'secret'))).toBe('UnrecognizedClientException');
  expect(outcomeOf(signed(), principalsWith(ID, 'another'))).toBe('InvalidSignatureException');
  expect(outcomeOf(signed({ secret: 'another' }), principalsWith(ID, 'another'))).toBe(ARN);
  expect(outcomeOf(signed({ secret: 'another' }))).toBe('InvalidSignatureException');
});

it('A way to sign that is known is not good for another day, or another time', () => {
  const { clock, outcomeOf } = start();
  expect(outcomeOf(signed())).toBe(ARN);
  const time = NOON + 24 * 60 * 60 * 1_000;
  clock.set(time);
  expect(outcomeOf(signed())).toBe('InvalidSignatureException');
  expect(outcomeOf(signed({ time, day: '20260101' }))).toBe('InvalidSignatureException');
  expect(outcomeOf(signed({ time }))).toBe(ARN);
});

it('A way to sign that is known is not good for what is not signed', () => {
  const { outcomeOf } = start();
  expect(outcomeOf(signed())).toBe(ARN);
  const token = { 'x-amz-security-token': 'x' };
  expect(outcomeOf(signed({ unsigned: token }))).toBe('UnrecognizedClientException');
  const { authorization } = signed().headers;
  const { headers, ...rest } = signed({ headers: { 'x-amz-target': 'TrentService.CreateKey' } });
  expect(outcomeOf({ ...rest, headers: { ...headers, authorization } })).toBe('InvalidSignatureException');
  expect(outcomeOf(signed({ headers: {} }))).toBe(ARN);
  expect(outcomeOf(signed({ headers: {}, unsigned: TARGET }))).toBe('InvalidSignatureException');
  const request = signed();
  expect(outcomeOf({ ...request, body: Buffer.from('{"Limit":1}') })).toBe('InvalidSignatureException');
  // The date stands where it is not signed.
  const { 'x-amz-date': date, ...dateless } = request.headers;
  expect(outcomeOf({ ...request, headers: { ...dateless, date: String(date) } })).toBe('InvalidSignatureException');
});

it('A header is known only when its signature was right, and when it is short', () => {
  const { outcomeOf, known } = start();
  outcomeOf(signed({ secret: 'another' }));
  const headers = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`x-${n}`, 'x']));
  expect(outcomeOf(signed({ headers }))).toBe(ARN);
  expect(known.size).toBe(0);
  outcomeOf(signed());
  outcomeOf(signed());
  expect(known.size).toBe(1);
});

// From here on, every signature is right.

const HOST = ['host', 'localhost'] as const;
const DATE = ['x-amz-date', '20260101T120000Z'] as const;

it.each([
  ['in another order', [DATE, HOST]],
  ['twice', [HOST, HOST, DATE]],
  ['in capitals', [['Host', ''], HOST, DATE]],
] as const)('Signed headers that stand %s are refused', (_, signedHeaders) => {
  const { outcomeOf } = start();
  expect(outcomeOf(signed({ headers: {}, signedHeaders: [HOST, DATE] }))).toBe(ARN);
  expect(outcomeOf(signed({ headers: {}, signedHeaders }))).toBe('InvalidSignatureException');
});

it('A session token has to be signed', () => {
  const { outcomeOf } = start();
  const token = { 'x-amz-security-token': 'token' };
  const principals = principalsWith(ID, 'secret', 'token');
  expect(outcomeOf(signed({ headers: token }), principals)).toBe(ARN);
  expect(outcomeOf(signed({ headers: {}, unsigned: token }), principals)).toBe('InvalidSignatureException');
});

it('The day of the scope is a whole one', () => {
  const { outcomeOf } = start();
  for (const day of ['2026', '202601011', '']) {
    expect(outcomeOf(signed({ day }))).toBe('InvalidSignatureException');
  }
});

it('A header is signed with its spaces as one, and a name that objects inherit as a header that is not there', () => {
  const { outcomeOf } = start();
  const headers = { 'x-spaces': '  a   b  ' };
  expect(outcomeOf(signed({ headers, signedHeaders: [HOST, DATE, ['x-spaces', 'a b']] }))).toBe(ARN);
  expect(outcomeOf(signed({ headers: {}, signedHeaders: [['constructor', ''], HOST, DATE] }))).toBe(ARN);
});

it('The date may be that of HTTP, and the host that of HTTP/2', () => {
  const { outcomeOf } = start();
  const date = new Date(NOON).toUTCString();
  const { headers, ...rest } = signed({ headers: { date }, signedHeaders: [['date', date], HOST] });
  const { 'x-amz-date': _, ...dated } = headers;
  expect(outcomeOf({ ...rest, headers: dated })).toBe(ARN);
  const { host, ...others } = signed().headers;
  expect(outcomeOf({ ...signed(), headers: { ...others, ':authority': host } })).toBe(ARN);
  expect(outcomeOf({ ...signed(), headers: { ...others, ':authority': 'elsewhere' } })).toBe(
    'InvalidSignatureException',
  );
});

it('A signature in the query is refused', () => {
  const { outcomeOf } = start();
  const target = '/?X-Amz-Algorithm=AWS4-HMAC-SHA256';
  expect(outcomeOf({ ...signed(), target })).toBe('InvalidSignatureException');
  const { authorization: _, ...headers } = signed().headers;
  expect(isSigned({ ...signed(), target, headers })).toBe(true);
  expect(outcomeOf({ ...signed(), target, headers })).toBe('IncompleteSignatureException');
});

it.each([
  ['terminator', 'Credential=a/20260101/us-east-1/kms/'],
  ['credential', 'Credential='],
  ['header', 'x'],
])('A long %s is repeated in part', (_, before) => {
  const { messageOf } = start();
  const authorization = `AWS4-HMAC-SHA256 ${before}${'x'.repeat(5_000)}, SignedHeaders=host, Signature=a`;
  const message = messageOf({ ...signed(), headers: { ...signed().headers, authorization } });
  expect(message).toContain('xxx…');
  expect(message.length).toBeLessThan(700);
});
