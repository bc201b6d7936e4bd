import { tagConditionKey } from './tag-conditions.ts';

/** What the values of a condition key are; a request gives each of them as a text. */
export type ConditionKeyType =
  /** Any text. */
  | 'string'
  /** An ARN. */
  | 'arn'
  /** `true` or `false`. */
  | 'bool'
  /** A decimal number. */
  | 'numeric'
  /** An ISO 8601 date with a time zone, such as `2026-09-12T08:00:00Z`. */
  | 'date'
  /** An IPv4 or IPv6 address. */
  | 'ip';

/** Something about a request that the conditions of policies may look at. */
export interface ConditionKey {
  /** In AWS's spelling, although policies may write it in any case. */
  readonly name: string;
  readonly type: ConditionKeyType;
  /** Whether a request can have several values of it. */
  readonly multivalued: boolean;
  /**
   * Whether its value may differ between two calls of the same operation, by the same principal, on the same version of
   * the same key. A decision that looked at such a key must not be remembered.
   */
  readonly perRequest: boolean;
}

/** Knows the name in lower case. */
const KEYS: ReadonlyMap<string, ConditionKey> = new Map(
  [
    key('kms:MacAlgorithm', 'string', { perRequest: true }),
    // Those of the key, also when CreateKey asks for them: before there is a key, there is no version of it.
    key('kms:KeySpec', 'string'),
    key('kms:KeyUsage', 'string'),
    key('kms:KeyOrigin', 'string'),
    key('kms:MultiRegion', 'bool'),
    key('kms:MultiRegionKeyType', 'string'),
    key('kms:RequestAlias', 'string', { perRequest: true }),
    // A key is read anew when its aliases change.
    key('kms:ResourceAliases', 'string', { multivalued: true }),
    key('kms:CallerAccount', 'string'),
    key('kms:ViaService', 'string'),
    key('kms:GranteePrincipal', 'string', { perRequest: true }),
    key('kms:RetiringPrincipal', 'string', { perRequest: true }),
    key('kms:GrantOperations', 'string', { perRequest: true, multivalued: true }),
    key('kms:GrantConstraintType', 'string', { perRequest: true }),
    key('kms:GrantConstraintSourceArn', 'arn', { perRequest: true }),
    key('kms:GrantIsForAWSResource', 'bool', { perRequest: true }),
    key('kms:ScheduleKeyDeletionPendingWindowInDays', 'numeric', { perRequest: true }),
    key('kms:WrappingAlgorithm', 'string', { perRequest: true }),
    key('kms:WrappingKeySpec', 'string', { perRequest: true }),
    key('kms:ExpirationModel', 'string', { perRequest: true }),
    key('kms:ValidTo', 'date', { perRequest: true }),
    key('kms:BypassPolicyLockoutSafetyCheck', 'bool', { perRequest: true }),
    // Of a session it is the role's ARN: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    key('aws:PrincipalArn', 'arn'),
    key('aws:PrincipalAccount', 'string'),
    key('aws:PrincipalType', 'string'),
    key('aws:PrincipalIsAWSService', 'bool'),
    key('aws:ViaAWSService', 'bool'),
    key('aws:SourceIp', 'ip', { perRequest: true }),
    key('aws:CurrentTime', 'date', { perRequest: true }),
    // Seconds since 1970, which AWS compares as a date and as a number.
    key('aws:EpochTime', 'numeric', { perRequest: true }),
    key('aws:SecureTransport', 'bool', { perRequest: true }),
    key('aws:RequestedRegion', 'string'),
    key('aws:ResourceAccount', 'string'),
    // Of users only. aws:userid is unknown: it holds IAM's unique IDs (AIDA…, AROA…), which principals here do not have.
    key('aws:username', 'string'),
    key('aws:TagKeys', 'string', { perRequest: true, multivalued: true }),
  ].map((known) => [known.name.toLowerCase(), known]),
);

/** The condition key of a name in any case; `undefined` when there is none that could be looked at. */
export function conditionKey(name: string): ConditionKey | undefined {
  const known = KEYS.get(name.toLowerCase());
  if (known !== undefined) return known;
  const ofTag = tagConditionKey(name);
  // A key is read anew when its tags change.
  return ofTag && key(ofTag.name, 'string', { perRequest: !ofTag.ofResource });
}

/** All condition keys that policies may look at; those with the key of a tag in their names by one example each. */
export function conditionKeys(): readonly ConditionKey[] {
  const examples = ['aws:ResourceTag/tag-key', 'aws:RequestTag/tag-key'];
  return [...KEYS.values(), ...examples.map((name) => conditionKey(name)!)];
}

function key(
  name: string,
  type: ConditionKeyType,
  { perRequest = false, multivalued = false }: { perRequest?: boolean; multivalued?: boolean } = {},
): ConditionKey {
  return { name, type, multivalued, perRequest };
}
