import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { accountRootArn, type Deployment } from '../arn.ts';
import type { Clock } from '../clock.ts';
import { KmsError } from '../errors.ts';
import { bearerToken, unrecognizedClient } from './bearer.ts';
import { JwtVerifier, looksLikeJwt } from './jwt.ts';
import type { LivePrincipals } from './live-principals.ts';
import { type Principal, principalOf } from './principal.ts';
import type { Principals } from './principals.ts';
import type { SignedRequest } from './canonical-request.ts';
import { isSigned, SignatureVerifier } from './signature-verifier.ts';

/** How many bearer tokens are remembered that were shown before. */
const KNOWN = 10_000;

/** What a caller shows of who it is. */
export interface Evidence {
  /** The `authorization` header. */
  readonly authorization: string | undefined;
  /** The SPIFFE ID and DNS names of the caller's certificate, if the listener's client CA vouches for it. */
  tlsIdentities(): readonly string[];
  /** The request itself, where it may be signed as AWS's are. */
  readonly signedRequest?: SignedRequest | undefined;
}

/** Finds out who calls. */
export interface Authenticator {
  /**
   * Who shows this, at once where no token has to be verified first.
   *
   * @throws KmsError MissingAuthenticationTokenException when nothing is shown, and otherwise what is wrong with it
   */
  authenticate(evidence: Evidence): Principal | Promise<Principal>;
}

/** Takes every caller for the root of the account. */
export function anonymousAuthenticator(deployment: Deployment): Authenticator {
  const root = Object.freeze(principalOf(accountRootArn(deployment), [], 'anonymous'));
  return { authenticate: () => root };
}

/**
 * Takes callers for whom the principals file says they are: by the signature of a request or a bearer token, which decides
 * when there is one, and otherwise by the client certificate.
 */
export class CredentialAuthenticator implements Authenticator {
  readonly #principals: LivePrincipals;
  readonly #jwt: JwtVerifier;
  /** By the headers with bearer tokens of the principals file that came before. */
  readonly #known = new LRUCache<string, Principal>({ max: KNOWN });
  #knownOf: Principals | undefined;
  readonly #signatures: SignatureVerifier;

  constructor(principals: LivePrincipals, { region }: Deployment, clock: Clock, log: Logger) {
    this.#principals = principals;
    this.#signatures = new SignatureVerifier(region, clock);
    this.#jwt = new JwtVerifier(clock, log);
  }

  authenticate(evidence: Evidence): Principal | Promise<Principal> {
    const principals = this.#principals.current;
    if (principals !== this.#knownOf) {
      this.#known.clear();
      this.#knownOf = principals;
    }
    const { authorization, signedRequest } = evidence;
    if (signedRequest !== undefined && isSigned(signedRequest))
      return this.#signatures.signerOf(signedRequest, principals);
    if (authorization === undefined) return ofCertificate(evidence.tlsIdentities(), principals);
    // Strings are compared only when their hashes are the same, and these are seeded anew by each process: how long it
    // takes tells no more than the look-up of a digest.
    const known = this.#known.get(authorization);
    if (known !== undefined) return known;
    const token = bearerToken(authorization);
    if (token === undefined) {
      const names = evidence.tlsIdentities();
      // To AWS's clients, what is no token is a signature that is not complete.
      if (names.length === 0 && signedRequest !== undefined)
        return this.#signatures.signerOf(signedRequest, principals);
      return ofCertificate(names, principals);
    }
    const principal = this.#ofToken(token, principals);
    if (!(principal instanceof Promise) && principal.authentication === 'bearer') {
      this.#known.set(authorization, principal);
    }
    return principal;
  }

  /** Tokens are looked up by their digest: how long that takes tells nothing of those that there are. */
  #ofToken(token: string, principals: Principals): Principal | Promise<Principal> {
    const digest = hash('sha256', token);
    const principal = principals.byBearerToken(digest);
    if (principal !== undefined) return principal;
    if (principals.hasIssuers && looksLikeJwt(token)) return this.#jwt.verify(token, digest, principals);
    throw unrecognizedClient('the token is none of the principals file');
  }
}

/** Whoever the names of a certificate mean; nobody when they mean several. */
function ofCertificate(names: readonly string[], principals: Principals): Principal {
  if (names.length === 0) {
    throw new KmsError('MissingAuthenticationTokenException', 'Missing Authentication Token');
  }
  let found: Principal | undefined;
  for (const name of names) {
    const principal = principals.byTlsIdentity(name);
    if (principal !== undefined && found !== undefined && principal !== found) {
      throw unrecognizedClient('the names of the certificate are of several principals');
    }
    found ??= principal;
  }
  if (found === undefined) throw unrecognizedClient('no name of the certificate is in the principals file');
  return found;
}
