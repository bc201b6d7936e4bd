import { timestampDate, timestampFromDate, timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import type { Call } from '../access/call.ts';
import type { ConditionValues } from '../access/condition-context.ts';
import { awsNameIn } from '../aws-name.ts';
import type { Clock } from '../clock.ts';
import { KmsError } from '../errors.ts';
import {
  type ImportParameters,
  ImportParametersSchema,
  type Key,
  KeySchema,
} from '../gen/hmacd/store/v1/records_pb.ts';
import {
  type DeleteImportedKeyMaterialRequest,
  ExpirationModel,
  ExpirationModelSchema,
  type GetParametersForImportRequest,
  type ImportKeyMaterialRequest,
  ImportType,
  type WrappingAlgorithm,
  WrappingAlgorithmSchema,
  WrappingKeySpecSchema,
} from '../gen/hmacd/v1/import_pb.ts';
import { Origin } from '../gen/hmacd/v1/key_pb.ts';
import { createRecord, type Records, replaceRecord } from '../records/records.ts';
import { algorithmOfKeySpec } from './algorithms.ts';
import { digestOf, newImportToken, validToOf } from './import-token.ts';
import { rememberMaterial } from './imported-material.ts';
import { requireChangeable, withMaterial, withoutMaterial } from './key.ts';
import { KeyPairMaker } from './key-pair-maker.ts';
import type { KeyPaths } from './key-paths.ts';
import { type FoundKey, type KeyReader, requireOrigin } from './key-reader.ts';
import { moveMaterialEnd } from './material-end.ts';
import { unwrap, WRAPPING_KEYS, WRAPPINGS } from './wrapping.ts';

const DAY = 24 * 60 * 60 * 1_000;
/** How far ahead imported material may end, in milliseconds. */
const LONGEST_VALIDITY = 365 * DAY;
/** The most parameters for import of an account: each is a record with a private key, that its caller may forget. */
const MOST_PARAMETERS = 1_000;

/** The operations that bring material to keys of the origin EXTERNAL, of requests that are within their limits. */
export class ImportService {
  readonly #records: Records;
  readonly #keys: KeyReader;
  readonly #paths: KeyPaths;
  readonly #clock: Clock;
  readonly #keyPairs = new KeyPairMaker();

  constructor(records: Records, keys: KeyReader, paths: KeyPaths, clock: Clock) {
    this.#records = records;
    this.#keys = keys;
    this.#paths = paths;
    this.#clock = clock;
  }

  async getParametersForImport(request: GetParametersForImportRequest, call: Call) {
    const { wrappingAlgorithm, wrappingKeySpec } = request;
    const algorithmName = awsNameIn(WrappingAlgorithmSchema, wrappingAlgorithm)!;
    const keySpecName = awsNameIn(WrappingKeySpecSchema, wrappingKeySpec)!;
    const values = { 'kms:wrappingalgorithm': [algorithmName], 'kms:wrappingkeyspec': [keySpecName] };
    const found = await this.#keys.byId(request.keyId!, call, { values });
    requireOrigin(Origin.EXTERNAL, found);
    const { message: key, protection } = found;
    requireChangeable(key, protection.arn);
    const wrappingKey = WRAPPING_KEYS.find((known) => known.wrappingKeySpec === wrappingKeySpec);
    if (wrappingOf(wrappingAlgorithm) === undefined || wrappingKey === undefined) {
      throw new KmsError(
        'ValidationException',
        `Wrapping algorithm ${algorithmName} and wrapping key spec ${keySpecName} cannot be used to import a ${protection.keySpecName} key.`,
      );
    }
    await this.#requireRoom();
    const { publicKey, privateKey } = await this.#keyPairs.make(wrappingKey);
    const validTo = new Date(this.#clock.now() + DAY);
    const importToken = newImportToken(validTo);
    const path = this.#paths.importParametersOf(validTo, key.keyId, digestOf(importToken));
    await this.#records.commit([createRecord(path, ImportParametersSchema, { wrappingAlgorithm, privateKey })], 'adds');
    return { keyId: protection.arn, importToken, publicKey, parametersValidTo: timestampFromDate(validTo) };
  }

  async importKeyMaterial(request: ImportKeyMaterialRequest, call: Call) {
    const values = expirationValues(request);
    await this.#records.untilUncontended(async () => {
      const found = await this.#keys.byId(request.keyId!, call, { values });
      requireOrigin(Origin.EXTERNAL, found);
      requireChangeable(found.message, call.keyArn!);
      requireOneMaterial(request, found);
      const problem = validityProblem(request, this.#clock.now());
      if (problem !== undefined) throw new KmsError('ValidationException', problem);
      const parameters = await this.#parameters(found.message.keyId, request.importToken!);
      const material = await materialOf(request.encryptedKeyMaterial!, found.message, parameters);
      const validTo = request.validTo && timestampFromMs(timestampMs(request.validTo));
      const imported = rememberMaterial(material, found.message.imported, validTo);
      const key = withMaterial(found.message, material, imported, call.keyArn!);
      const ends = await moveMaterialEnd(found.message, key, this.#records, this.#paths);
      await this.#records.commit(
        [replaceRecord(found, KeySchema, key), ...ends],
        // It may end earlier than some replica knows; also where there is none now, since what is gone was there a moment ago.
        found.message.imported !== undefined && imported.validTo !== undefined ? 'takes away' : 'adds',
      );
    });
    return { keyId: call.keyArn! };
  }

  async deleteImportedKeyMaterial(request: DeleteImportedKeyMaterialRequest, call: Call) {
    await this.#records.untilUncontended(async () => {
      const found = await this.#keys.byId(request.keyId!, call);
      requireOrigin(Origin.EXTERNAL, found);
      requireAbsent('keyMaterialId', request.keyMaterialId, found);
      // Also of material that has ended, whether or not it was swept away: whoever took it away may be waiting still.
      if (found.message.imported === undefined) return;
      const key = withoutMaterial(found.message);
      const ends = await moveMaterialEnd(found.message, key, this.#records, this.#paths);
      await this.#records.commit([replaceRecord(found, KeySchema, key), ...ends], 'takes away');
    });
    return { keyId: call.keyArn! };
  }

  /**
   * Demands that the account has room for more parameters. Those that are made at the same moment may come to be a few
   * more than there may be.
   *
   * @throws KmsError LimitExceededException
   */
  async #requireRoom(): Promise<void> {
    if ((await this.#records.count(this.#paths.importParameters)) < MOST_PARAMETERS) return;
    throw new KmsError(
      'LimitExceededException',
      `This account in this region has ${MOST_PARAMETERS} sets of parameters for import, and can have no more. Each set is gone 24 hours after it was made.`,
    );
  }

  /** @throws KmsError InvalidImportTokenException, ExpiredImportTokenException */
  async #parameters(keyId: string, token: Uint8Array): Promise<ImportParameters> {
    const validTo = validToOf(token);
    if (validTo === undefined) throw new KmsError('InvalidImportTokenException');
    // What it says itself is enough: what it stood for is destroyed by then.
    if (validTo.getTime() <= this.#clock.now()) throw new KmsError('ExpiredImportTokenException');
    const path = this.#paths.importParametersOf(validTo, keyId, digestOf(token));
    const found = await this.#records.get(ImportParametersSchema, path);
    if (found === undefined) throw new KmsError('InvalidImportTokenException');
    return found.message;
  }
}

function wrappingOf(wrappingAlgorithm: WrappingAlgorithm) {
  return WRAPPINGS.find((known) => known.wrappingAlgorithm === wrappingAlgorithm);
}

function modelOf({ expirationModel }: ImportKeyMaterialRequest): ExpirationModel {
  return expirationModel === ExpirationModel.UNSPECIFIED ? ExpirationModel.KEY_MATERIAL_EXPIRES : expirationModel;
}

function expirationValues(request: ImportKeyMaterialRequest): ConditionValues {
  const model = awsNameIn(ExpirationModelSchema, modelOf(request))!;
  const validTo = request.validTo && timestampDate(request.validTo);
  // One that is no date is refused later.
  const isDate = validTo !== undefined && !Number.isNaN(validTo.getTime());
  return { 'kms:expirationmodel': [model], ...(isDate && { 'kms:validto': [validTo.toISOString()] }) };
}

/** Demands nothing of what is for keys that can have several materials. */
function requireOneMaterial(request: ImportKeyMaterialRequest, key: FoundKey): void {
  const { importType, keyMaterialDescription, keyMaterialId } = request;
  requireAbsent('importType', importType === ImportType.UNSPECIFIED ? undefined : importType, key);
  requireAbsent('keyMaterialDescription', keyMaterialDescription, key);
  requireAbsent('keyMaterialId', keyMaterialId, key);
}

function requireAbsent(member: string, value: unknown, { protection: { keySpecName } }: FoundKey): void {
  if (value === undefined) return;
  throw new KmsError(
    'ValidationException',
    `Input parameter ${member} cannot be used with ${keySpecName} imported keys.`,
  );
}

/** What is wrong with when material is to end; `undefined` when nothing is. */
function validityProblem(request: ImportKeyMaterialRequest, now: number): string | undefined {
  const { validTo } = request;
  if (modelOf(request) === ExpirationModel.KEY_MATERIAL_DOES_NOT_EXPIRE) {
    return validTo && 'A validTo date cannot be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE';
  }
  if (validTo === undefined) return 'A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES';
  const end = timestampMs(validTo);
  if (end <= now) return 'ValidTo must be in the future';
  return end > now + LONGEST_VALIDITY ? 'ValidTo must be less than 365 days in the future' : undefined;
}

/** @throws KmsError InvalidCiphertextException */
async function materialOf(wrapped: Uint8Array, key: Key, parameters: ImportParameters): Promise<Buffer> {
  const wrapping = wrappingOf(parameters.wrappingAlgorithm)!;
  const material = await unwrap(wrapped, wrapping, parameters.privateKey);
  const { length, longestMaterial } = algorithmOfKeySpec(key.keySpec)!;
  if (material === undefined) throw invalidCiphertext('the material does not unwrap');
  if (material.length < length || material.length > longestMaterial) {
    throw invalidCiphertext(`the material has ${material.length} bytes, and not ${length} to ${longestMaterial}`);
  }
  return material;
}

/** @param remark for the audit log; who calls is not told: who knew could unwrap what others have wrapped */
function invalidCiphertext(remark: string): KmsError {
  return new KmsError('InvalidCiphertextException').remarked(remark);
}
