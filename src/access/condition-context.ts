import type { Deployment } from '../arn.ts';
import type { Clock } from '../clock.ts';
import type { ProtectedKey } from './authorizer.ts';
import type { Call } from './call.ts';
import { isAccountRoot, type Principal } from './principal.ts';
import { resourceTagValues } from './tag-conditions.ts';

/** Values that an operation gives to condition keys, by their names in lower case. */
export type ConditionValues = Readonly<Record<string, readonly string[]>>;

/** Tells the values of a condition key, by its name in lower case; `undefined` where the request has none. */
export type ConditionContext = (name: string) => readonly string[] | undefined;

/** What is the same for all requests. */
export interface Surroundings {
  readonly deployment: Deployment;
  readonly clock: Clock;
  /** Whether the listeners speak TLS. */
  readonly secureTransport: boolean;
}

/** What a request is about, as far as conditions may look at it. */
export interface ConditionSubject {
  readonly call: Call;
  /** Left out for an operation that is not on a key. */
  readonly key?: ProtectedKey;
  /** The name of the alias by which the request named the key. */
  readonly requestAlias?: string | undefined;
  readonly values?: ConditionValues;
}

/**
 * The condition keys of a request.
 *
 * @see https://docs.aws.amazon.com/kms/latest/developerguide/policy-conditions.html
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
 */
export function contextOf(subject: ConditionSubject, surroundings: Surroundings): ConditionContext {
  return (name) => subject.values?.[name] ?? one(valueOf(name, subject, surroundings));
}

function one(value: string | readonly string[] | undefined): readonly string[] | undefined {
  return typeof value === 'string' ? [value] : value;
}

function valueOf(
  name: string,
  { call, key, requestAlias }: ConditionSubject,
  { deployment, clock, secureTransport }: Surroundings,
): string | readonly string[] | undefined {
  const { principal } = call;
  switch (name) {
    case 'kms:macalgorithm':
      return call.macAlgorithm;
    case 'kms:keyspec':
      return key?.keySpecName;
    case 'kms:keyusage':
      return key && 'GENERATE_VERIFY_MAC';
    case 'kms:keyorigin':
      return key?.originName;
    case 'kms:multiregion':
      return key && 'false';
    case 'kms:requestalias':
      return requestAlias;
    case 'kms:resourcealiases':
      return key?.aliasNames();
    case 'kms:calleraccount':
    case 'aws:principalaccount':
      return principal.accountId;
    case 'aws:principalarn':
      // Of a session, its role's: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn
      return principal.names.at(-1);
    case 'aws:principaltype':
      return typeOf(principal);
    case 'aws:username':
      return /:user\/(?:.*\/)?([^/]+)$/.exec(principal.arn)?.[1];
    case 'aws:principalisawsservice':
    case 'aws:viaawsservice':
      return 'false';
    case 'aws:sourceip':
      return call.sourceAddress === '' ? undefined : call.sourceAddress;
    case 'aws:currenttime':
      return new Date(clock.now()).toISOString();
    case 'aws:epochtime':
      return String(Math.floor(clock.now() / 1_000));
    case 'aws:securetransport':
      return String(secureTransport);
    case 'aws:requestedregion':
      return deployment.region;
    case 'aws:resourceaccount':
      return deployment.accountId;
    default:
      // Others are without a value, such as kms:ViaService: no service calls on behalf of others.
      return key && resourceTagValues(name, key.tags);
  }
}

function typeOf(principal: Principal): string {
  if (isAccountRoot(principal)) return 'Account';
  if (principal.arn.includes(':user/')) return 'User';
  return principal.arn.includes(':federated-user/') ? 'FederatedUser' : 'AssumedRole';
}
