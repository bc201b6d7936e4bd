import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readRootKeys } from '../../src/records/root-keys.ts';
import { runHmacd } from '../support/hmacd-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'hmacd-make-root-key-'));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
const newPath = (): string => join(folder, String(++files));

const toldOf = (path: string) => ({
  code: 0,
  stdout: `the root key ${readRootKeys([path])[0].id.toString('hex')} is in ${path}\n`,
  stderr: '',
});

describe('make-root-key', () => {
  it('makes a file that is a root key and its owner’s alone, and tells its ID', async () => {
    const path = join(newPath(), 'root.key');
    const told = await runHmacd(['make-root-key', path]);
    expect(told).toEqual(toldOf(path));
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('leaves a file that exists alone, and fails', async () => {
    const path = newPath();
    writeFileSync(path, 'precious');
    expect(await runHmacd(['make-root-key', path])).toEqual({
      code: 1,
      stdout: '',
      stderr: `hmacd: ${path} exists; whatever it sealed would be lost with it\n`,
    });
    expect(readFileSync(path, 'utf8')).toBe('precious');
  });

  it('leaves a root key that may be there alone with --if-missing, and refuses one that is none', async () => {
    const path = newPath();
    await runHmacd(['make-root-key', path]);
    const content = readFileSync(path, 'utf8');
    const told = await runHmacd(['make-root-key', '--if-missing', path]);
    expect(told).toEqual(toldOf(path));
    expect(readFileSync(path, 'utf8')).toBe(content);
    writeFileSync(path, 'precious');
    expect(await runHmacd(['make-root-key', '--if-missing', path])).toEqual({
      code: 1,
      stdout: '',
      stderr: `hmacd: the root key file ${path} does not hold 32 bytes, raw or in base64\n`,
    });
    expect(readFileSync(path, 'utf8')).toBe('precious');
  });

  it('makes one with --if-missing where there is none', async () => {
    const path = newPath();
    expect(await runHmacd(['make-root-key', path, '--if-missing'])).toMatchObject({ code: 0 });
    expect(readRootKeys([path]).length).toBe(1);
  });

  it('that cannot write says why', async () => {
    const inFile = newPath();
    writeFileSync(inFile, '');
    const path = join(inFile, 'root.key');
    expect(await runHmacd(['make-root-key', path])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(new RegExp(`^hmacd: ${path} cannot be written: E(NOTDIR|EXIST)\n$`)),
    });
  });

  it.each([
    ['no path', [], /^hmacd: usage: hmacd make-root-key PATH \[--if-missing\]\n$/],
    ['two paths', ['/nowhere/a', '/nowhere/b'], /^hmacd: usage: hmacd make-root-key PATH \[--if-missing\]\n$/],
    ['an unknown flag', ['--force', '/nowhere/a'], /^hmacd: Unknown option '--force'/],
  ])('refuses %s', async (_, args, stderr) => {
    const ended = await runHmacd(['make-root-key', ...args]);
    expect(ended).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(stderr) });
  });
});
