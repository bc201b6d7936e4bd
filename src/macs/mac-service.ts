import type { Authorizer } from '../access/authorizer.ts';
import type { Call } from '../access/call.ts';
import { dryRunError, KmsError } from '../errors.ts';
import { LastUsageOperation } from '../gen/hmacd/v1/key_pb.ts';
import type {
  GenerateMacRequest,
  GenerateMacResponse,
  VerifyMacRequest,
  VerifyMacResponse,
} from '../gen/hmacd/v1/mac_pb.ts';
import { algorithmOf } from '../keys/algorithms.ts';
import { requireUsable } from '../keys/key.ts';
import type { CachedKey, KeyCache, ResolvedKey } from '../keys/key-cache.ts';
import type { LastUsages } from '../keys/last-usages.ts';
import { hmac, sameMac } from './hmac.ts';

/** GenerateMac and VerifyMac, of requests that are within their limits. On a key that is at hand they answer at once. */
export class MacService {
  readonly #keys: KeyCache;
  readonly #authorizer: Authorizer;
  readonly #usages: LastUsages;

  constructor(keys: KeyCache, authorizer: Authorizer, usages: LastUsages) {
    this.#keys = keys;
    this.#authorizer = authorizer;
    this.#usages = usages;
  }

  generateMac(request: GenerateMacRequest, call: Call): GenerateMacResponse | Promise<GenerateMacResponse> {
    return this.#withKey(request, call, (key) => {
      const { version, material } = key.current!;
      const mac = hmac(key.algorithm.hash, material, request.message!);
      if (request.dryRun) throw dryRunError(call);
      this.#usages.note(key.keyId, LastUsageOperation.GENERATE_MAC, call);
      return {
        $typeName: 'hmacd.v1.GenerateMacResponse',
        mac,
        macAlgorithm: request.macAlgorithm,
        keyId: key.arn,
        keyVersion: version,
      };
    });
  }

  verifyMac(request: VerifyMacRequest, call: Call): VerifyMacResponse | Promise<VerifyMacResponse> {
    return this.#withKey(request, call, (key) => {
      const version = matchingVersion(key, request.message!, request.mac!);
      if (version === undefined) throw new KmsError('KMSInvalidMacException');
      if (request.dryRun) throw dryRunError(call);
      this.#usages.note(key.keyId, LastUsageOperation.VERIFY_MAC, call);
      return {
        $typeName: 'hmacd.v1.VerifyMacResponse',
        keyId: key.arn,
        macValid: true,
        macAlgorithm: request.macAlgorithm,
        keyVersion: version,
      };
    });
  }

  #withKey<T>(request: GenerateMacRequest | VerifyMacRequest, call: Call, act: (key: CachedKey) => T): T | Promise<T> {
    const algorithm = algorithmOf(request.macAlgorithm);
    call.macAlgorithm = algorithm?.name;
    this.#authorizer.screen(call, request.grantTokens);
    const use = ({ key, requestAlias }: ResolvedKey): T | Promise<T> => {
      call.keyArn = key.arn;
      const pending = this.#authorizer.authorize(call, key, { grantTokens: request.grantTokens, requestAlias });
      // While grants were read, the key may have changed.
      if (pending !== undefined) return pending.then(attempt);
      requireUsable(key.keyState, key.arn);
      if (algorithm !== key.algorithm) {
        throw new KmsError(
          'InvalidKeyUsageException',
          `Algorithm ${algorithm?.name} is incompatible with key spec ${key.algorithm.keySpecName}.`,
        );
      }
      return act(key);
    };
    const attempt = (): T | Promise<T> => {
      const resolved = this.#keys.resolve(request.keyId!, call);
      return resolved instanceof Promise ? resolved.then(use) : use(resolved);
    };
    return attempt();
  }
}

/** The version of a key that made a MAC, if one did. How long it takes tells nothing but how many there are. */
function matchingVersion({ algorithm, versions }: CachedKey, message: Uint8Array, mac: Uint8Array): number | undefined {
  let matching: number | undefined;
  for (const { version, material } of versions) {
    if (sameMac(hmac(algorithm.hash, material, message), mac)) matching = version;
  }
  return matching;
}
