import { randomBytes } from 'node:crypto';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type Timestamp, timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { type Deployment, keyArn } from '../arn.ts';
import { KmsError } from '../errors.ts';
import {
  type ImportedMaterial,
  ImportedMaterialSchema,
  type Key,
  KeySchema,
} from '../gen/hmacd/store/v1/records_pb.ts';
import { ExpirationModel } from '../gen/hmacd/v1/import_pb.ts';
import { KeyManager, type KeyMetadataSchema, KeyState, KeyUsage, Origin, type Tag } from '../gen/hmacd/v1/key_pb.ts';
import { algorithmOfKeySpec, type HmacAlgorithm } from './algorithms.ts';
import { newVersion } from './key-versions.ts';
import { withoutTags, withTags } from './tags.ts';

// The states of a key, and how it comes from one to another: pure functions of a key and the time.
// https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html

/**
 * A key that was just made: enabled and of random material, unless it is given some; or, of the origin EXTERNAL, without
 * material and waiting for it.
 */
export function newKey(
  init: {
    keyId: string;
    algorithm: HmacAlgorithm;
    description: string;
    /** Empty for the default one. */
    policy?: string;
    tags?: readonly Tag[];
    /** AWS_KMS, unless it is EXTERNAL. */
    origin?: Origin;
    material?: Uint8Array | undefined;
    /** Whether it has versions; it is not EXTERNAL then. */
    hasVersions?: boolean;
  },
  now: number,
): Key {
  const { origin = Origin.AWS_KMS, material = randomBytes(init.algorithm.length) } = init;
  const isExternal = origin === Origin.EXTERNAL;
  const hasVersions = init.hasVersions === true;
  return create(KeySchema, {
    keyId: init.keyId,
    keySpec: init.algorithm.keySpec,
    keyState: isExternal ? KeyState.PENDING_IMPORT : KeyState.ENABLED,
    origin,
    description: init.description,
    creationDate: timestampFromMs(now),
    policy: init.policy ?? '',
    tags: [...(init.tags ?? [])],
    ...(!isExternal && !hasVersions && { material }),
    ...(hasVersions && { versions: [newVersion(1, material, now)], currentVersion: 1 }),
  });
}

/** Whether the key is there at a time: from its deletion date on it is not, whether or not it has been swept away. */
export function exists(key: Pick<Key, 'deletionDate'>, now: number): boolean {
  return key.deletionDate === undefined || now < timestampMs(key.deletionDate);
}

/** The key as it is at a time: from the end of its imported material on it has none, whether or not it has been swept away. */
export function asOf(key: Key, now: number): Key {
  const validTo = key.imported?.validTo;
  return validTo === undefined || now < timestampMs(validTo) ? key : withoutMaterial(key);
}

/**
 * Demands that a key can make and verify MACs.
 *
 * @throws KmsError DisabledException, or KMSInvalidStateException for a key that is pending deletion or import.
 */
export function requireUsable(keyState: KeyState, arn: string): void {
  if (keyState === KeyState.ENABLED) return;
  if (keyState === KeyState.DISABLED) throw new KmsError('DisabledException', `${arn} is disabled.`);
  const pending = keyState === KeyState.PENDING_IMPORT ? 'import' : 'deletion';
  throw new KmsError('KMSInvalidStateException', `${arn} is pending ${pending}.`);
}

/**
 * Demands that a key may be changed.
 *
 * @throws KmsError KMSInvalidStateException when it is pending deletion.
 */
export function requireChangeable(key: Key, arn: string): void {
  if (key.keyState === KeyState.PENDING_DELETION) {
    throw new KmsError('KMSInvalidStateException', `${arn} is pending deletion.`);
  }
}

/**
 * The key, enabled or disabled; the same object when it was so already.
 *
 * @throws KmsError KMSInvalidStateException when it is pending deletion or import.
 */
export function withEnabled(key: Key, enabled: boolean, arn: string): Key {
  requireChangeable(key, arn);
  if (key.keyState === KeyState.PENDING_IMPORT) {
    throw new KmsError('KMSInvalidStateException', `${arn} is pending import.`);
  }
  const keyState = enabled ? KeyState.ENABLED : KeyState.DISABLED;
  return key.keyState === keyState ? key : { ...key, keyState };
}

/** The key with another description. Throws what `requireChangeable` throws. */
export function withDescription(key: Key, description: string, arn: string): Key {
  requireChangeable(key, arn);
  return { ...key, description };
}

/** The key with more tags. Throws what `requireChangeable` and `withTags` throw. */
export function tagged(key: Key, tags: readonly Tag[], arn: string): Key {
  requireChangeable(key, arn);
  return { ...key, tags: withTags(key.tags, tags) };
}

/** The key without the tags of some keys. Throws what `requireChangeable` throws. */
export function untagged(key: Key, tagKeys: readonly string[], arn: string): Key {
  requireChangeable(key, arn);
  return { ...key, tags: withoutTags(key.tags, tagKeys) };
}

/** The key, to be destroyed at a date. Throws what `requireChangeable` throws. */
export function withScheduledDeletion(key: Key, deletionDate: Timestamp, arn: string): Key {
  requireChangeable(key, arn);
  return { ...key, keyState: KeyState.PENDING_DELETION, deletionDate };
}

/** The key with its imported material, enabled. Throws what `requireChangeable` throws. */
export function withMaterial(key: Key, material: Uint8Array, imported: ImportedMaterial, arn: string): Key {
  requireChangeable(key, arn);
  return { ...key, keyState: KeyState.ENABLED, material, imported };
}

/** The state of a key that has lost its imported material: pending import, unless it is pending deletion. */
export function stateWithoutMaterial({ keyState }: Pick<Key, 'keyState'>): KeyState {
  return keyState === KeyState.PENDING_DELETION ? keyState : KeyState.PENDING_IMPORT;
}

/** The key without its imported material. */
export function withoutMaterial(key: Key): Key {
  const { validTo: _, ...imported } = key.imported ?? create(ImportedMaterialSchema);
  return { ...key, keyState: stateWithoutMaterial(key), material: new Uint8Array(), imported };
}

/**
 * The key, kept, and disabled; without material it is pending import.
 *
 * @throws KmsError KMSInvalidStateException when it is not pending deletion.
 */
export function withCancelledDeletion({ deletionDate, ...key }: Key, arn: string): Key {
  if (key.keyState !== KeyState.PENDING_DELETION) {
    throw new KmsError('KMSInvalidStateException', `${arn} is not pending deletion.`);
  }
  return { ...key, keyState: hasMaterial(key) ? KeyState.DISABLED : KeyState.PENDING_IMPORT };
}

function hasMaterial({ material, versions }: Key): boolean {
  return material.length > 0 || versions.length > 0;
}

/** What callers may know of a key. */
export function describe(key: Key, deployment: Deployment): MessageInitShape<typeof KeyMetadataSchema> {
  const algorithm = algorithmOfKeySpec(key.keySpec);
  return {
    awsAccountId: deployment.accountId,
    keyId: key.keyId,
    arn: keyArn(deployment, key.keyId),
    creationDate: key.creationDate,
    enabled: key.keyState === KeyState.ENABLED,
    description: key.description,
    keyUsage: KeyUsage.GENERATE_VERIFY_MAC,
    keyState: key.keyState,
    deletionDate: key.deletionDate,
    origin: key.origin,
    keyManager: KeyManager.CUSTOMER,
    customerMasterKeySpec: key.keySpec,
    keySpec: key.keySpec,
    multiRegion: false,
    macAlgorithms: algorithm === undefined ? [] : [algorithm.macAlgorithm],
    ...(key.origin === Origin.EXTERNAL && hasMaterial(key) && expirationOf(key)),
    versions: key.versions.map(({ version, creationDate }) => ({
      version,
      current: version === key.currentVersion,
      ...(creationDate !== undefined && { creationDate }),
    })),
  };
}

function expirationOf({ imported }: Key) {
  const { validTo } = imported ?? {};
  if (validTo === undefined) return { expirationModel: ExpirationModel.KEY_MATERIAL_DOES_NOT_EXPIRE };
  return { expirationModel: ExpirationModel.KEY_MATERIAL_EXPIRES, validTo };
}
