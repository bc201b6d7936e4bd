import { createLocalJWKSet, decodeJwt, errors, type JWTPayload, jwtVerify, type JWTVerifyGetKey } from 'jose';
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import { KmsError } from '../errors.ts';
import { unrecognizedClient } from './bearer.ts';
import type { OidcIssuer } from './oidc-issuer.ts';
import type { Principal } from './principal.ts';
import type { Principals } from './principals.ts';
import { IssuerUnavailableError, RemoteKeySet } from './remote-key-set.ts';

/** By how much the clock of an issuer may be off, in seconds. */
const CLOCK_TOLERANCE = 60;
/** How many tokens are remembered. */
const CAPACITY = 10_000;

/** Whether a token has the shape of a signed JSON Web Token. */
export function looksLikeJwt(token: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token);
}

/** A token that was verified. */
interface Verified {
  readonly principal: Principal;
  /** The time until which that need not be done again. */
  readonly until: number;
}

/**
 * Tells who is meant by a JSON Web Token: its issuer must be one of the principals file, and signature, algorithm,
 * audience and times must be right (`exp` has to be there). Times may be off by 60 seconds.
 *
 * A token that was verified is remembered, so that the calls after the first cost no signature: until it expires, until
 * the principals or the issuer's keys change, and no longer than the keys are used that it was verified with: of keys at
 * a URL, 10 minutes from when they were fetched.
 */
export class JwtVerifier {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #remembered = new LRUCache<string, Verified>({ max: CAPACITY });
  readonly #underWay = new Map<string, Promise<Principal>>();
  readonly #local = new WeakMap<OidcIssuer, JWTVerifyGetKey>();
  /** They outlive the principals, so that a new file does not mean to fetch them again. */
  readonly #remote = new Map<string, RemoteKeySet>();
  #principals: Principals | undefined;
  /** Another one each time that everything is forgotten. */
  #era = 0;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /**
   * The principal of a token; at once when the token is remembered.
   *
   * @param digest of the token, by which it is remembered
   * @throws KmsError UnrecognizedClientException when the token is not valid or stands for nobody;
   *   ExpiredTokenException when it was valid; DependencyTimeoutException when the issuer's keys cannot be had
   */
  verify(token: string, digest: string, principals: Principals): Principal | Promise<Principal> {
    if (principals !== this.#principals) {
      this.#principals = principals;
      this.#forget();
    }
    const remembered = this.#remembered.get(digest);
    if (remembered !== undefined && this.#clock.now() < remembered.until) return remembered.principal;
    const before = this.#underWay.get(digest);
    if (before !== undefined) return before;
    const verified = this.#verified(token, digest, principals).finally(() => {
      if (this.#underWay.get(digest) === verified) this.#underWay.delete(digest);
    });
    this.#underWay.set(digest, verified);
    return verified;
  }

  async #verified(token: string, digest: string, principals: Principals): Promise<Principal> {
    const era = this.#era;
    const [issuer, payload] = await this.#payload(token, principals);
    const value = Object.hasOwn(payload, issuer.claim) ? payload[issuer.claim] : undefined;
    const principal = typeof value === 'string' ? principals.byClaim(issuer, value) : undefined;
    if (principal === undefined) throw unrecognizedClient('the claim of the token stands for no principal');
    const until = Math.min(payload.exp! * 1_000, this.#freshUntil(issuer));
    if (era === this.#era) this.#remembered.set(digest, { principal, until });
    return principal;
  }

  async #payload(token: string, principals: Principals): Promise<[OidcIssuer, JWTPayload]> {
    try {
      // Not verified yet: it only says whose keys to try.
      const issuer = principals.issuer(String(decodeJwt(token).iss));
      if (issuer === undefined) throw unrecognizedClient('the issuer of the token is none of the principals file');
      return [issuer, await this.#verifySignatureAndClaims(token, issuer)];
    } catch (error) {
      // What jose throws may hold the payload, and so goes no further.
      if (error instanceof KmsError) throw error;
      if (error instanceof errors.JWTExpired) throw expired();
      if (error instanceof IssuerUnavailableError || error instanceof errors.JWKSTimeout) throw unavailable();
      throw unrecognizedClient(remarkOn(error));
    }
  }

  async #verifySignatureAndClaims(token: string, issuer: OidcIssuer): Promise<JWTPayload> {
    const options = {
      issuer: issuer.issuer,
      audience: issuer.audience,
      algorithms: [...issuer.algorithms],
      requiredClaims: ['exp'],
      clockTolerance: CLOCK_TOLERANCE,
      currentDate: new Date(this.#clock.now()),
    };
    try {
      return (await jwtVerify(token, this.#keysOf(issuer), options)).payload;
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      // The token does not say by which key it is signed.
      for await (const key of error) {
        try {
          return (await jwtVerify(token, key, options)).payload;
        } catch (failure) {
          if (!(failure instanceof errors.JWSSignatureVerificationFailed)) throw failure;
        }
      }
      throw error;
    }
  }

  #keysOf(issuer: OidcIssuer): JWTVerifyGetKey {
    const { keys } = issuer;
    if (keys instanceof URL) {
      let remote = this.#remote.get(keys.href);
      if (remote === undefined) {
        remote = new RemoteKeySet(keys, this.#clock, this.#log, () => this.#forget());
        this.#remote.set(keys.href, remote);
      }
      return remote.keys;
    }
    let local = this.#local.get(issuer);
    if (local === undefined) this.#local.set(issuer, (local = createLocalJWKSet(keys)));
    return local;
  }

  /** Until when the keys of an issuer that a token was verified with may be used; those of the file as long as it is. */
  #freshUntil({ keys }: OidcIssuer): number {
    const remote = keys instanceof URL ? this.#remote.get(keys.href) : undefined;
    return remote?.freshUntil ?? Infinity;
  }

  #forget(): void {
    this.#era++;
    this.#remembered.clear();
    this.#underWay.clear();
  }
}

/** What is wrong with a token that jose refuses. */
function remarkOn(error: unknown): string {
  if (error instanceof errors.JWTClaimValidationFailed) return `the ${error.claim} of the token is not right`;
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'the signature of the token is not right';
  if (error instanceof errors.JWKSNoMatchingKey) return 'the issuer has no such key as the token is signed with';
  if (error instanceof errors.JOSEAlgNotAllowed) return 'the algorithm of the token is not allowed';
  return 'the token is no JSON Web Token that can be verified';
}

function expired(): KmsError {
  return new KmsError('ExpiredTokenException', 'The security token included in the request is expired');
}

function unavailable(): KmsError {
  return new KmsError(
    'DependencyTimeoutException',
    'The keys of the issuer of the security token could not be fetched. You can retry the request.',
  );
}
