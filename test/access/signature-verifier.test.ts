import { createHmac, createSecretKey, hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { expect, it } from 'vitest';
import type { SignedRequest } from '../../src/access/canonical-request.ts';
import { Principals } from '../../src/access/principals.ts';
import { type KnownSignings, SignatureVerifier } from '../../src/access/signature-verifier.ts';
import { FakeClock } from '../support/running-service.ts';

const ARN = 'arn:aws:iam::000000000000:role/orders';
const ID = 'AKIAIOSFODNN7EXAMPLE';
const NOON = Date.UTC(2026, 0, 1, 12);
const BODY = Buffer.from('{}');

/** The principals of a file in which a role has an access key. */
function principalsWith(id: string, secret: string): Principals {
  const key = {
    signingSecret: createSecretKey(`AWS4${secret}`, 'utf8'),
    sessionTokenDigest: undefined,
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
  /** Signed, beside the host and the date. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly unsigned?: Readonly<Record<string, string>>;
}

/** A request as AWS's document on signatures says that it is made. */
function signed({ secret = 'secret', time = NOON, day, headers = TARGET, unsigned = {} }: Signing = {}): SignedRequest {
  const date = new Date(time).toISOString().replaceAll(/[-:]|\.\d{3}/g, '');
  const all: Record<string, string> = { host: 'localhost', 'x-amz-date': date, ...headers };
  const names = Object.keys(all).toSorted();
  const scope = [day ?? date.slice(0, 8), 'us-east-1', 'kms', 'aws4_request'];
  const lines = names.map((name) => `${name}:${all[name]}\n`).join('');
  const canonical = `POST\n/\n\n${lines}\n${names.join(';')}\n${hash('sha256', BODY)}`;
  const text = `AWS4-HMAC-SHA256\n${date}\n${scope.join('/')}\n${hash('sha256', canonical)}`;
  const key = scope.reduce<Buffer>(
    (by, part) => createHmac('sha256', by).update(part).digest(),
    Buffer.from(`AWS4${secret}`),
  );
  const signature = createHmac('sha256', key).update(text).digest('hex');
  const authorization = `AWS4-HMAC-SHA256 Credential=${ID}/${scope.join('/')}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
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
      return (error as { exception: string }).exception;
    }
  };
  return { clock, outcomeOf, known };
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
  const undated = signed();
  expect(outcomeOf({ ...undated, body: Buffer.from('{"Limit":1}') })).toBe('InvalidSignatureException');
  // The date is there twice, and signed in the place that does not count.
  const { 'x-amz-date': date, ...dateless } = signed().headers;
  expect(outcomeOf({ ...undated, headers: { ...dateless, date: String(date) } })).toBe('InvalidSignatureException');
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
