import type { Call } from '../access/call.ts';
import type { Clock } from '../clock.ts';
import { KmsError } from '../errors.ts';
import { KeySchema } from '../gen/hmacd/store/v1/records_pb.ts';
import { KeyState, Origin } from '../gen/hmacd/v1/key_pb.ts';
import {
  type DisableKeyRotationRequest,
  type EnableKeyRotationRequest,
  type GetKeyRotationStatusRequest,
  IncludeKeyMaterial,
  type ListKeyRotationsRequest,
  type RetireKeyVersionRequest,
  type RotateKeyOnDemandRequest,
  RotationType,
} from '../gen/hmacd/v1/rotation_pb.ts';
import { type Records, replaceRecord } from '../records/records.ts';
import { algorithmOfKeySpec } from './algorithms.ts';
import { requireChangeable, requireUsable } from './key.ts';
import { type FoundKey, type KeyReader, requireOrigin } from './key-reader.ts';
import { newestVersion, requireVersions, withCurrentVersion, withNextVersion, withoutVersion } from './key-versions.ts';
import { markerAfter, nameOfMarker, pageOf } from './marker.ts';

/** The operations on the rotation of keys, of requests that are within their limits. */
export class RotationService {
  readonly #records: Records;
  readonly #keys: KeyReader;
  readonly #clock: Clock;

  constructor(records: Records, keys: KeyReader, clock: Clock) {
    this.#records = records;
    this.#keys = keys;
    this.#clock = clock;
  }

  async enableKeyRotation(request: EnableKeyRotationRequest, call: Call): Promise<never> {
    const key = await this.#keys.byId(request.keyId!, call);
    requireOrigin(Origin.AWS_KMS, key);
    requireUsableKey(key);
    throw new KmsError('UnsupportedOperationException');
  }

  async disableKeyRotation(request: DisableKeyRotationRequest, call: Call) {
    const key = await this.#keys.byId(request.keyId!, call);
    requireOrigin(Origin.AWS_KMS, key);
    requireUsableKey(key);
    return {};
  }

  async getKeyRotationStatus(request: GetKeyRotationStatusRequest, call: Call) {
    const { arn } = (await this.#keys.byId(request.keyId!, call)).protection;
    return { keyId: arn, keyRotationEnabled: false };
  }

  async listKeyRotations(request: ListKeyRotationsRequest, call: Call) {
    const { message: key, protection } = await this.#keys.byId(request.keyId!, call);
    if (request.includeKeyMaterial !== IncludeKeyMaterial.UNSPECIFIED) {
      throw new KmsError(
        'ValidationException',
        'Input parameter includeKeyMaterial can only be used with symmetric keys.',
      );
    }
    // Of a key without versions, no marker was ever given.
    const isVersion = (text: string): boolean => key.versions.length > 0 && /^[1-9]\d{0,8}$/.test(text);
    const after = Number(nameOfMarker(request.marker, isVersion));
    const rotations = key.versions.filter(
      ({ version }) => version > Math.max(after, 1) && version <= key.currentVersion,
    );
    const { page, truncated } = pageOf(rotations, request.limit ?? 100);
    return {
      rotations: page.map(({ version, creationDate }) => ({
        keyId: protection.arn,
        rotationType: RotationType.ON_DEMAND,
        keyVersion: version,
        ...(creationDate !== undefined && { rotationDate: creationDate }),
      })),
      ...(truncated && { nextMarker: markerAfter(String(page.at(-1)!.version)) }),
      truncated,
    };
  }

  async rotateKeyOnDemand(request: RotateKeyOnDemandRequest, call: Call) {
    const keyVersion = await this.#records.untilUncontended(async () => {
      const found = await this.#keys.byId(request.keyId!, call);
      requireUsableKey(found);
      requireVersions(found.message);
      const { length } = algorithmOfKeySpec(found.message.keySpec)!;
      const key = withNextVersion(found.message, length, this.#clock.now());
      if (key !== found.message) await this.#records.commit([replaceRecord(found, KeySchema, key)], 'adds');
      return newestVersion(key);
    });
    // Only when every replica can verify its MACs may one make any; a later one has to wait itself.
    await this.#records.settled();
    await this.#records.untilUncontended(async () => {
      const found = await this.#keys.find(request.keyId!, call);
      const key = withCurrentVersion(found.message, keyVersion);
      if (key !== found.message) await this.#records.commit([replaceRecord(found, KeySchema, key)], 'adds');
    });
    // When no replica makes MACs by the version before, that may be retired.
    await this.#records.settled();
    return { keyId: call.keyArn!, keyVersion };
  }

  async retireKeyVersion(request: RetireKeyVersionRequest, call: Call) {
    const keyVersion = request.keyVersion!;
    await this.#records.untilUncontended(async () => {
      const found = await this.#keys.byId(request.keyId!, call);
      requireVersions(found.message, `${call.keyArn!} has no versions: it was made without rotation_enabled.`);
      // Whoever retired it, or scheduled the key's deletion, may be waiting still.
      const isThere = found.message.versions.some(({ version }) => version === keyVersion);
      if (!isThere || found.message.keyState === KeyState.PENDING_DELETION) await this.#records.settled();
      requireChangeable(found.message, call.keyArn!);
      const key = withoutVersion(found.message, keyVersion, call.keyArn!);
      await this.#records.commit([replaceRecord(found, KeySchema, key)], 'takes away');
    });
    return { keyId: call.keyArn!, keyVersion };
  }
}

function requireUsableKey({ message, protection }: FoundKey): void {
  requireUsable(message.keyState, protection.arn);
}
