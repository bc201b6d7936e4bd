import { constants, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, inject, it } from 'vitest';
import { accountRootArn } from '../../src/arn.ts';
import type { Clock } from '../../src/clock.ts';
import { AliasService } from '../../src/gen/hmacd/v1/alias_pb.ts';
import { GrantOperation, GrantService } from '../../src/gen/hmacd/v1/grant_pb.ts';
import {
  ExpirationModel,
  ImportService,
  WrappingAlgorithm,
  WrappingKeySpec,
} from '../../src/gen/hmacd/v1/import_pb.ts';
import { KeySpec, KeyService, KeyStateSchema, KeyUsage, Origin } from '../../src/gen/hmacd/v1/key_pb.ts';
import { MacAlgorithm, MacService } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { RotationService } from '../../src/gen/hmacd/v1/rotation_pb.ts';
import { awsNameOf } from '../../src/aws-name.ts';
import { TurnQueue } from '../../src/records/turn-queue.ts';
import { failureOf } from '../support/clients.ts';
import { redisDeployment } from '../support/deployment.ts';
import { type RunningService, startService } from '../support/running-service.ts';
import { DAY, macRequest } from './fixture.ts';
import { type Cell, CELLS, type Column, COLUMNS, refusalOf } from './key-state-table.ts';

/** The time, or a later one. */
class ShiftedClock implements Clock {
  shift = 0;

  now(): number {
    return Date.now() + this.shift;
  }

  monotonic(): number {
    return performance.now() + this.shift;
  }
}

/** A key in a state, with an alias, a grant, a MAC of the time when it was enabled, and another key with an alias. */
interface Subject {
  readonly keyId: string;
  readonly arn: string;
  readonly alias: string;
  readonly otherAlias: string;
  readonly mac: Uint8Array;
  readonly grantId: string;
  readonly policy: string;
  readonly importToken: Uint8Array;
  readonly encryptedKeyMaterial: Uint8Array;
}

/** Makes keys in the states of the table, and calls for them. */
class States {
  readonly #clock: ShiftedClock;
  readonly #running: RunningService;
  readonly #root: string;
  /** More than a few that ask at once would be throttled. */
  readonly #imports = new TurnQueue();
  #made = 0;

  constructor(running: RunningService, clock: ShiftedClock) {
    this.#root = accountRootArn(running.config.deployment);
    this.#running = running;
    this.#clock = clock;
  }

  get #clients() {
    return this.#running.clients.gRPC;
  }

  async make(column: Column): Promise<Subject> {
    const { keys, mac, aliases, grants, imports } = this.#clients;
    const [origin, state] = column.split(' ') as [keyof typeof Origin, string];
    const created = { keySpec: KeySpec.HMAC_256, keyUsage: KeyUsage.GENERATE_VERIFY_MAC };
    const made = await keys.createKey({ ...created, origin: Origin[origin] });
    const { keyId, arn } = made.keyMetadata!;
    const [alias, otherAlias] = [`alias/states-${++this.#made}`, `alias/states-other-${this.#made}`];
    await aliases.createAlias({ aliasName: alias, targetKeyId: keyId });
    const other = await keys.createKey(created);
    await aliases.createAlias({ aliasName: otherAlias, targetKeyId: other.keyMetadata!.keyId });
    let importToken: Uint8Array = Buffer.from('a token');
    let encryptedKeyMaterial: Uint8Array = Buffer.from('material');
    if (origin === 'EXTERNAL') {
      const wrapping = {
        wrappingAlgorithm: WrappingAlgorithm.RSAES_OAEP_SHA_256,
        wrappingKeySpec: WrappingKeySpec.RSA_2048,
      };
      const ask = () => imports.getParametersForImport({ keyId, ...wrapping });
      const parameters = await this.#imports.run(ask);
      const key = createPublicKey({ key: Buffer.from(parameters.publicKey), format: 'der', type: 'spki' });
      const padding = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' };
      importToken = parameters.importToken;
      encryptedKeyMaterial = publicEncrypt({ key, ...padding }, randomBytes(32));
      await imports.importKeyMaterial({ keyId, importToken, encryptedKeyMaterial, ...FOREVER });
    }
    const { mac: tag } = await mac.generateMac(macRequest(keyId));
    const { grantId } = await grants.createGrant({
      keyId,
      granteePrincipal: this.#root,
      operations: [GrantOperation.VERIFY_MAC],
    });
    const { policy } = await keys.getKeyPolicy({ keyId });
    if (state === 'Disabled') await keys.disableKey({ keyId });
    if (state === 'PendingDeletion' || state === 'destroyed') await keys.scheduleKeyDeletion({ keyId });
    if (state === 'PendingImport') await imports.deleteImportedKeyMaterial({ keyId });
    return { keyId, arn, alias, otherAlias, mac: tag, grantId, policy, importToken, encryptedKeyMaterial };
  }

  /** The state of a key as DescribeKey tells it. */
  async stateOf(keyId: string): Promise<string> {
    const { keyState, enabled, deletionDate } = (await this.#clients.keys.describeKey({ keyId })).keyMetadata!;
    const state = awsNameOf(KeyStateSchema.value[keyState]!);
    if (enabled !== (state === 'Enabled')) return `${state}, and enabled is ${enabled}`;
    if ((deletionDate !== undefined) !== (state === 'PendingDeletion')) return `${state}, with the wrong date`;
    return state;
  }

  call(operation: string, subject: Subject): Promise<unknown> {
    const { keys, mac, aliases, grants, imports, rotation } = this.#clients;
    const { keyId, arn, alias, otherAlias, grantId, policy, importToken, encryptedKeyMaterial } = subject;
    const calls: Readonly<Record<string, () => Promise<unknown>>> = {
      GenerateMac: () => mac.generateMac(macRequest(keyId)),
      VerifyMac: () => mac.verifyMac({ ...macRequest(keyId), mac: subject.mac }),
      DescribeKey: () => keys.describeKey({ keyId }),
      EnableKey: () => keys.enableKey({ keyId }),
      DisableKey: () => keys.disableKey({ keyId }),
      UpdateKeyDescription: () => keys.updateKeyDescription({ keyId, description: 'd' }),
      ScheduleKeyDeletion: () => keys.scheduleKeyDeletion({ keyId }),
      CancelKeyDeletion: () => keys.cancelKeyDeletion({ keyId }),
      GetKeyPolicy: () => keys.getKeyPolicy({ keyId }),
      PutKeyPolicy: () => keys.putKeyPolicy({ keyId, policy }),
      ListKeyPolicies: () => keys.listKeyPolicies({ keyId }),
      TagResource: () => keys.tagResource({ keyId, tags: [{ tagKey: 'a', tagValue: 'b' }] }),
      UntagResource: () => keys.untagResource({ keyId, tagKeys: ['a'] }),
      ListResourceTags: () => keys.listResourceTags({ keyId }),
      GetKeyLastUsage: () => keys.getKeyLastUsage({ keyId }),
      EnableKeyRotation: () => rotation.enableKeyRotation({ keyId }),
      DisableKeyRotation: () => rotation.disableKeyRotation({ keyId }),
      GetKeyRotationStatus: () => rotation.getKeyRotationStatus({ keyId }),
      ListKeyRotations: () => rotation.listKeyRotations({ keyId }),
      RotateKeyOnDemand: () => rotation.rotateKeyOnDemand({ keyId }),
      RetireKeyVersion: () => rotation.retireKeyVersion({ keyId, keyVersion: 1 }),
      GetParametersForImport: () =>
        imports.getParametersForImport({
          keyId,
          wrappingAlgorithm: WrappingAlgorithm.RSAES_OAEP_SHA_1,
          wrappingKeySpec: WrappingKeySpec.RSA_2048,
        }),
      ImportKeyMaterial: () => imports.importKeyMaterial({ keyId, importToken, encryptedKeyMaterial, ...FOREVER }),
      DeleteImportedKeyMaterial: () => imports.deleteImportedKeyMaterial({ keyId }),
      CreateAlias: () => aliases.createAlias({ aliasName: `${alias}-2`, targetKeyId: keyId }),
      UpdateAlias: () => aliases.updateAlias({ aliasName: otherAlias, targetKeyId: keyId }),
      DeleteAlias: () => aliases.deleteAlias({ aliasName: alias }),
      ListAliases: () => aliases.listAliases({ keyId }),
      CreateGrant: () =>
        grants.createGrant({ keyId, granteePrincipal: this.#root, operations: [GrantOperation.GENERATE_MAC] }),
      ListGrants: () => grants.listGrants({ keyId }),
      RetireGrant: () => grants.retireGrant({ keyId: arn, grantId }),
      RevokeGrant: () => grants.revokeGrant({ keyId, grantId }),
    };
    return calls[operation]!();
  }

  /** Lets all deletion windows end, and the service look at the store again. */
  async endWindows(): Promise<void> {
    this.#clock.shift += 31 * DAY;
    await delay(700);
  }
}

const FOREVER = { expirationModel: ExpirationModel.KEY_MATERIAL_DOES_NOT_EXPIRE };
const HAS_REDIS = inject('redis') !== undefined;
const STORES = [
  { store: 'SQLite', settings: () => ({}) },
  { store: 'Redis', settings: () => redisDeployment({ KEY_CACHE_TTL: '1s' }).settings },
];
const OPERATIONS = [...new Set(CELLS.map(({ operation }) => operation))];

/** What an operation answers on a key, and the state that it leaves it in. */
async function seen(states: States, { operation, column }: Cell, subject: Subject): Promise<object> {
  const call = states.call(operation, subject);
  const failed = await call.then(
    () => false,
    () => true,
  );
  const after = column.endsWith('destroyed') ? 'destroyed' : await states.stateOf(subject.keyId);
  if (!failed) return { operation, column, after };
  const { exception, message } = await failureOf(call);
  const text = message.replaceAll(subject.arn, 'ARN').replace(/arn:aws:kms:us-east-1:\d{12}:alias\/[\w-]+/, 'ALIAS');
  return { operation, column, after, exception, message: text };
}

function expected({ operation, column, outcome, after }: Cell): object {
  if (outcome === 'ok') return { operation, column, after };
  const [exception, message] = refusalOf(outcome, 'ARN', 'ALIAS');
  return { operation, column, after, exception, message };
}

describe.each(STORES)('on $store', { timeout: 60_000 }, ({ store, settings }) => {
  it.skipIf(store === 'Redis' && !HAS_REDIS)(
    'every operation answers as AWS does, in every state of its key',
    async () => {
      const clock = new ShiftedClock();
      await using running = await startService(settings(), { clock });
      const states = new States(running, clock);
      const last = CELLS.filter(({ column }) => column.endsWith('destroyed'));
      const first = CELLS.filter((cell) => !last.includes(cell));
      const see = async (cell: Cell) => await seen(states, cell, await states.make(cell.column));
      expect(await Promise.all(first.map(see))).toEqual(first.map(expected));
      const subjects = await Promise.all(last.map(({ column }) => states.make(column)));
      await states.endWindows();
      const answers = await Promise.all(last.map((cell, index) => seen(states, cell, subjects[index]!)));
      expect(answers).toEqual(last.map(expected));
      expect(first.length + last.length).toBe(OPERATIONS.length * COLUMNS.length);
    },
  );
});

it('The table has every operation on a key', () => {
  const named = [MacService, KeyService, RotationService, ImportService, AliasService, GrantService]
    .flatMap(({ methods }) => methods)
    .filter(({ input }) => input.fields.some(({ name }) => /^(target_)?key_id$|^alias_name$/.test(name)));
  expect(OPERATIONS.toSorted()).toEqual(named.map(({ name }) => name).toSorted());
});

it('The state is looked at before the algorithm', async () => {
  await using running = await startService();
  const { keys, mac } = running.clients.gRPC;
  const made = await keys.createKey({ keySpec: KeySpec.HMAC_256, keyUsage: KeyUsage.GENERATE_VERIFY_MAC });
  const { keyId, arn } = made.keyMetadata!;
  const wrong = { ...macRequest(keyId), macAlgorithm: MacAlgorithm.HMAC_SHA_512 };
  expect((await failureOf(mac.generateMac(wrong))).exception).toBe('InvalidKeyUsageException');
  await keys.disableKey({ keyId });
  expect((await failureOf(mac.generateMac(wrong))).message).toBe(`${arn} is disabled.`);
});
