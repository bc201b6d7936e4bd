import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { readPolicyDocument } from '../access/policy-document.ts';
import { parsePolicyJson } from '../access/policy-json.ts';
import { PolicyProblem } from '../access/policy-problem.ts';
import { KmsError } from '../errors.ts';
import { Origin, type Tag, TagSchema } from '../gen/hmacd/v1/key_pb.ts';
import { codeOf } from '../system-error.ts';
import { parseYaml, YamlError } from '../yaml.ts';
import { isWritableAliasName } from './alias-name.ts';
import { HMAC_ALGORITHMS, type HmacAlgorithm } from './algorithms.ts';
import { isKeyId } from './key-reference.ts';
import { readSeedGrants, type SeedGrant } from './seed-grant.ts';
import { withTags } from './tags.ts';

/** A key to have at start. It has a key ID or an alias, by which it is known. */
export interface SeedKey {
  /** Random when absent. */
  readonly keyId: string | undefined;
  readonly algorithm: HmacAlgorithm;
  readonly description: string;
  /** With `alias/`. */
  readonly aliases: readonly string[];
  /** As long as the key spec wants it; random when absent. */
  readonly material: Buffer | undefined;
  /** AWS_KMS, unless its material is to be imported. */
  readonly origin: Origin;
  /** Whether it has versions. */
  readonly hasVersions: boolean;
  readonly tags: readonly Tag[];
  /** In JSON; empty for the default one. */
  readonly policy: string;
  /** Whether its policy lets nobody replace it. */
  readonly locks: boolean;
  /** Those that it has when it is made. */
  readonly grants: readonly SeedGrant[];
}

const MEMBERS = [
  'key_id',
  'key_spec',
  'description',
  'aliases',
  'material_base64',
  'material_file',
  'origin',
  'rotation',
  'tags',
  'policy',
  'grants',
];

/**
 * Reads a seed file: YAML, with paths relative to the file.
 *
 * @param partition of the principals in key policies, such as `aws`
 * @throws Error with everything that is wrong in it; never with key material.
 */
export function readSeedFile(path: string, partition: string): SeedKey[] {
  const problems: string[] = [];
  const keys = listOfKeys(load(path), problems).map((entry, index) =>
    readKey(entry, dirname(path), partition, (problem) => problems.push(`keys[${index}]: ${problem}`)),
  );
  for (const name of repeated(keys.flatMap((key) => [key.keyId ?? [], key.aliases].flat()))) {
    problems.push(`${name} stands there twice`);
  }
  if (problems.length > 0) throw new Error(`the seed file ${path} is wrong: ${problems.join('; ')}`);
  return keys;
}

function load(path: string): unknown {
  try {
    return parseYaml(readFileSync(path, 'utf8'));
  } catch (error) {
    const reason = error instanceof YamlError ? error.message : codeOf(error);
    throw new Error(`the seed file ${path} cannot be read: ${reason}`, { cause: error });
  }
}

function listOfKeys(document: unknown, problems: string[]): Record<string, unknown>[] {
  if (!isObject(document) || !Array.isArray(document['keys']) || !document['keys'].every(isObject)) {
    problems.push('it must have a list `keys` of objects');
    return [];
  }
  if (Object.keys(document).length > 1) problems.push('it has a member other than `keys`');
  return document['keys'];
}

function readKey(
  entry: Record<string, unknown>,
  folder: string,
  partition: string,
  problem: (text: string) => void,
): SeedKey {
  // Named by what they are not: a slip of the hand can make key material part of a name.
  if (Object.keys(entry).some((member) => !MEMBERS.includes(member))) {
    problem(`it has a member that is none of ${MEMBERS.join(', ')}`);
  }
  const keyId = text(entry, 'key_id', problem);
  const description = text(entry, 'description', problem) ?? '';
  const aliases = readAliases(entry['aliases'], problem);
  if (keyId !== undefined && !isKeyId(keyId)) problem('key_id must be a UUID in lower case');
  if (keyId === undefined && aliases.length === 0) problem('it must have a key_id or an alias');
  if (description.length > 8_192) problem('description must have at most 8,192 characters');
  const keySpec = text(entry, 'key_spec', problem);
  const algorithm = HMAC_ALGORITHMS.find((known) => known.keySpecName === keySpec);
  if (algorithm === undefined) problem(`key_spec must be ${HMAC_ALGORITHMS.map((a) => a.keySpecName).join(', ')}`);
  const material = readMaterial(entry, folder, problem);
  if (material !== undefined && algorithm !== undefined && material.length !== algorithm.length) {
    problem(`the material of a key of the spec ${keySpec} must be ${algorithm.length} bytes, not ${material.length}`);
  }
  const origin = text(entry, 'origin', problem) ?? 'AWS_KMS';
  if (origin !== 'AWS_KMS' && origin !== 'EXTERNAL') problem('origin must be AWS_KMS or EXTERNAL');
  const { rotation } = entry;
  if (rotation !== undefined && rotation !== 'enabled') problem('rotation can only be enabled');
  if (origin === 'EXTERNAL' && (material !== undefined || rotation !== undefined)) {
    problem('a key of the origin EXTERNAL has neither material nor rotation here');
  }
  // With a problem reported, nobody looks at the key.
  return {
    keyId,
    algorithm: algorithm ?? HMAC_ALGORITHMS[0]!,
    description,
    aliases,
    material,
    origin: origin === 'EXTERNAL' ? Origin.EXTERNAL : Origin.AWS_KMS,
    hasVersions: rotation === 'enabled',
    tags: readTags(entry['tags'], problem),
    ...readPolicy(entry['policy'], partition, problem),
    grants: readSeedGrants(entry['grants'], problem),
  };
}

function readAliases(value: unknown, problem: (text: string) => void): string[] {
  if (value === undefined) return [];
  if (!Array.isArray(value) || !value.every((name) => typeof name === 'string')) {
    problem('aliases must be a list of texts');
    return [];
  }
  if (value.length > 50) problem('it must have at most 50 aliases');
  value.forEach((name, index) => {
    if (!isWritableAliasName(name))
      problem(
        `aliases[${index}] is not alias/ and a name of letters, digits, /, _ and -, is longer than 256, or begins with alias/aws/`,
      );
  });
  return value;
}

function readTags(value: unknown, problem: (text: string) => void): Tag[] {
  if (value === undefined) return [];
  if (!isObject(value) || !Object.values(value).every((each) => typeof each === 'string')) {
    problem('tags must have texts as values');
    return [];
  }
  const tags = Object.entries(value).map(([tagKey, tagValue]) =>
    create(TagSchema, { tagKey, tagValue: tagValue as string }),
  );
  if (tags.some(({ tagKey, tagValue }) => tagKey === '' || tagKey!.length > 128 || tagValue!.length > 256)) {
    problem('a tag has a key of 1 to 128 characters and a value of at most 256');
  }
  try {
    return withTags([], tags);
  } catch (error) {
    if (!(error instanceof KmsError)) throw error;
    problem(error.message);
    return [];
  }
}

/** A key policy, which YAML writes as the JSON that it is. */
function readPolicy(
  value: unknown,
  partition: string,
  problem: (text: string) => void,
): Pick<SeedKey, 'policy' | 'locks'> {
  if (value === undefined) return { policy: '', locks: false };
  try {
    const policy = JSON.stringify(value);
    const statements = readPolicyDocument(parsePolicyJson(policy), { of: 'key', partition });
    const opens = statements.some(
      ({ effect, concernsAction }) => effect === 'Allow' && concernsAction('kms:putkeypolicy'),
    );
    return { policy, locks: !opens };
  } catch (error) {
    // Without what stands there: a slip of the hand can make key material part of a name or a value. And what contains
    // itself, as YAML can, is no JSON.
    problem(`policy: ${error instanceof PolicyProblem ? error.summary : 'it cannot be written as JSON'}`);
    return { policy: '', locks: false };
  }
}

function readMaterial(
  entry: Record<string, unknown>,
  folder: string,
  problem: (text: string) => void,
): Buffer | undefined {
  const base64 = text(entry, 'material_base64', problem);
  const file = text(entry, 'material_file', problem);
  if (base64 !== undefined && file !== undefined) problem('it has both material_base64 and material_file');
  if (base64 !== undefined) {
    const material = Buffer.from(base64, 'base64');
    if (material.toString('base64') !== base64) problem('material_base64 is not base64');
    return material;
  }
  if (file === undefined) return undefined;
  try {
    return readFileSync(resolve(folder, file));
  } catch (error) {
    problem(`material_file cannot be read: ${codeOf(error)}`);
    return undefined;
  }
}

function text(entry: Record<string, unknown>, member: string, problem: (text: string) => void): string | undefined {
  const value = entry[member];
  if (value === undefined || typeof value === 'string') return value;
  problem(`${member} must be a text`);
  return undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function repeated(names: readonly string[]): string[] {
  return names.filter((name, index) => names.indexOf(name) !== index);
}
