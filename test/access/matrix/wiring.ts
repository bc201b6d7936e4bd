import { Authorizer, type Grants } from '../../../src/access/authorizer.ts';
import type { Surroundings } from '../../../src/access/condition-context.ts';
import { type AccessRequest, Policy, type Verdict } from '../../../src/access/policy.ts';
import type { Principal } from '../../../src/access/principal.ts';
import type { Clock } from '../../../src/clock.ts';
import { GrantBook } from '../../../src/grants/grant-book.ts';
import { GrantRecords } from '../../../src/grants/grant-records.ts';
import { GrantService } from '../../../src/grants/grant-service.ts';
import { KeyCache } from '../../../src/keys/key-cache.ts';
import { KeyReader } from '../../../src/keys/key-reader.ts';
import { KeyService } from '../../../src/keys/key-service.ts';
import { LastUsages } from '../../../src/keys/last-usages.ts';
import { KeyPolicies } from '../../../src/keys/protected-key.ts';
import { AWS_QUOTAS } from '../../../src/keys/quotas.ts';
import { MacService } from '../../../src/macs/mac-service.ts';
import { callOf, callsOf } from './calls.ts';
import type { Cell } from './cells.ts';
import { DEPLOYMENT, type Foundation, GRANT_DELAY, type Subject } from './foundation.ts';

/** What a rule is switched off with: what takes the place of a part of the access control. */
export interface Sabotage {
  /** Whether it changes what callers are told only, and not what they may do. */
  readonly ofTextsOnly?: boolean;
  /** In the place of what a policy says. */
  readonly evaluate?: (policy: Policy, request: AccessRequest, ask: (request: AccessRequest) => Verdict) => Verdict;
  /** In the place of who calls. */
  readonly principal?: (principal: Principal) => Principal;
  /** By which grants are effective, and expire. */
  readonly grantClock?: (clock: Clock) => Clock;
  readonly grants?: (book: Grants, foundation: Foundation) => Grants;
  readonly authorizer?: new (grants: Grants, surroundings: Surroundings) => Authorizer;
}

/** The real services over what there is, or almost: with a rule switched off. */
export class Wiring {
  readonly macs: MacService;
  readonly keys: KeyService;
  readonly grants: GrantService;
  readonly #sabotage: Sabotage;

  constructor(foundation: Foundation, sabotage: Sabotage = {}) {
    const { records, follower, paths, grantPaths, tokenKey, clock } = foundation;
    const bookClock = sabotage.grantClock?.(clock) ?? clock;
    const book = new GrantBook(records, follower, grantPaths, tokenKey, Infinity, bookClock, 10_000);
    const grants = sabotage.grants?.(book, foundation) ?? book;
    const surroundings = { deployment: DEPLOYMENT, clock, secureTransport: true };
    const authorizer = new (sabotage.authorizer ?? Authorizer)(grants, surroundings);
    const policies = new KeyPolicies(DEPLOYMENT);
    const observer = { cacheHit() {}, cacheMiss() {} };
    const cache = new KeyCache(records, follower, authorizer, policies, DEPLOYMENT, paths, clock, observer, 10_000);
    const reader = new KeyReader(records, authorizer, policies, DEPLOYMENT, paths, clock);
    const usages = new LastUsages(records, paths, clock, () => {});
    this.macs = new MacService(cache, authorizer, usages);
    this.keys = new KeyService(records, reader, authorizer, policies, usages, DEPLOYMENT, paths, clock, AWS_QUOTAS);
    const grantRecords = new GrantRecords(records, grantPaths, GRANT_DELAY, clock, AWS_QUOTAS.grantsPerKey);
    this.grants = new GrantService(records, grantRecords, reader, authorizer, DEPLOYMENT, grantPaths, tokenKey, clock);
    this.#sabotage = sabotage;
  }

  /** Makes the call of a cell on a key, by a principal. */
  async perform(cell: Cell, subject: Subject, principal: Principal, otherToken: string): Promise<void> {
    const restore = sabotagePolicies(this.#sabotage);
    try {
      const call = callOf(cell.operation, this.#sabotage.principal?.(principal) ?? principal);
      await callsOf(this, cell, subject, call, otherToken)[cell.operation]();
    } finally {
      restore();
    }
  }
}

/** Has policies say something else, until the returned function is called. */
function sabotagePolicies({ evaluate }: Sabotage): () => void {
  if (evaluate === undefined) return () => {};
  // oxlint-disable-next-line typescript/unbound-method -- it is called with its object below
  const real = Policy.prototype.evaluate;
  Policy.prototype.evaluate = function (request) {
    return evaluate(this, request, (asked) => real.call(this, asked));
  };
  return () => {
    Policy.prototype.evaluate = real;
  };
}
