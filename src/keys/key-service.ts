import { randomUUID } from 'node:crypto';
import { timestampDate, timestampFromMs } from '@bufbuild/protobuf/wkt';
import { type Deployment, keyArn } from '../arn.ts';
import type { Authorizer, Wish } from '../access/authorizer.ts';
import type { Call } from '../access/call.ts';
import type { ConditionValues } from '../access/condition-context.ts';
import { requestTagValues, tagKeyValues } from '../access/tag-conditions.ts';
import type { Clock } from '../clock.ts';
import { KmsError } from '../errors.ts';
import { type Key, KeySchema, PendingDeletionSchema } from '../gen/hmacd/store/v1/records_pb.ts';
import {
  type ListResourceTagsRequest,
  type TagResourceRequest,
  type UntagResourceRequest,
  type CancelKeyDeletionRequest,
  type CreateKeyRequest,
  type DescribeKeyRequest,
  type DisableKeyRequest,
  type EnableKeyRequest,
  type GetKeyLastUsageRequest,
  type GetKeyPolicyRequest,
  KeyState,
  type ListKeyPoliciesRequest,
  type ListKeysRequest,
  Origin,
  type PutKeyPolicyRequest,
  type ScheduleKeyDeletionRequest,
  type UpdateKeyDescriptionRequest,
  ResourceOwner,
} from '../gen/hmacd/v1/key_pb.ts';
import { type Effect, type Records, createRecord, removeRecord, replaceRecord } from '../records/records.ts';
import {
  describe,
  newKey,
  withCancelledDeletion,
  withDescription,
  withEnabled,
  withScheduledDeletion,
  tagged,
  untagged,
} from './key.ts';
import type { KeyPaths } from './key-paths.ts';
import type { KeyReader } from './key-reader.ts';
import { isKeyId } from './key-reference.ts';
import type { LastUsages } from './last-usages.ts';
import { withTags } from './tags.ts';
import { markerAfter, nameOfMarker, pageOf } from './marker.ts';
import type { KeyPolicies } from './protected-key.ts';
import { type Quotas, requireRoomForKey } from './quotas.ts';
import { requireHmacKey, specValues } from './requested-key.ts';

/** The name of the one policy that a key has. */
const POLICY_NAME = 'default';
/** The most tags on a page, whatever the limit that is asked for. */
const TAG_PAGE = 50;
const DAY = 24 * 60 * 60 * 1_000;

/** The operations on keys, of requests that are within their limits. */
export class KeyService {
  readonly #records: Records;
  readonly #keys: KeyReader;
  readonly #authorizer: Authorizer;
  readonly #policies: KeyPolicies;
  readonly #usages: LastUsages;
  readonly #deployment: Deployment;
  readonly #paths: KeyPaths;
  readonly #clock: Clock;
  readonly #quotas: Quotas;

  constructor(
    records: Records,
    keys: KeyReader,
    authorizer: Authorizer,
    policies: KeyPolicies,
    usages: LastUsages,
    deployment: Deployment,
    paths: KeyPaths,
    clock: Clock,
    quotas: Quotas,
  ) {
    this.#records = records;
    this.#keys = keys;
    this.#authorizer = authorizer;
    this.#policies = policies;
    this.#usages = usages;
    this.#deployment = deployment;
    this.#paths = paths;
    this.#clock = clock;
    this.#quotas = quotas;
  }

  async createKey(request: CreateKeyRequest, call: Call) {
    const bypass = request.bypassPolicyLockoutSafetyCheck ?? false;
    const values = { ...bypassValues(bypass), ...specValues(request), ...requestTagValues(request.tags) };
    const keyId = randomUUID();
    this.#authorizer.authorizeByIdentity(call, undefined, values);
    if (request.tags.length > 0) {
      this.#authorizer.authorizeByIdentity(call, keyArn(this.#deployment, keyId), values, 'TagResource');
    }
    const algorithm = requireHmacKey(request);
    const tags = withTags([], request.tags);
    const policy = request.policy ?? '';
    const description = request.description ?? '';
    const origin = request.origin === Origin.EXTERNAL ? Origin.EXTERNAL : Origin.AWS_KMS;
    const key = newKey(
      { keyId, algorithm, description, policy, tags, origin, hasVersions: request.rotationEnabled },
      this.#clock.now(),
    );
    if (request.policy !== undefined) this.#requirePolicy(key, () => [], bypass, call);
    await requireRoomForKey(this.#quotas.keys, this.#records, this.#keys, this.#paths);
    await this.#records.commit([createRecord(this.#paths.key(keyId), KeySchema, key)], 'adds');
    call.keyArn = keyArn(this.#deployment, keyId);
    return { keyMetadata: describe(key, this.#deployment) };
  }

  async describeKey(request: DescribeKeyRequest, call: Call) {
    const { message: key } = await this.#keys.byAnyName(request.keyId!, call, { grantTokens: request.grantTokens });
    return { keyMetadata: describe(key, this.#deployment) };
  }

  async listKeys(request: ListKeysRequest, call: Call) {
    this.#authorizer.authorizeByIdentity(call);
    const { resourceOwners } = request;
    if (resourceOwners.length > 0 && !resourceOwners.includes(ResourceOwner.SELF))
      return { keys: [], truncated: false };
    const limit = request.limit ?? 100;
    const after = this.#paths.key(nameOfMarker(request.marker, isKeyId));
    const [found, ended] = await Promise.all([
      this.#records.pathsOf(this.#paths.keys, after, limit + 1),
      this.#keys.ended(),
    ]);
    const keyIds = found.map((path) => this.#paths.keyIdOf(path));
    const { page, truncated } = pageOf(keyIds, limit);
    const listed = page.filter((keyId) => !ended.has(keyId));
    return {
      keys: listed.map((keyId) => ({ keyId, keyArn: keyArn(this.#deployment, keyId) })),
      ...(truncated && { nextMarker: markerAfter(page.at(-1)!) }),
      truncated,
    };
  }

  async enableKey(request: EnableKeyRequest, call: Call) {
    await this.#change(request.keyId!, call, 'adds', (key, arn) => withEnabled(key, true, arn));
    return {};
  }

  async disableKey(request: DisableKeyRequest, call: Call) {
    await this.#change(request.keyId!, call, 'takes away', (key, arn) => withEnabled(key, false, arn));
    return {};
  }

  async updateKeyDescription(request: UpdateKeyDescriptionRequest, call: Call) {
    await this.#change(request.keyId!, call, 'adds', (key, arn) => withDescription(key, request.description!, arn));
    return {};
  }

  async scheduleKeyDeletion(request: ScheduleKeyDeletionRequest, call: Call) {
    const days = request.pendingWindowInDays ?? 30;
    if (days < 7 || days > 30) {
      throw new KmsError('ValidationException', 'PendingWindowInDays must be between 7 and 30');
    }
    return await this.#records.untilUncontended(async () => {
      const values = { 'kms:schedulekeydeletionpendingwindowindays': [String(days)] };
      const found = await this.#keys.byId(request.keyId!, call, { values });
      const { keyId } = found.message;
      // Whoever scheduled it first may be waiting still: that it is pending deletion is not said before it is true everywhere.
      if (found.message.keyState === KeyState.PENDING_DELETION) await this.#records.settled();
      const deletionDate = timestampFromMs(this.#clock.now() + days * DAY);
      const key = withScheduledDeletion(found.message, deletionDate, call.keyArn!);
      const index = this.#paths.pendingDeletion(timestampDate(deletionDate), keyId);
      await this.#records.commit(
        [replaceRecord(found, KeySchema, key), createRecord(index, PendingDeletionSchema, { keyId })],
        'takes away',
      );
      return { keyId: call.keyArn!, deletionDate, keyState: key.keyState, pendingWindowInDays: days };
    });
  }

  async cancelKeyDeletion(request: CancelKeyDeletionRequest, call: Call) {
    return await this.#records.untilUncontended(async () => {
      const found = await this.#keys.byId(request.keyId!, call);
      const { keyId, deletionDate } = found.message;
      const key = withCancelledDeletion(found.message, call.keyArn!);
      const index = await this.#records.findPaths([this.#paths.pendingDeletion(timestampDate(deletionDate!), keyId)]);
      await this.#records.commit(
        [replaceRecord(found, KeySchema, key), ...index.map(removeRecord)],
        // It leaves the key disabled, and whoever scheduled its deletion may be waiting still.
        'takes away',
      );
      return { keyId: call.keyArn! };
    });
  }

  async getKeyPolicy(request: GetKeyPolicyRequest, call: Call) {
    const { protection } = await this.#keys.byId(request.keyId!, call);
    requirePolicyName(request.policyName);
    return { policy: protection.policy.text, policyName: POLICY_NAME };
  }

  async putKeyPolicy(request: PutKeyPolicyRequest, call: Call) {
    const bypass = request.bypassPolicyLockoutSafetyCheck ?? false;
    await this.#records.untilUncontended(async () => {
      const found = await this.#keys.byId(request.keyId!, call, { values: bypassValues(bypass) });
      requirePolicyName(request.policyName);
      const key = { ...found.message, policy: request.policy! };
      this.#requirePolicy(key, found.protection.aliasNames, bypass, call);
      // Also where nothing changes: whoever put it may be waiting still.
      await this.#records.commit([replaceRecord(found, KeySchema, key)], 'takes away');
    });
    return {};
  }

  async listKeyPolicies(request: ListKeyPoliciesRequest, call: Call) {
    await this.#keys.byId(request.keyId!, call);
    if (request.marker !== undefined) throw new KmsError('InvalidMarkerException');
    return { policyNames: [POLICY_NAME], truncated: false };
  }

  async tagResource(request: TagResourceRequest, call: Call) {
    const wish = { values: requestTagValues(request.tags) };
    // Policies may look at tags: those of keys, and those of identities, which other replicas may have read anew.
    await this.#change(request.keyId!, call, 'takes away', (key, arn) => tagged(key, request.tags, arn), wish);
    return {};
  }

  async untagResource(request: UntagResourceRequest, call: Call) {
    const wish = { values: tagKeyValues(request.tagKeys) };
    await this.#change(request.keyId!, call, 'takes away', (key, arn) => untagged(key, request.tagKeys, arn), wish);
    return {};
  }

  async listResourceTags(request: ListResourceTagsRequest, call: Call) {
    const { tags } = (await this.#keys.byId(request.keyId!, call)).message;
    const after = nameOfMarker(request.marker, (text) => text.length <= 128);
    const found = tags.filter(({ tagKey }) => tagKey! > after);
    const { page, truncated } = pageOf(found, Math.min(request.limit ?? TAG_PAGE, TAG_PAGE));
    return {
      tags: [...page],
      ...(truncated && { nextMarker: markerAfter(page.at(-1)!.tagKey!) }),
      truncated,
    };
  }

  async getKeyLastUsage(request: GetKeyLastUsageRequest, call: Call) {
    const { message, protection } = await this.#keys.byId(request.keyId!, call);
    const { keyId, creationDate } = message;
    const usage = await this.#usages.of(keyId);
    return {
      keyId: protection.arn,
      keyLastUsage: usage ?? {},
      ...(creationDate !== undefined && { trackingStartDate: creationDate, keyCreationDate: creationDate }),
    };
  }

  /**
   * Demands that the policy of a key can be enforced and, unless that is bypassed, replaced by the caller again.
   *
   * @throws KmsError LimitExceededException, MalformedPolicyDocumentException
   */
  #requirePolicy(key: Key, aliasNames: () => readonly string[], bypass: boolean, call: Call): void {
    const longest = this.#quotas.keyPolicySize;
    if (Buffer.byteLength(key.policy) > longest) {
      throw new KmsError('LimitExceededException', `The key policy is longer than ${longest} bytes.`);
    }
    const protection = this.#policies.protect(key, aliasNames);
    if (!bypass && !this.#authorizer.wouldAllow('PutKeyPolicy', call, protection, bypassValues(bypass))) {
      throw new KmsError(
        'MalformedPolicyDocumentException',
        'The new key policy will not allow you to update the key policy in the future.',
      );
    }
  }

  /** Brings a key from one state to another; nothing is written for a key that is there already. */
  async #change(
    reference: string,
    call: Call,
    effect: Effect,
    transition: (key: Key, arn: string) => Key,
    wish?: Wish,
  ): Promise<void> {
    await this.#records.untilUncontended(async () => {
      const found = await this.#keys.byId(reference, call, wish);
      let key: Key;
      try {
        key = transition(found.message, call.keyArn!);
      } catch (error) {
        // Whoever made it pending may be waiting still: that it is so is not said before it is true everywhere.
        const pending = error instanceof KmsError && error.exception === 'KMSInvalidStateException';
        if (pending && effect === 'takes away') await this.#records.settled();
        throw error;
      }
      if (key !== found.message) {
        await this.#records.commit([replaceRecord(found, KeySchema, key)], effect);
      } else if (effect === 'takes away') {
        // Whoever took it away may be waiting still.
        await this.#records.settled();
      }
    });
  }
}

/** @throws KmsError NotFoundException when it is not the name of a key's policy */
function requirePolicyName(policyName: string | undefined): void {
  if (policyName !== undefined && policyName !== POLICY_NAME) {
    throw new KmsError('NotFoundException', 'No such policy exists');
  }
}

function bypassValues(bypass: boolean): ConditionValues {
  return { 'kms:bypasspolicylockoutsafetycheck': [String(bypass)] };
}
