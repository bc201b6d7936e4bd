import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { DEMO_SEED_FILE } from '../../src/config.ts';
import { readSeedFile } from '../../src/keys/seed-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'hmacd-seed-'));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;

/** A seed file with this text. */
function fileOf(text: string): string {
  const path = join(folder, `${++files}.yaml`);
  writeFileSync(path, text);
  return path;
}

/** A seed file with one key; JSON is YAML, too. */
const keyOf = (members: object): string => fileOf(JSON.stringify({ keys: [members] }));

/** The sentence that a seed file is refused with, without the file's name. */
function problemsOf(path: string): string[] {
  try {
    readSeedFile(path, 'aws');
  } catch (error) {
    return (error as Error).message.replace(`the seed file ${path} is wrong: `, '').split('; ');
  }
  return [];
}

const KEY_ID = '1234abcd-12ab-34cd-56ef-1234567890ab';
const SECRET = Buffer.from('0123456789abcdefghijklmnopqrstuv');
const good = { key_spec: 'HMAC_256', aliases: ['alias/a'] };

const grant = { grantee_principal: 'arn:aws:iam::000000000000:role/a', operations: ['GenerateMac', 'VerifyMac'] };
const grantsOf = (count: number): object[] => Array.from({ length: count }, () => grant);

const NO_ALIAS =
  'aliases[0] is not alias/ and a name of letters, digits, /, _ and -, is longer than 256, or begins with alias/aws/';
const OTHER_MEMBER =
  'it has a member that is none of key_id, key_spec, description, aliases, material_base64, material_file, origin, rotation, tags, policy, grants';

describe('a seed file', () => {
  it('says which keys to have', () => {
    const path = fileOf(`
      # A comment
      keys:
        - key_id: ${KEY_ID}
          key_spec: HMAC_256
          description: signs order webhooks
          aliases: [alias/orders, alias/old-orders]
          material_base64: ${SECRET.toString('base64')}
        - key_spec: HMAC_512
          aliases:
            - alias/other
        - { key_id: 00000000-0000-0000-0000-000000000000, key_spec: HMAC_224 }`);
    expect(readSeedFile(path, 'aws')).toMatchObject([
      {
        keyId: KEY_ID,
        algorithm: { keySpecName: 'HMAC_256' },
        description: 'signs order webhooks',
        aliases: ['alias/orders', 'alias/old-orders'],
        material: SECRET,
      },
      {
        keyId: undefined,
        algorithm: { keySpecName: 'HMAC_512' },
        description: '',
        aliases: ['alias/other'],
        material: undefined,
      },
      { keyId: '00000000-0000-0000-0000-000000000000', aliases: [] },
    ]);
  });

  it('may have no keys', () => expect(readSeedFile(fileOf('keys: []'), 'aws')).toEqual([]));

  it('that comes with the program has the key alias/demo, of random material', () => {
    expect(readSeedFile(DEMO_SEED_FILE, 'aws')).toMatchObject([
      { keyId: undefined, algorithm: { keySpecName: 'HMAC_256' }, aliases: ['alias/demo'], material: undefined },
    ]);
  });

  it.each([
    ['HMAC_224', 28],
    ['HMAC_256', 32],
    ['HMAC_384', 48],
    ['HMAC_512', 64],
  ])('gives a key of the spec %s exactly %i bytes of material', (key_spec, length) => {
    for (const wrong of [0, length - 1, length + 1]) {
      expect(problemsOf(keyOf({ ...good, key_spec, material_base64: Buffer.alloc(wrong).toString('base64') }))).toEqual(
        [`keys[0]: the material of a key of the spec ${key_spec} must be ${length} bytes, not ${wrong}`],
      );
    }
    const [key] = readSeedFile(
      keyOf({ ...good, key_spec, material_base64: Buffer.alloc(length, 7).toString('base64') }),
      'aws',
    );
    expect(key!.material).toEqual(Buffer.alloc(length, 7));
  });

  it('names files of material from its own folder', () => {
    mkdirSync(join(folder, 'secrets'), { recursive: true });
    writeFileSync(join(folder, 'secrets', 'raw.key'), SECRET);
    expect(readSeedFile(keyOf({ ...good, material_file: 'secrets/raw.key' }), 'aws')[0]!.material).toEqual(SECRET);
    expect(
      readSeedFile(keyOf({ ...good, material_file: join(folder, 'secrets/raw.key') }), 'aws')[0]!.material,
    ).toEqual(SECRET);
    expect(problemsOf(keyOf({ ...good, material_file: 'raw.key' }))).toEqual([
      'keys[0]: material_file cannot be read: ENOENT',
    ]);
    expect(problemsOf(keyOf({ ...good, material_file: 'secrets' }))).toEqual([
      'keys[0]: material_file cannot be read: EISDIR',
    ]);
  });

  const list = ['it must have a list `keys` of objects'];
  it.each([
    ['nothing', '', list],
    ['a text', 'keys', list],
    ['a list', '[]', list],
    ['keys that are no list', 'keys: { a: 1 }', list],
    ['keys that are texts', 'keys: [a]', list],
    ['keys that are null', 'keys: [null]', list],
    ['another member', 'keys: []\nkey: 1', ['it has a member other than `keys`']],
  ])('with %s is refused', (_, text, problems) => expect(problemsOf(fileOf(text))).toEqual(problems));

  it.each([
    ['an unknown member', { ...good, spec: 'HMAC_256' }, [OTHER_MEMBER]],
    ['neither a key ID nor an alias', { key_spec: 'HMAC_256' }, ['it must have a key_id or an alias']],
    ['an empty list of aliases', { key_spec: 'HMAC_256', aliases: [] }, ['it must have a key_id or an alias']],
    ['no key spec', { aliases: ['alias/a'] }, ['key_spec must be HMAC_224, HMAC_256, HMAC_384, HMAC_512']],
    [
      'another key spec',
      { ...good, key_spec: 'RSA_2048' },
      ['key_spec must be HMAC_224, HMAC_256, HMAC_384, HMAC_512'],
    ],
    ['a key ID that is none', { ...good, key_id: 'orders' }, ['key_id must be a UUID in lower case']],
    ['a key ID in capitals', { ...good, key_id: KEY_ID.toUpperCase() }, ['key_id must be a UUID in lower case']],
    ['a key ID that is a number', { ...good, key_id: 5 }, ['key_id must be a text']],
    ['a description that is a number', { ...good, description: 5 }, ['description must be a text']],
    [
      'too long a description',
      { ...good, description: 'd'.repeat(8_193) },
      ['description must have at most 8,192 characters'],
    ],
    ['an alias without prefix', { ...good, aliases: ['a'] }, [NO_ALIAS]],
    ['a reserved alias', { ...good, aliases: ['alias/aws/a'] }, [NO_ALIAS]],
    ['one alias', { ...good, key_id: KEY_ID, aliases: 'alias/a' }, ['aliases must be a list of texts']],
    ['aliases that are numbers', { ...good, key_id: KEY_ID, aliases: [1] }, ['aliases must be a list of texts']],
    [
      '51 aliases',
      { ...good, aliases: Array.from({ length: 51 }, (_, n) => `alias/${n}`) },
      ['it must have at most 50 aliases'],
    ],
    ['another origin', { ...good, origin: 'AWS_CLOUDHSM' }, ['origin must be AWS_KMS or EXTERNAL']],
    [
      'material that is to be imported',
      { ...good, origin: 'EXTERNAL', material_base64: SECRET.toString('base64') },
      ['a key of the origin EXTERNAL has neither material nor rotation here'],
    ],
    ['another rotation', { ...good, rotation: 'disabled' }, ['rotation can only be enabled']],
    ['a rotation that is no text', { ...good, rotation: true }, ['rotation can only be enabled']],
    ['tags that are a list', { ...good, tags: ['a'] }, ['tags must have texts as values']],
    ['a tag that is a number', { ...good, tags: { a: 1 } }, ['tags must have texts as values']],
    ['a tag of AWS', { ...good, tags: { 'aws:a': '' } }, ['Tags beginning with aws: are reserved']],
    [
      'too long a tag',
      { ...good, tags: { a: 'v'.repeat(257) } },
      ['a tag has a key of 1 to 128 characters and a value of at most 256'],
    ],
    ['one grant', { ...good, grants: {} }, ['grants must be a list']],
    [
      'a grant to nobody',
      { ...good, grants: [{ operations: ['GenerateMac'] }] },
      ['grants[0]: it must have a grantee_principal'],
    ],
    [
      'a grant of what is no operation',
      { ...good, grants: [{ grantee_principal: 'arn:aws:iam::000000000000:role/a', operations: ['Generate'] }] },
      ["grants[0]: operations must be a list of AWS's names of grant operations"],
    ],
    ['101 grants', { ...good, grants: grantsOf(101) }, ['it must have at most 100 grants']],
    [
      'a named grant that stands there twice',
      {
        ...good,
        grants: [
          { ...grant, name: 'a' },
          { ...grant, name: 'b' },
          { ...grant, name: 'a', operations: ['VerifyMac', 'GenerateMac', 'VerifyMac'] },
        ],
      },
      ['grants[2] repeats grants[0]'],
    ],
    [
      'a grant with another member',
      { ...good, grants: [{ grantee_principal: 'a', operations: ['GenerateMac'], key_id: 'a' }] },
      ['grants[0]: it has a member that is none of name, grantee_principal, retiring_principal, operations'],
    ],
  ])('with a key that has %s is refused', (_, members, problems) => {
    expect(problemsOf(keyOf(members))).toEqual(problems.map((problem) => `keys[0]: ${problem}`));
  });

  it('may have 100 grants of a key, and such as differ in their names or terms, or have no names', () => {
    const other = { ...grant, retiring_principal: grant.grantee_principal };
    const named = [grant, other, { ...grant, operations: ['VerifyMac'] }].flatMap((each) => [
      { ...each, name: 'a' },
      { ...each, name: 'b' },
    ]);
    const grants = [...named, ...grantsOf(94)];
    expect(readSeedFile(keyOf({ ...good, grants }), 'aws')[0]!.grants).toHaveLength(100);
  });

  it.each(['x', {}, { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: 'kms:*', Resource: '*' }] }])(
    'with the policy %j is refused',
    (policy) =>
      expect(problemsOf(keyOf({ ...good, policy }))).toEqual([expect.stringMatching(/^keys\[0\]: policy: ./)]),
  );

  it.each([
    ['{}', 'Policy must have the element Statement'],
    ['{ Version: 1, Statement: [] }', 'Policy has an invalid Version'],
    ['{ Statement: [{ Effect: allow }] }', 'Policy has an invalid Effect'],
    [
      '{ Statement: [{ Effect: Allow, Principal: "*", Action: "s3:*", Resource: "*" }] }',
      'Policy has an invalid action',
    ],
    ['&policy { Statement: *policy }', 'it cannot be written as JSON'],
    ['{ Statement: &statements [*statements] }', 'it cannot be written as JSON'],
  ])('is told what is wrong with the policy %s', (policy, problem) => {
    const path = fileOf(`keys: [{ key_spec: HMAC_256, aliases: [alias/a], policy: ${policy} }]`);
    expect(problemsOf(path)).toEqual([`keys[0]: policy: ${problem}`]);
  });

  it('with a key or an alias that stands there twice is refused', () => {
    const keys = [
      { ...good, key_id: KEY_ID },
      { ...good, key_id: KEY_ID, aliases: ['alias/b'] },
      { ...good, aliases: ['alias/c', 'alias/a'] },
    ];
    expect(problemsOf(fileOf(JSON.stringify({ keys })))).toEqual([
      `${KEY_ID} stands there twice`,
      'alias/a stands there twice',
    ]);
  });

  it('is told of everything that is wrong in it at once', () => {
    const keys = [{ key_spec: 'X', extra: 1 }, good, { ...good, aliases: ['alias/c', 'no'], key_id: 'x' }];
    expect(problemsOf(fileOf(JSON.stringify({ keys, version: 1 })))).toEqual([
      'it has a member other than `keys`',
      `keys[0]: ${OTHER_MEMBER}`,
      'keys[0]: it must have a key_id or an alias',
      'keys[0]: key_spec must be HMAC_224, HMAC_256, HMAC_384, HMAC_512',
      `keys[2]: ${NO_ALIAS.replace('[0]', '[1]')}`,
      'keys[2]: key_id must be a UUID in lower case',
    ]);
  });

  it('that is not there, or no YAML, is refused with the reason', () => {
    const missing = join(folder, 'missing.yaml');
    expect(() => readSeedFile(missing, 'aws')).toThrow(new Error(`the seed file ${missing} cannot be read: ENOENT`));
    const broken = fileOf('keys: [');
    expect(() => readSeedFile(broken, 'aws')).toThrow(
      new Error(`the seed file ${broken} cannot be read: line 1 is not YAML`),
    );
  });
});
