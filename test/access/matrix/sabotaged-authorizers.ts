import { accessDenied } from '../../../src/access/access-denied.ts';
import { Authorizer, type ProtectedKey, type Wish } from '../../../src/access/authorizer.ts';
import type { Call } from '../../../src/access/call.ts';
import { KmsError } from '../../../src/errors.ts';
import type { Grant } from '../../../src/gen/hmacd/store/v1/records_pb.ts';
import { KeyState } from '../../../src/gen/hmacd/v1/key_pb.ts';
import type { CachedKey } from '../../../src/keys/key-cache.ts';
import { requireUsable } from '../../../src/keys/key.ts';
import { HOME } from './people.ts';

// Authorizers with a rule switched off.

/** Tells callers of other accounts which policy is missing. */
export class TellingAuthorizer extends Authorizer {
  override authorize(call: Call, key: ProtectedKey, wish?: Wish): Promise<void> | undefined {
    try {
      return super.authorize(call, key, wish);
    } catch (error) {
      const foreign = error instanceof KmsError && call.principal.accountId !== HOME;
      throw foreign ? accessDenied(call, key.arn, 'resource-based') : error;
    }
  }
}

/** Looks at the state of a key that is at hand first. */
export class StateFirstAuthorizer extends Authorizer {
  override authorize(call: Call, key: ProtectedKey, wish?: Wish): Promise<void> | undefined {
    if (isCached(key)) requireUsable(key.keyState, key.arn);
    return super.authorize(call, key, wish);
  }
}

/** Takes every key that is at hand for enabled. */
export class StatelessAuthorizer extends Authorizer {
  override authorize(call: Call, key: ProtectedKey, wish?: Wish): Promise<void> | undefined {
    if (isCached(key)) Object.assign(key, { keyState: KeyState.ENABLED });
    return super.authorize(call, key, wish);
  }
}

function isCached(key: ProtectedKey): key is CachedKey {
  return 'keyState' in key;
}

/** Authorises the retirement of a grant as if it were another. */
export function retirementOf(changed: (grant: Grant) => Grant, granteeMayAlways = false): typeof Authorizer {
  return class extends Authorizer {
    override authorizeRetirement(call: Call, key: ProtectedKey, grant: Grant, granteeMay: boolean): void {
      super.authorizeRetirement(call, key, changed(grant), granteeMay || granteeMayAlways);
    }
  };
}

/** Lets everybody retire grants. */
export class LaxRetirementAuthorizer extends Authorizer {
  override authorizeRetirement(): void {}
}
