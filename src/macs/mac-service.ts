import type { Authorizer } from '../access/authorizer.ts';
import type { Call } from '../access/call.ts';
import { KmsError } from '../errors.ts';
import type {
  GenerateMacRequest,
  GenerateMacResponse,
  VerifyMacRequest,
  VerifyMacResponse,
} from '../gen/hmacd/v1/mac_pb.ts';
import { algorithmOf } from '../keys/algorithms.ts';
import { requireUsable } from '../keys/key.ts';
import type { CachedKey, KeyCache } from '../keys/key-cache.ts';
import { hmac, sameMac } from './hmac.ts';

/** GenerateMac and VerifyMac, of requests that are within their limits. On a key that is at hand they answer at once. */
export class MacService {
  readonly #keys: KeyCache;
  readonly #authorizer: Authorizer;

  constructor(keys: KeyCache, authorizer: Authorizer) {
    this.#keys = keys;
    this.#authorizer = authorizer;
  }

  generateMac(request: GenerateMacRequest, call: Call): GenerateMacResponse | Promise<GenerateMacResponse> {
    return this.#withKey(request, call, (key) => {
      const mac = hmac(key.algorithm.hash, key.material, request.message!);
      if (request.dryRun) throw dryRun();
      return { $typeName: 'hmacd.v1.GenerateMacResponse', mac, macAlgorithm: request.macAlgorithm, keyId: key.arn };
    });
  }

  verifyMac(request: VerifyMacRequest, call: Call): VerifyMacResponse | Promise<VerifyMacResponse> {
    return this.#withKey(request, call, (key) => {
      const mac = hmac(key.algorithm.hash, key.material, request.message!);
      if (!sameMac(mac, request.mac!)) throw new KmsError('KMSInvalidMacException');
      if (request.dryRun) throw dryRun();
      return {
        $typeName: 'hmacd.v1.VerifyMacResponse',
        keyId: key.arn,
        macValid: true,
        macAlgorithm: request.macAlgorithm,
      };
    });
  }

  #withKey<T>(request: GenerateMacRequest | VerifyMacRequest, call: Call, act: (key: CachedKey) => T): T | Promise<T> {
    const algorithm = algorithmOf(request.macAlgorithm);
    call.macAlgorithm = algorithm?.name;
    const use = (key: CachedKey) => {
      call.keyArn = key.arn;
      this.#authorizer.authorize(call, key.arn, request.grantTokens);
      requireUsable(key.keyState, key.arn);
      if (algorithm !== key.algorithm) {
        throw new KmsError(
          'InvalidKeyUsageException',
          `Algorithm ${algorithm?.name} is incompatible with key spec ${key.algorithm.keySpecName}.`,
        );
      }
      return act(key);
    };
    const key = this.#keys.resolve(request.keyId!, call);
    return key instanceof Promise ? key.then(use) : use(key);
  }
}

function dryRun(): KmsError {
  return new KmsError('DryRunOperationException', 'The request would have succeeded, but the DryRun option is set.');
}
