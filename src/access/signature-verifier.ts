import { createHmac, createSecretKey, hash, type KeyObject, timingSafeEqual } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';
import { KmsError, shortened } from '../errors.ts';
import { unrecognizedClient } from './bearer.ts';
import { canonicalRequest, cutAt, type Headers, type SignedRequest } from './canonical-request.ts';
import type { Principal } from './principal.ts';
import type { AccessKey, Principals } from './principals.ts';

const WRONG =
  'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.';
const ALGORITHM = 'AWS4-HMAC-SHA256';
const SERVICE = 'kms';
const TERMINATOR = 'aws4_request';
const SIGNATURE = 'Signature=';
/** By how much the clock of a caller may be off, in minutes. */
const TOLERANCE = 5;

/** How many ways to sign are remembered that came before, and the longest header that is, in characters. */
const KNOWN = 1_000;
const LONGEST_KNOWN = 1_024;

/** What follows from an `authorization` header but for the signature itself. Of one program, it is the same for a day. */
interface Signing {
  readonly algorithm: string;
  /** Empty where it is missing, as are the signed headers. */
  readonly credential: string;
  readonly signedHeaders: string;
  /** How many elements the credential has. */
  readonly elements: number;
  readonly keyId: string;
  readonly day: string;
  /** All of the credential but the key. */
  readonly scope: string;
  /** What AWS says of the scope, but for its day; empty when it is right. */
  readonly problems: string;
  /** The signed headers; `undefined` unless they are in lower case and in order. */
  readonly names: readonly string[] | undefined;
}

/** What followed from `authorization` headers, by the headers without their signature. */
export type KnownSignings = LRUCache<string, Signing>;

/** Whether an `authorization` header, or a query, is of a signature of AWS. */
export function isSigned({ headers, target }: SignedRequest): boolean {
  return headers.authorization?.startsWith('AWS4-') === true || IN_QUERY.test(target);
}

const IN_QUERY = /[?&]X-Amz-Algorithm(?:[=&]|$)/;

/** Verifies Signature Version 4 of requests to one Region. */
export class SignatureVerifier {
  readonly #region: string;
  readonly #clock: Clock;
  readonly #known: KnownSignings;

  /**
   * @param region such as `us-east-1`
   * @param known what came before, of requests whose signature was right
   */
  constructor(region: string, clock: Clock, known: KnownSignings = new LRUCache({ max: KNOWN })) {
    this.#region = region;
    this.#clock = clock;
    this.#known = known;
  }

  /**
   * Tells who has signed a request.
   *
   * What is wrong is looked for in AWS's order: the parts of the header, the time, the scope, the key, the signature.
   *
   * @throws KmsError IncompleteSignatureException, InvalidSignatureException, UnrecognizedClientException,
   *   ExpiredTokenException
   * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
   */
  signerOf(request: SignedRequest, principals: Principals): Principal {
    const { headers } = request;
    const now = this.#clock.now();
    const [header, signature] = withoutSignature(authorizationOf(request));
    const known = this.#known.get(header);
    const signing = known ?? this.#signingOf(header);
    const date = requireComplete(signing, signature, headers);
    requireTimely(date, now);
    requireScope(signing, date);
    const accessKey = principals.accessKey(signing.keyId);
    if (accessKey === undefined) throw unrecognizedClient('the access key is none of the principals file');
    requireSessionToken(accessKey, headers['x-amz-security-token'], now);
    const names = requireSigned(signing.names, headers);
    // Of a header, a character is a byte here.
    const canonical = Buffer.from(canonicalRequest(request, names), 'latin1');
    const text = `${ALGORITHM}\n${date}\n${signing.scope}\n${hash('sha256', canonical)}`;
    const expected = createHmac('sha256', signingKey(accessKey, signing.scope)).update(text).digest();
    if (!isSame(expected, signature)) throw invalid(WRONG, 'the signature is not that of the access key');
    if (known === undefined && header.length <= LONGEST_KNOWN) this.#known.set(header, signing);
    return accessKey.principal;
  }

  #signingOf(header: string): Signing {
    const [algorithm, parameters] = cutAt(header, ' ');
    const values = parametersOf(parameters);
    const credential = values.get('Credential') ?? '';
    const signedHeaders = values.get('SignedHeaders') ?? '';
    const elements = credential.split('/');
    const [keyId = '', day = '', region, service, terminator = ''] = elements;
    const problems = [
      ...(region === this.#region ? [] : ['Credential should be scoped to a valid region. ']),
      ...(service === SERVICE ? [] : [`Credential should be scoped to correct service: '${SERVICE}'. `]),
      ...(terminator === TERMINATOR
        ? []
        : [`Credential should be scoped with a valid terminator: '${TERMINATOR}', not '${shortened(terminator)}'. `]),
    ].join('');
    return {
      algorithm,
      credential,
      signedHeaders,
      elements: elements.length,
      keyId,
      day,
      scope: credential.slice(keyId.length + 1),
      problems,
      names: inOrder(signedHeaders.split(';')),
    };
  }
}

function authorizationOf({ headers: { authorization }, target }: SignedRequest): string {
  if (authorization === undefined) throw incomplete('A signature in the query is not supported.');
  if (IN_QUERY.test(target)) {
    const both = `Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.`;
    throw invalid(both, 'there is a signature in the header and in the query');
  }
  return authorization;
}

/** An `authorization` header with an empty signature, and the signature; which is empty where there is none. */
function withoutSignature(authorization: string): [header: string, signature: string] {
  const at = authorization.indexOf(SIGNATURE);
  if (at === -1) return [authorization, ''];
  const after = authorization.slice(at + SIGNATURE.length);
  const [signature = ''] = after.split(BETWEEN, 1);
  return [authorization.slice(0, at + SIGNATURE.length) + after.slice(signature.length), signature];
}

/**
 * The parameters of the header by their names; none where one is there twice, or is no parameter of it. Of what is missing,
 * AWS tells as if spaces were commas; all of them have to have commas in between.
 */
function parametersOf(text: string): ReadonlyMap<string, string> {
  const parameters = text
    .split(BETWEEN)
    .filter((parameter) => parameter !== '')
    .map((parameter) => cutAt(parameter, '='));
  const values = new Map(parameters);
  const known = parameters.every(([name]) => PARAMETERS.has(name)) && values.size === parameters.length;
  return known && (values.size < PARAMETERS.size || LIST.test(text)) ? values : new Map();
}

const BETWEEN = /[, \t]/;
/** Parameters with a comma and any white space between each two of them. */
const LIST = /^[ \t]*[^, \t]+(?:[ \t]*,[ \t]*[^, \t]+)*$/;

const PARAMETERS: ReadonlySet<string> = new Set(['Credential', 'SignedHeaders', 'Signature']);

/** Demands every parameter, and an algorithm that there is. Answers the date of the request, as in `20181105T221604Z`. */
function requireComplete(
  { algorithm, credential, signedHeaders }: Signing,
  signature: string,
  headers: Headers,
): string {
  const date = headers['x-amz-date'] ?? headers.date;
  if (credential !== '' && signature !== '' && signedHeaders !== '' && typeof date === 'string') {
    if (algorithm === ALGORITHM) return basicDate(date);
    throw incomplete(`Unsupported AWS 'algorithm': '${shortened(algorithm)}'.`);
  }
  const sentences = [
    ...(credential ? [] : ["Authorization header requires 'Credential' parameter."]),
    ...(signature ? [] : ["Authorization header requires 'Signature' parameter."]),
    ...(signedHeaders ? [] : ["Authorization header requires 'SignedHeaders' parameter."]),
    ...(date === undefined
      ? ["Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."]
      : []),
    `Authorization=${shortened(headers.authorization ?? '')}`,
  ];
  throw incomplete(sentences.join(' '));
}

/** A date in ISO 8601's basic format; one of an HTTP `Date` header may be given. */
function basicDate(text: string): string {
  if (/^\d{8}T\d{6}Z$/.test(text)) return text;
  const date = new Date(/^[A-Z][a-z]{2}, .* GMT$/.test(text) ? text : Number.NaN);
  if (!Number.isNaN(date.getTime())) return basic(date.getTime());
  throw incomplete(
    `Date must be in ISO-8601 'basic format'. Got '${shortened(text)}'. See http://en.wikipedia.org/wiki/ISO_8601`,
  );
}

function basic(time: number): string {
  return new Date(time).toISOString().replace(/[-:]|\.\d{3}/g, '');
}

function requireTimely(date: string, now: number): void {
  const part = (from: number, to: number): number => Number(date.slice(from, to));
  const time = Date.UTC(part(0, 4), part(4, 6) - 1, part(6, 8), part(9, 11), part(11, 13), part(13, 15));
  const [earliest, latest] = [now - TOLERANCE * 60_000, now + TOLERANCE * 60_000];
  if (time >= earliest && time <= latest) return;
  if (time > latest) {
    throw invalid(
      `Signature not yet current: ${date} is still later than ${basic(latest)} (${basic(now)} + ${TOLERANCE} min.)`,
      'the signature is of a time to come',
    );
  }
  throw invalid(
    `Signature expired: ${date} is now earlier than ${basic(earliest)} (${basic(now)} - ${TOLERANCE} min.)`,
    'the signature is too old',
  );
}

function requireScope({ credential, elements, day, problems }: Signing, date: string): void {
  if (elements !== 5) {
    throw incomplete(
      `Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '${shortened(credential)}'`,
    );
  }
  const isOfDay = date.startsWith(day) && day.length === 8;
  if (isOfDay && problems === '') return;
  const wrongDay = `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${shortened(day)}' != '${date.slice(0, 8)}', from '${date}'.`;
  throw invalid(problems + (isOfDay ? '' : wrongDay), 'the signature is for another Region, service or day');
}

/** Demands the session token that belongs to a temporary access key, and none with another. */
function requireSessionToken(
  { sessionTokenDigest, expiresAt }: AccessKey,
  token: string | string[] | undefined,
  now: number,
): void {
  const digest = token === undefined ? undefined : hash('sha256', String(token));
  // Digests are compared: how long that takes tells nothing of the token.
  if (digest !== sessionTokenDigest) throw unrecognizedClient('the session token is not that of the access key');
  if (expiresAt !== undefined && now >= expiresAt) {
    const text = 'The security token included in the request is expired';
    throw new KmsError('ExpiredTokenException', text).remarked('the access key has ended');
  }
}

/** Names that are in lower case and in order, so that what is signed is no longer than the headers are. */
function inOrder(names: readonly string[]): readonly string[] | undefined {
  const ordered = names.every((name, n) => name === name.toLowerCase() && (n === 0 || names[n - 1]! < name));
  return ordered ? names : undefined;
}

/** Demands that the signature covers everything that says what is asked for. */
function requireSigned(names: readonly string[] | undefined, headers: Headers): readonly string[] {
  if (names === undefined) throw invalid(WRONG, 'the signed headers are not in order');
  const missing = SAYING.find((name) => (name === 'host' || headers[name] !== undefined) && !names.includes(name));
  if (missing === undefined) return names;
  const shown = missing === 'host' ? "'Host' or ':authority'" : `'${missing}'`;
  throw invalid(`${shown} must be a 'SignedHeader' in the AWS Authorization.`, 'a header is not signed that has to be');
}

const SAYING = ['host', 'x-amz-target', 'x-amz-date', 'x-amz-security-token'];

/** What the signatures of a day are made with; the last ones are remembered, as long as their access key is. */
const signingKeys = new WeakMap<KeyObject, { readonly scope: string; readonly key: KeyObject }>();

function signingKey({ signingSecret }: AccessKey, scope: string): KeyObject {
  const known = signingKeys.get(signingSecret);
  if (known?.scope === scope) return known.key;
  let key = signingSecret;
  for (const part of scope.split('/')) key = createSecretKey(createHmac('sha256', key).update(part).digest());
  signingKeys.set(signingSecret, { scope, key });
  return key;
}

function isSame(expected: Buffer, signature: string): boolean {
  return /^[0-9a-f]{64}$/.test(signature) && timingSafeEqual(expected, Buffer.from(signature, 'hex'));
}

function incomplete(message: string): KmsError {
  return new KmsError('IncompleteSignatureException', message).remarked('the signature is not complete, or malformed');
}

/** @param remark for the audit log: what is wrong, without anything that came */
function invalid(message: string, remark: string): KmsError {
  return new KmsError('InvalidSignatureException', message).remarked(remark);
}
