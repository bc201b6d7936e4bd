import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readSeedFile } from '../../src/keys/seed-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'hmacd-seed-secrets-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** What reading a seed file with this text throws. */
function errorOf(text: string): Error {
  const path = join(folder, 'seed.yaml');
  writeFileSync(path, text);
  try {
    readSeedFile(path, 'aws');
  } catch (error) {
    return error as Error;
  }
  throw new Error('it was read');
}

const SECRET = Buffer.from('0123456789abcdefghijklmnopqrstuv');
const good = { key_spec: 'HMAC_256', aliases: ['alias/a'] };

/** A seed file with a policy. */
const policyWith = (document: string): string =>
  `keys: [{ key_spec: HMAC_256, aliases: [alias/a], policy: ${document} }]`;

describe('a seed file', () => {
  const text = SECRET.toString('base64');
  const inStatement = (element: string): string =>
    policyWith(`{ Statement: [{ Effect: Allow, Principal: "*", Action: "*", Resource: "*", ${element} }] }`);
  it.each([
    ['as a member of a policy', policyWith(`{ Statement: [], material_base64:${text} }`)],
    ['in a list of a policy', policyWith(`{ Statement: [material_base64:${text}] }`)],
    ['in the version of a policy', policyWith(`{ Version: { material_base64:${text} } }`)],
    ['as a member of a statement', inStatement(`material_base64:${text}`)],
    ['in an effect', policyWith(`{ Statement: [{ Effect: Allow material_base64:${text} }] }`)],
    ['as a condition', inStatement(`Condition: { material_base64:${text} }`)],
    ['as a condition key', inStatement(`Condition: { StringEquals: { material_base64:${text} } }`)],
    ['as a principal', policyWith(`{ Statement: [{ Effect: Allow, Principal: { material_base64:${text} } }] }`)],
    ['in a policy that contains itself', policyWith(`&p { material_base64:${text}: *p }`)],
    ['on a line that is no YAML', `keys:\n  - material_base64: "${text}\n`],
    ['in a list that is not closed', `keys: [{ key_spec: HMAC_256, material_base64: ${text}`],
    ['twice in a key', `keys: [{ material_base64: ${text}, material_base64: ${text} }]`],
    ['of the wrong length', JSON.stringify({ keys: [{ ...good, material_base64: text.slice(0, 40) }] })],
    ['with something else behind it', JSON.stringify({ keys: [{ ...good, material_base64: `${text}!` }] })],
    ['without its padding', JSON.stringify({ keys: [{ ...good, material_base64: text.replace('=', '') }] })],
    ['in a list', JSON.stringify({ keys: [{ ...good, material_base64: [text] }] })],
    ['and a file of it', JSON.stringify({ keys: [{ ...good, material_base64: text, material_file: 'x' }] })],
    ['under a tag that nobody knows', `keys: [{ key_spec: X, material_base64: !secret ${text} }]`],
  ])('is refused without a word of the material that stands there %s', (_, content) => {
    const error = errorOf(content);
    for (let shown: unknown = error; shown instanceof Error; shown = shown.cause) {
      expect(`${shown.message} ${shown.stack}`).not.toContain(text.slice(0, 8));
    }
  });

  it.each([
    ['with line breaks', `${SECRET.toString('base64').slice(0, 20)}\n${SECRET.toString('base64').slice(20)}`],
    ['without padding', SECRET.toString('base64').replace('=', '')],
    ['in base64url', Buffer.alloc(32, 0xff).toString('base64url')],
    ['with bits left over', `${SECRET.toString('base64').slice(0, -2)}Z=`],
  ])('takes no material in base64 %s', (_, material_base64) => {
    const { message } = errorOf(JSON.stringify({ keys: [{ ...good, material_base64 }] }));
    expect(message).toMatch(/: keys\[0\]: material_base64 is not base64(;|$)/);
  });
});
