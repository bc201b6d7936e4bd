import type { KmsError } from '../errors.ts';
import type { Grant } from '../gen/hmacd/store/v1/records_pb.ts';
import type { Tag } from '../gen/hmacd/v1/key_pb.ts';
import { accessDenied, ANOTHERS, explicitlyDenied, foreignAccountDenied } from './access-denied.ts';
import type { Call } from './call.ts';
import { type ConditionValues, contextOf, type Surroundings } from './condition-context.ts';
import type { Policy } from './policy.ts';
import { identityVerdict, type PolicyVerdict, policyVerdict } from './policy-verdict.ts';
import type { Principal } from './principal.ts';

/** A key, as far as it matters to who may use it. */
export interface ProtectedKey {
  readonly keyId: string;
  readonly arn: string;
  /** AWS's spelling, such as `HMAC_256`. */
  readonly keySpecName: string;
  /** AWS's spelling, such as `AWS_KMS`. */
  readonly originName: string;
  readonly policy: Policy;
  readonly tags: readonly Tag[];
  /** The names of its aliases, with `alias/`; throws when their record is damaged. */
  readonly aliasNames: () => readonly string[];
  /** What the policies said of callers, by operation, for as long as the key stays as it is. */
  readonly verdicts: Map<Principal, Map<string, PolicyVerdict>>;
}

/** What a caller wants to do with a key, beyond what its call says. */
export interface Wish {
  readonly grantTokens?: readonly string[];
  /** The name of the alias by which the request named the key. */
  readonly requestAlias?: string | undefined;
  readonly values?: ConditionValues;
  /** Whether a grant covers what is asked for, beyond the operation. */
  readonly covers?: (grant: Grant) => boolean;
}

/** What somebody wants a grant for. */
export interface GrantQuestion {
  readonly keyId: string;
  readonly principal: Principal;
  /** AWS's name. */
  readonly operation: string;
  readonly tokens: readonly string[];
  /** Whether a grant is enough, or would need a word of the caller's own account that there is not. */
  readonly suffices: (grant: Grant) => boolean;
  readonly covers: ((grant: Grant) => boolean) | undefined;
}

/** A grant that allows what was asked. */
export interface AllowingGrant {
  readonly grantId: string;
  /** Whether it is enough; one that is not is only given where there is none that is. */
  readonly sufficient: boolean;
}

/** Where grants are looked up. */
export interface Grants {
  /**
   * A grant that allows an operation, to the caller itself or to its account. A promise says that not all of
   * them were at hand: ask again when it is kept.
   */
  allowing(question: GrantQuestion): AllowingGrant | undefined | Promise<void>;

  /**
   * Demands that tokens were issued, whatever they are worth now.
   *
   * @throws KmsError InvalidGrantTokenException
   */
  requireGenuine(tokens: readonly string[]): void;
}

/**
 * What callers of other accounts can be allowed; permissions for anything else have no effect.
 *
 * @see https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying-external-accounts.html
 */
const ACROSS_ACCOUNTS: ReadonlySet<string> = new Set([
  'CreateGrant',
  'DescribeKey',
  'GenerateMac',
  'GetKeyRotationStatus',
  'ListGrants',
  'RetireGrant',
  'RevokeGrant',
  'VerifyMac',
]);

/** How many callers' verdicts are remembered for a key. */
const REMEMBERED = 1_000;

const NOTHING_ALLOWS = 'no statement allows it';

/**
 * Decides whether a caller may do what it asks for, as AWS KMS does. An explicit deny wins. Then the key policy names the
 * caller, or leaves it to the account and an identity policy allows it, or a grant allows it; for a caller of another
 * account, its own identity policies must allow it in any case. Everything else is denied.
 *
 * @see https://docs.aws.amazon.com/kms/latest/developerguide/control-access.html
 */
export class Authorizer {
  readonly #grants: Grants;
  readonly #surroundings: Surroundings;

  constructor(grants: Grants, surroundings: Surroundings) {
    this.#grants = grants;
    this.#surroundings = surroundings;
  }

  /**
   * Lets a call go on with a key of this account. A promise says that grants had to be read: when it is kept, everything is
   * to be asked anew, since the key may have changed meanwhile.
   *
   * @throws KmsError AccessDeniedException; InvalidGrantTokenException when a token was never issued.
   */
  authorize(call: Call, key: ProtectedKey, wish: Wish = {}): Promise<void> | undefined {
    const { principal, operation } = call;
    const tokens = wish.grantTokens ?? [];
    call.grantId = undefined;
    if (tokens.length > 0) this.#grants.requireGenuine(tokens);
    if (!this.isAtHome(call) && !ACROSS_ACCOUNTS.has(operation)) {
      call.decidedBy = NOTHING_ALLOWS;
      throw foreignAccountDenied(call);
    }
    const verdict = this.#verdict(operation, call, key, wish);
    if (verdict.denial !== undefined) throw this.#denied(call, key, verdict);
    if (verdict.allowance !== undefined) {
      call.decidedBy = verdict.allowance;
      return undefined;
    }
    // A grant stands for the word of the account that made it, and of no other; one to an account leaves it to that.
    const suffices = ({ issuingAccount, granteePrincipal }: Grant): boolean =>
      verdict.byIdentity !== undefined ||
      (issuingAccount === principal.accountId && granteePrincipal !== principal.accountArn);
    const { covers } = wish;
    const grant = this.#grants.allowing({ keyId: key.keyId, principal, operation, tokens, suffices, covers });
    if (grant instanceof Promise) return grant;
    // One that does not suffice lets the caller in all the same, and so know that there is a key.
    if (grant?.sufficient !== true)
      throw this.#denied(call, key, grant === undefined ? verdict : { ...verdict, byKey: true });
    call.grantId = grant.grantId;
    call.decidedBy = `grant ${grant.grantId}`;
    return undefined;
  }

  /**
   * Looks at what a caller of another account shows before it is looked whether there is a key: what is wrong with it must
   * not tell.
   *
   * @throws KmsError InvalidGrantTokenException
   */
  screen(call: Call, grantTokens: readonly string[] = []): void {
    if (grantTokens.length > 0 && !this.isAtHome(call)) this.#grants.requireGenuine(grantTokens);
  }

  /**
   * Lets a call go on with something that has no policy of its own, and that only this account's callers have.
   *
   * @param resource the ARN of an alias, or of a key that there is not yet; `undefined` for the account
   * @param operation what the caller has to be allowed, where that is not the operation that it calls
   * @throws KmsError AccessDeniedException
   */
  authorizeByIdentity(call: Call, resource = '*', values: ConditionValues = {}, operation = call.operation): void {
    if (!this.isAtHome(call)) {
      call.decidedBy = NOTHING_ALLOWS;
      throw accessDenied(call, resource, 'identity-based');
    }
    this.authorizeAtCaller(call, resource, values, operation);
  }

  /** Like `authorizeByIdentity`, for what callers of other accounts have here as well. */
  authorizeAtCaller(call: Call, resource = '*', values: ConditionValues = {}, operation = call.operation): void {
    const { principal } = call;
    const context = contextOf({ call, values }, this.#surroundings);
    const { denial, byIdentity } = identityVerdict(operation, resource, principal, context);
    call.decidedBy = denial?.by ?? byIdentity ?? NOTHING_ALLOWS;
    if (denial !== undefined) throw explicitlyDenied({ principal, operation }, resource, denial.kind);
    if (byIdentity === undefined) throw accessDenied({ principal, operation }, resource, 'identity-based');
  }

  /**
   * Lets a call retire a grant: of its retiring principal, of its grantee where the grant says so, of the account that made
   * it, or of the key's. Key policies have no say in it.
   *
   * @param granteeMay whether the grant allows its grantee to retire it
   * @throws KmsError AccessDeniedException
   * @see https://docs.aws.amazon.com/kms/latest/developerguide/grant-delete.html
   */
  authorizeRetirement(call: Call, key: ProtectedKey, grant: Grant, granteeMay: boolean): void {
    const { principal, operation } = call;
    const context = contextOf({ call, key }, this.#surroundings);
    const verdict = identityVerdict(operation, key.arn, principal, context);
    const may = [grant.retiringPrincipal, ...(granteeMay ? [grant.granteePrincipal] : [])];
    const named = principal.names.some((name) => may.includes(name));
    const leftToAccount =
      this.isAtHome(call) || principal.accountId === grant.issuingAccount || may.includes(principal.accountArn);
    const allowed = (named && this.isAtHome(call)) || ((named || leftToAccount) && verdict.byIdentity !== undefined);
    if (verdict.denial !== undefined || !allowed) {
      throw this.#denied(call, key, { ...verdict, allowance: undefined, byKey: named || leftToAccount });
    }
    call.decidedBy = named ? `grant ${grant.grantId}` : verdict.byIdentity;
  }

  /** Whether the policies of a key, and not its grants, would let the caller do something with it. */
  wouldAllow(operation: string, call: Call, key: ProtectedKey, values: ConditionValues = {}): boolean {
    const { denial, allowance } = this.#evaluate(operation, call, key, { values });
    return denial === undefined && allowance !== undefined;
  }

  /** Whether the caller is of this account, and so may be told what there is. */
  isAtHome({ principal }: Call): boolean {
    return principal.accountId === this.#surroundings.deployment.accountId;
  }

  #verdict(operation: string, call: Call, key: ProtectedKey, wish: Wish): PolicyVerdict {
    const { principal } = call;
    const known = key.verdicts.get(principal)?.get(operation);
    if (known !== undefined) return known;
    const verdict = this.#evaluate(operation, call, key, wish);
    if (key.policy.steady && principal.policies.every(({ steady }) => steady)) {
      if (key.verdicts.size >= REMEMBERED) key.verdicts.clear();
      const ofPrincipal = key.verdicts.get(principal) ?? new Map<string, PolicyVerdict>();
      key.verdicts.set(principal, ofPrincipal.set(operation, verdict));
    }
    return verdict;
  }

  #evaluate(operation: string, call: Call, key: ProtectedKey, wish: Wish): PolicyVerdict {
    const context = contextOf({ call, key, ...wish }, this.#surroundings);
    return policyVerdict(operation, key.policy, key.arn, call.principal, this.isAtHome(call), context);
  }

  #denied(call: Call, key: ProtectedKey, verdict: PolicyVerdict): KmsError {
    call.decidedBy = verdict.denial?.by ?? NOTHING_ALLOWS;
    const error = this.#errorOf(call, key, verdict);
    // Who may read the policies may be told what in them decided.
    const mayKnow = this.isAtHome(call) && this.wouldAllow('GetKeyPolicy', call, key);
    return mayKnow ? error.decidedBy(call.decidedBy) : error;
  }

  #errorOf(call: Call, key: ProtectedKey, { denial, byKey, byIdentity }: PolicyVerdict): KmsError {
    if (!this.isAtHome(call)) {
      // Whom the key's side does not let in is not told that there is a key.
      if (!byKey || denial?.kind === 'resource-based') return foreignAccountDenied(call);
      return denial === undefined
        ? accessDenied(call, ANOTHERS, 'identity-based')
        : explicitlyDenied(call, ANOTHERS, denial.kind);
    }
    if (denial !== undefined) return explicitlyDenied(call, key.arn, denial.kind);
    return accessDenied(call, key.arn, byIdentity === undefined ? 'identity-based' : 'resource-based');
  }
}
