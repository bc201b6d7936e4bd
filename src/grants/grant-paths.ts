import type { KeyPaths } from '../keys/key-paths.ts';
import type { TokenClaims } from './grant-token.ts';

/** Follows an ARN in a path. No ARN of a principal has it, so that none is the beginning of another one's path. */
const END = '/!';

/** Where the records of grants are: under their key, so that they go with it, and one beside it for who may retire them. */
export class GrantPaths {
  readonly #keys: KeyPaths;
  readonly #account: string;

  constructor(keys: KeyPaths, accountId: string) {
    this.#keys = keys;
    this.#account = accountId;
  }

  /** The prefix of a key's grants; what follows it is the grant ID. */
  grants(keyId: string): string {
    return `${this.#keys.under(keyId)}grant/`;
  }

  grant(keyId: string, grantId: string): string {
    return this.grants(keyId) + grantId;
  }

  /** The key and the grant of a path of `grant`. */
  ofGrant(path: string): { keyId: string; grantId: string } {
    const [grantId = '', , keyId = ''] = path.split('/').toReversed();
    return { keyId, grantId };
  }

  /** The prefix of the grants of a key by their grantees. */
  grantees(keyId: string): string {
    return `${this.#keys.under(keyId)}grantee/`;
  }

  /** The prefix of the grants of a key to a principal; what follows it is the grant ID. */
  grantsTo(keyId: string, granteePrincipal: string): string {
    return `${this.grantees(keyId)}${granteePrincipal}${END}`;
  }

  grantTo(keyId: string, granteePrincipal: string, grantId: string): string {
    return this.grantsTo(keyId, granteePrincipal) + grantId;
  }

  /** Whether a path under `grantees` is that of a grant. */
  isOfGrant(path: string, grantId: string): boolean {
    return path.endsWith(END + grantId);
  }

  /** The prefix that a path of `grantTo` begins with; any other path as it is. */
  prefixOf(path: string): string {
    const end = path.indexOf(END);
    return end === -1 ? path : path.slice(0, end + END.length);
  }

  /** @param digest of all that was asked for, in hexadecimal digits */
  named(keyId: string, digest: string): string {
    return `${this.#keys.under(keyId)}named/${digest}`;
  }

  /** The prefix of the tokens of a grant. */
  tokens(keyId: string, grantId: string): string {
    return `${this.#keys.under(keyId)}token/${grantId}/`;
  }

  /**
   * The tokens of a grant are in the order in which they were issued.
   *
   * @param digest of the token, in hexadecimal digits
   */
  token({ keyId, grantId, issuedAt }: TokenClaims, digest: string): string {
    return `${this.tokens(keyId, grantId)}${String(issuedAt).padStart(15, '0')}/${digest}`;
  }

  /** The prefix of what a principal may retire; what follows it is the key ID, `/`, and the grant ID. */
  retirableBy(retiringPrincipal: string): string {
    return `${this.#account}/retiring/${retiringPrincipal}${END}`;
  }

  retirable(retiringPrincipal: string, keyId: string, grantId: string): string {
    return `${this.retirableBy(retiringPrincipal)}${keyId}/${grantId}`;
  }

  /** The prefix of all grants that expire, in the order of their dates. */
  get expiring(): string {
    return `${this.#account}/expiry/`;
  }

  expiry(date: Date, keyId: string, grantId: string): string {
    return `${this.expiring}${date.toISOString()}/${keyId}/${grantId}`;
  }

  /** The greatest path of a grant that expires at a time or before it. */
  expiringUntil(time: number): string {
    return this.expiry(new Date(time), '~', '');
  }

  /** The key and the grant of a path of `expiry`. */
  ofExpiry(path: string): { keyId: string; grantId: string } {
    const [grantId = '', keyId = ''] = path.split('/').toReversed();
    return { keyId, grantId };
  }

  /** Of what grant tokens are authenticated with. */
  get tokenKey(): string {
    return `${this.#account}/grant-token-key`;
  }
}
