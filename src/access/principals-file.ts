import { createSecretKey, hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { codeOf } from '../system-error.ts';
import { parseYaml, YamlError } from '../yaml.ts';
import { CheckedValue } from './checked-value.ts';
import { type OidcIssuer, readOidcIssuer } from './oidc-issuer.ts';
import { Policy } from './policy.ts';
import { isPrincipalArn, withoutRolePath } from './principal.ts';
import { type AccessKeySecret, type PrincipalEntry, Principals } from './principals.ts';

/** What a principals file and the files it names hold. */
export interface PrincipalsFile {
  readonly principals: Principals;
  /** The SHA-256 of every file that was read, by its path. */
  readonly files: ReadonlyMap<string, string>;
}

const DIGEST = /^[0-9a-fA-F]{64}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?(?:Z|[+-]\d\d:\d\d)$/;
const ACCESS_KEY_ID = /^\w{16,128}$/;
/** https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md */
const SPIFFE_ID = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/[\w.-]+)*$/;
const DNS_NAME = /^(?=.{1,253}$)[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/;

/**
 * Reads a principals file: YAML, with paths relative to the file.
 *
 * @throws Error with everything that is wrong in it, each with its place; never with a credential
 */
export function readPrincipalsFile(path: string): PrincipalsFile {
  const problems: string[] = [];
  const reading = new Reading(path);
  const document = new CheckedValue(reading.document(), problems);
  const { principals, oidc } = document.members('principals', 'oidc');
  if (!principals.present) principals.problem('must be a list');
  const entries = principals.items().map((entry) => reading.principal(entry));
  const issuers = oidc.items().map((entry) => reading.issuer(entry));
  if (problems.length > 0) throw new Error(`the principals file ${path} is wrong: ${problems.join('; ')}`);
  return { principals: new Principals(entries, issuers), files: reading.files };
}

/** Reads one principals file, and remembers what must not come twice. */
class Reading {
  readonly files = new Map<string, string>();
  readonly #path: string;
  /** Where each ARN, credential and issuer stands. */
  readonly #places = new Map<string, string>();

  constructor(path: string) {
    this.#path = resolve(path);
  }

  document(): unknown {
    try {
      return parseYaml(this.#read(this.#path).toString());
    } catch (error) {
      const reason = error instanceof YamlError ? error.message : codeOf(error);
      throw new Error(`the principals file ${this.#path} cannot be read: ${reason}`, { cause: error });
    }
  }

  principal(entry: CheckedValue): PrincipalEntry {
    const { arn, bearer_tokens, tls_identities, access_keys, policies } = entry.members(
      'arn',
      'bearer_tokens',
      'tls_identities',
      'access_keys',
      'policies',
    );
    const name = arn.text('the ARN of a user, a role, a session or the root of an account', isPrincipalArn);
    // Names of roles are unique in an account, whatever their paths.
    this.#once('principal', name && withoutRolePath(name), arn);
    if (name?.endsWith(':root') && policies.present) policies.problem('must not be there: a root needs none');
    return {
      arn: name ?? '',
      policies: this.#policies(policies),
      tokenDigests: bearer_tokens.items().map((token) => this.#tokenDigest(token)),
      tlsIdentities: tls_identities.items().map((identity) => this.#tlsIdentity(identity)),
      accessKeys: new Map(access_keys.items().map((key) => this.#accessKey(key))),
    };
  }

  issuer(entry: CheckedValue): OidcIssuer {
    const issuer = readOidcIssuer(
      entry,
      (path) => this.#fileNamed(path)?.toString(),
      (policies) => this.#policies(policies),
    );
    this.#once('issuer', issuer.issuer, entry);
    return issuer;
  }

  #tokenDigest(token: CheckedValue): string {
    const { sha256 } = token.members('sha256');
    const digest = sha256.text('the SHA-256 of a token in 64 hexadecimal digits', (text) => DIGEST.test(text));
    this.#once('token', digest?.toLowerCase(), sha256);
    return digest?.toLowerCase() ?? '';
  }

  #tlsIdentity(identity: CheckedValue): string {
    const name = identity.text(
      'a SPIFFE ID such as spiffe://example.org/orders, or a DNS name in lower case without a wildcard',
      (text) => SPIFFE_ID.test(text) || DNS_NAME.test(text),
    );
    this.#once('TLS identity', name, identity);
    return name ?? '';
  }

  #accessKey(key: CheckedValue): [string, AccessKeySecret] {
    const { id, secret_file, session_token_sha256, expires_at } = key.members(
      'id',
      'secret_file',
      'session_token_sha256',
      'expires_at',
    );
    const name = id.text('16 to 128 letters, digits or underscores', (text) => ACCESS_KEY_ID.test(text));
    this.#once('access key', name, id);
    const secret = this.#fileNamed(secret_file)
      ?.toString()
      .replace(/\r?\n$/, '');
    if (secret === '') secret_file.problem('is empty');
    const sessionTokenDigest = session_token_sha256.present
      ? session_token_sha256.text('the SHA-256 of a token in 64 hexadecimal digits', (text) => DIGEST.test(text))
      : undefined;
    const end = expires_at.present
      ? expires_at.text(
          'a time such as 2030-12-31T23:59:59Z',
          (text) => TIME.test(text) && !Number.isNaN(Date.parse(text)),
        )
      : undefined;
    return [
      name ?? '',
      {
        signingSecret: createSecretKey(Buffer.from(`AWS4${secret ?? ''}`)),
        sessionTokenDigest: sessionTokenDigest?.toLowerCase(),
        expiresAt: end === undefined ? undefined : Date.parse(end),
      },
    ];
  }

  #policies(policies: CheckedValue): Policy[] {
    return policies.items().flatMap((policy) => {
      try {
        return [Policy.ofIdentity(policy.raw)];
      } catch (error) {
        policy.problem(`is no identity policy: ${(error as Error).message}`);
        return [];
      }
    });
  }

  #fileNamed(value: CheckedValue): Buffer | undefined {
    const name = value.text('a path');
    if (name === undefined) return undefined;
    try {
      return this.#read(resolve(dirname(this.#path), name));
    } catch (error) {
      value.problem(`cannot be read: ${codeOf(error)}`);
      return undefined;
    }
  }

  #read(path: string): Buffer {
    const content = readFileSync(path);
    this.files.set(path, hash('sha256', content));
    return content;
  }

  #once(kind: string, name: string | undefined, value: CheckedValue): void {
    if (name === undefined || name === '') return;
    const before = this.#places.get(`${kind} ${name}`);
    if (before === undefined) this.#places.set(`${kind} ${name}`, value.place);
    else value.problem(`is the same ${kind} as ${before}`);
  }
}
