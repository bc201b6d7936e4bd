import { createPublicKey, type JsonWebKey } from 'node:crypto';
import type { JSONWebKeySet } from 'jose';
import type { CheckedValue } from './checked-value.ts';
import type { Policy } from './policy.ts';
import { isPrincipalArn } from './principal.ts';

/** An issuer of JSON Web Tokens, and whom its tokens stand for. */
export interface OidcIssuer {
  /** What `iss` must be. */
  readonly issuer: string;
  /** What `aud` must be, or have in it. */
  readonly audience: string;
  /** What `alg` may be; all of them with a public key. */
  readonly algorithms: readonly string[];
  /** The keys that it signs with, or where they are. */
  readonly keys: JSONWebKeySet | URL;
  /** The claim that says who it is. */
  readonly claim: string;
  /** ARNs by the value of the claim. */
  readonly arns: ReadonlyMap<string, string>;
  /** The ARN of everybody else, with the value in the place of `{claim}`. */
  readonly arnTemplate: string | undefined;
  /** The identity policies of principals that are not listed. */
  readonly policies: readonly Policy[];
}

/** Signatures whose key is public. Others (`HS256`, `none`) would let whoever verifies sign. */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];
const TEMPLATE = /^arn:[a-z0-9-]+:(?:iam|sts)::\d{12}:[a-z-]+\/[^{}]*\{claim\}[^{}]*$/;
const CLAIM_VALUE = /^[\w+=,.@-]+$/;

/** Reads an entry of `oidc`; its problems are the value's. */
export function readOidcIssuer(
  entry: CheckedValue,
  readText: (path: CheckedValue) => string | undefined,
  readPolicies: (policies: CheckedValue) => Policy[],
): OidcIssuer {
  const { issuer, audience, algorithms, jwks_file, jwks_url, claim, principals, arn_template, policies } =
    entry.members(
      'issuer',
      'audience',
      'algorithms',
      'jwks_file',
      'jwks_url',
      'claim',
      'principals',
      'arn_template',
      'policies',
    );
  if (jwks_file.present === jwks_url.present) entry.problem('must have either jwks_file or jwks_url');
  if (!principals.present && !arn_template.present) entry.problem('must have principals or arn_template');
  const accepted = algorithms.items().map((one) => one.text(`one of ${ALGORITHMS.join(', ')}`, isAlgorithm) ?? '');
  if (accepted.length === 0) algorithms.problem('must name an algorithm');
  return {
    issuer: issuer.text() ?? '',
    audience: audience.text() ?? '',
    algorithms: accepted,
    keys: (jwks_url.present ? readUrl(jwks_url) : readKeys(jwks_file, readText)) ?? { keys: [] },
    claim: claim.present ? (claim.text() ?? '') : 'sub',
    arns: new Map(
      principals.entries().map(([value, arn]) => [value, arn.text('the ARN of a principal', isPrincipalArn) ?? '']),
    ),
    arnTemplate: arn_template.present
      ? arn_template.text('the ARN of a user, a role or a session with {claim} once in its name', isTemplate)
      : undefined,
    policies: readPolicies(policies),
  };
}

/** The ARN that the value of an issuer's claim stands for; `undefined` when it stands for nobody. */
export function arnOfClaim({ arns, arnTemplate }: OidcIssuer, value: string): string | undefined {
  const listed = arns.get(value);
  if (listed !== undefined || arnTemplate === undefined || !CLAIM_VALUE.test(value)) return listed;
  const arn = arnTemplate.split('{claim}').join(value);
  return isPrincipalArn(arn) ? arn : undefined;
}

function isAlgorithm(text: string): boolean {
  return ALGORITHMS.includes(text);
}

/** The claim must not choose the account, nor make a root of a user. */
function isTemplate(text: string): boolean {
  return TEMPLATE.test(text) && isPrincipalArn(text.replace('{claim}', 'x'));
}

function readUrl(value: CheckedValue): URL | undefined {
  const text = value.text('a URL of https, or of http on this machine, without a password', (candidate) => {
    if (!URL.canParse(candidate)) return false;
    const { protocol, hostname, username, password } = new URL(candidate);
    const local = ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
    return (protocol === 'https:' || (protocol === 'http:' && local)) && username === '' && password === '';
  });
  return text === undefined ? undefined : new URL(text);
}

function readKeys(file: CheckedValue, readText: (path: CheckedValue) => string | undefined): JSONWebKeySet | undefined {
  if (!file.present) return undefined;
  const text = readText(file);
  if (text === undefined) return undefined;
  const set = parsed(text) as JSONWebKeySet | null | undefined;
  if (!Array.isArray(set?.keys) || set.keys.length === 0) {
    file.problem('is not a JSON Web Key Set with a key in it');
    return undefined;
  }
  set.keys.forEach((key: unknown, index) => {
    if (!isPublicKey(key)) file.problem(`has a key, the ${index + 1}. of them, that is no public key`);
  });
  return set;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isPublicKey(key: unknown): boolean {
  if (typeof key !== 'object' || key === null || 'd' in key || 'k' in key) return false;
  try {
    createPublicKey({ key: key as JsonWebKey, format: 'jwk' });
    return true;
  } catch {
    return false;
  }
}
