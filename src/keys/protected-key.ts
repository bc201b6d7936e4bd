import type { ProtectedKey } from '../access/authorizer.ts';
import { defaultKeyPolicy } from '../access/default-key-policy.ts';
import { Policy } from '../access/policy.ts';
import { accountRootArn, type Deployment, keyArn } from '../arn.ts';
import type { Key } from '../gen/hmacd/store/v1/records_pb.ts';
import { Origin } from '../gen/hmacd/v1/key_pb.ts';
import { algorithmOfKeySpec } from './algorithms.ts';

/** The policies of keys, as they are enforced. */
export class KeyPolicies {
  readonly #deployment: Deployment;
  readonly #byDefault: Policy;

  constructor(deployment: Deployment) {
    this.#deployment = deployment;
    this.#byDefault = Policy.ofKey(defaultKeyPolicy(accountRootArn(deployment)), deployment.partition);
  }

  /**
   * The policy of a text; AWS's default policy of an empty one.
   *
   * @throws KmsError MalformedPolicyDocumentException
   */
  read(text: string): Policy {
    return text === '' ? this.#byDefault : Policy.ofKey(text, this.#deployment.partition);
  }

  /** What decides who may use a key. */
  protect(key: Key, aliasNames: () => readonly string[]): ProtectedKey {
    return {
      keyId: key.keyId,
      arn: keyArn(this.#deployment, key.keyId),
      keySpecName: algorithmOfKeySpec(key.keySpec)?.keySpecName ?? '',
      originName: key.origin === Origin.EXTERNAL ? 'EXTERNAL' : 'AWS_KMS',
      policy: this.read(key.policy),
      tags: key.tags,
      aliasNames,
      verdicts: new Map(),
    };
  }
}
