import type { KeyObject } from 'node:crypto';
import { arnOfClaim, type OidcIssuer } from './oidc-issuer.ts';
import type { Policy } from './policy.ts';
import { type Authentication, type Principal, principalOf, withoutRolePath } from './principal.ts';

/** What requests are signed with. */
export interface AccessKeySecret {
  /** `AWS4` and the secret: what Signature Version 4 begins with. */
  readonly signingSecret: KeyObject;
  /** Of a temporary access key: the SHA-256, in lower-case hexadecimal, of the token that comes with it. */
  readonly sessionTokenDigest: string | undefined;
  /** When it ends, in milliseconds since 1970. */
  readonly expiresAt: number | undefined;
}

/** An access key of a principal. */
export interface AccessKey extends AccessKeySecret {
  readonly principal: Principal;
}

/** What is known of one principal. */
export interface PrincipalEntry {
  readonly arn: string;
  readonly policies: readonly Policy[];
  /** SHA-256 in lower-case hexadecimal. */
  readonly tokenDigests: readonly string[];
  readonly tlsIdentities: readonly string[];
  /** By their IDs. */
  readonly accessKeys: ReadonlyMap<string, AccessKeySecret>;
}

/** Everybody who may call, found by what they show. It never changes: a new file makes a new one. */
export class Principals {
  readonly #byToken = new Map<string, Principal>();
  readonly #byTlsIdentity = new Map<string, Principal>();
  readonly #accessKeys = new Map<string, AccessKey>();
  readonly #policies = new Map<string, readonly Policy[]>();
  /** The ARNs of the listed roles, by the same without their paths. */
  readonly #roles = new Map<string, string>();
  readonly #issuers: ReadonlyMap<string, OidcIssuer>;

  /** No ARN, credential or issuer may be given twice. */
  constructor(entries: readonly PrincipalEntry[], issuers: readonly OidcIssuer[] = []) {
    for (const { arn, policies } of entries) {
      this.#policies.set(withoutRolePath(arn), policies);
      if (arn.includes(':role/')) this.#roles.set(withoutRolePath(arn), arn);
    }
    for (const { arn, tokenDigests, tlsIdentities, accessKeys } of entries) {
      const policies = this.policiesOf(arn) ?? [];
      const [byToken, byTls, bySignature] = (['bearer', 'tls', 'sigv4'] as const).map((authentication) =>
        this.#principal(arn, policies, authentication),
      ) as [Principal, Principal, Principal];
      for (const digest of tokenDigests) this.#byToken.set(digest, byToken);
      for (const identity of tlsIdentities) this.#byTlsIdentity.set(identity, byTls);
      for (const [id, secret] of accessKeys) this.#accessKeys.set(id, { ...secret, principal: bySignature });
    }
    this.#issuers = new Map(issuers.map((issuer) => [issuer.issuer, issuer]));
  }

  get size(): number {
    return this.#policies.size;
  }

  /** @param digest the token's SHA-256 in lower-case hexadecimal */
  byBearerToken(digest: string): Principal | undefined {
    return this.#byToken.get(digest);
  }

  /** @param identity a SPIFFE ID or a DNS name in lower case */
  byTlsIdentity(identity: string): Principal | undefined {
    return this.#byTlsIdentity.get(identity);
  }

  accessKey(id: string): AccessKey | undefined {
    return this.#accessKeys.get(id);
  }

  /** The identity policies of a principal that is listed, with those of a session's role; `undefined` when neither is. */
  policiesOf(arn: string): readonly Policy[] | undefined {
    const listed = principalOf(arn, [], 'none').pathless.filter((name) => this.#policies.has(name));
    return listed.length === 0 ? undefined : listed.flatMap((name) => this.#policies.get(name) ?? []);
  }

  get hasIssuers(): boolean {
    return this.#issuers.size > 0;
  }

  issuer(name: string): OidcIssuer | undefined {
    return this.#issuers.get(name);
  }

  /**
   * Whom an issuer means by the value of its claim; `undefined` when nobody. Its policies are those of the listed
   * principal of this ARN and of its role, and otherwise the issuer's.
   */
  byClaim(issuer: OidcIssuer, value: string): Principal | undefined {
    const arn = arnOfClaim(issuer, value);
    if (arn === undefined) return undefined;
    return this.#principal(arn, this.policiesOf(arn) ?? issuer.policies, 'jwt');
  }

  /** The principal of an ARN; the role of a session has the path that the file says it has. */
  #principal(arn: string, policies: readonly Policy[], authentication: Authentication): Principal {
    const principal = principalOf(arn, policies, authentication);
    const [own = arn, ...role] = principal.names;
    return Object.freeze({ ...principal, names: [own, ...role.map((name) => this.#roles.get(name) ?? name)] });
  }
}
