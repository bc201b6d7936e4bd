import { naiveOutcomes, type OperationName, type Question, type State } from './naive-evaluator.ts';
import {
  CALLERS,
  type CallerName,
  type GrantName,
  GRANTS,
  HOME,
  IDENTITY_NAMES,
  identityPolicy,
  type IdentityName,
  KEY_POLICIES,
  type KeyPolicyName,
  TAG_KEYS_TAKEN,
  TAGS,
  TAGS_GIVEN,
} from './people.ts';

/** A call by somebody on a key. */
export interface Cell {
  readonly operation: OperationName;
  readonly caller: CallerName;
  readonly keyPolicy: KeyPolicyName;
  readonly state: State;
  readonly identity: IdentityName;
  readonly grant: GrantName;
  readonly token: Question['token'];
  /** Whether the call is for the algorithm of the key; it matters to MACs only. */
  readonly algorithmFits: boolean;
}

export const OPERATIONS: readonly OperationName[] = [
  'GenerateMac',
  'VerifyMac',
  'DescribeKey',
  'GetKeyPolicy',
  'PutKeyPolicy',
  'DisableKey',
  'CreateGrant',
  'ListGrants',
  'RetireGrant',
  'RevokeGrant',
  'TagResource',
  'UntagResource',
];
export const STATES: readonly State[] = ['Enabled', 'Disabled', 'PendingDeletion'];
export const KEY_POLICY_NAMES = Object.keys(KEY_POLICIES) as KeyPolicyName[];
export const CALLER_NAMES = Object.keys(CALLERS) as CallerName[];
export const GRANT_NAMES = Object.keys(GRANTS) as GrantName[];

/** How many cells there are of each operation, caller and key policy. */
const SAMPLES = 24;

/** A sample of all cells, always the same: of each operation, caller and key policy equally many, in any order. */
export function sampledCells(): Cell[] {
  const next = random(1);
  const cells = OPERATIONS.flatMap((operation) =>
    CALLER_NAMES.flatMap((caller) =>
      KEY_POLICY_NAMES.flatMap((keyPolicy) =>
        Array.from({ length: SAMPLES }, () => sample({ operation, caller, keyPolicy }, next)),
      ),
    ),
  );
  const distinct = [...new Map(cells.map((cell) => [JSON.stringify(cell), cell])).values()];
  return distinct
    .map((cell) => ({ cell, at: next() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ cell }) => cell);
}

function sample(fixed: Pick<Cell, 'operation' | 'caller' | 'keyPolicy'>, next: () => number): Cell {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(next() * values.length)]!;
  const { operation, caller } = fixed;
  const grant = pick(GRANT_NAMES);
  const tokens: Cell['token'][] = ['none', 'none', 'malformed'];
  // RetireGrant knows one grant only: that of its token.
  if (operation !== 'RetireGrant') tokens.push('other key');
  if (grant !== 'none') tokens.push('own', 'own');
  return {
    ...fixed,
    state: next() < 0.6 ? 'Enabled' : pick(STATES),
    // The root of an account has no identity policies.
    identity: CALLERS[caller].kind === 'root' ? 'none' : pick(IDENTITY_NAMES),
    grant,
    token: takesTokens(operation) ? pick(tokens) : 'none',
    algorithmFits: !isMac(operation) || next() < 0.7,
  };
}

export function isMac(operation: OperationName): boolean {
  return operation === 'GenerateMac' || operation === 'VerifyMac';
}

function takesTokens(operation: OperationName): boolean {
  return isMac(operation) || ['DescribeKey', 'CreateGrant', 'RetireGrant'].includes(operation);
}

/** What AWS's rules admit. */
export function expectedOutcomes(cell: Cell, keyArn: string): readonly string[] {
  const { operation, state, token, algorithmFits } = cell;
  return naiveOutcomes({
    operation,
    state,
    token,
    algorithmFits,
    keyArn,
    homeAccount: HOME,
    caller: CALLERS[cell.caller],
    keyPolicy: KEY_POLICIES[cell.keyPolicy],
    identityPolicy: identityPolicy(cell.identity, operation, keyArn),
    grant: GRANTS[cell.grant],
    algorithm: algorithmOf(cell),
    tags: TAGS,
    tagsGiven: TAGS_GIVEN,
    tagKeysTaken: TAG_KEYS_TAKEN,
    passedOn: ['GenerateMac'],
  });
}

/** The algorithm of a call; keys are of the spec HMAC_256. */
export function algorithmOf({ algorithmFits }: Cell): 'HMAC_SHA_256' | 'HMAC_SHA_512' {
  return algorithmFits ? 'HMAC_SHA_256' : 'HMAC_SHA_512';
}

/** Mulberry32: numbers from 0 to 1 that are the same in every run. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
