import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { runHmacd } from '../support/hmacd-process.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'hmacd-main-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('hmacd', () => {
  it('--version says the version of the package', async () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(await runHmacd(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('--help says how it is used', async () => {
    const { code, stdout, stderr } = await runHmacd(['--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const word of [
      'serve',
      'make-root-key',
      'set-key-cache-ttl',
      'backup',
      'restore',
      'reseal',
      'healthcheck',
      '--version',
    ]) {
      expect(stdout).toContain(`hmacd ${word}`.replace('hmacd serve', 'hmacd [serve]'));
    }
  });

  it.each(['start', 'Serve', 'help', ''])(
    'refuses the unknown command %j, and says how it is used',
    async (command) => {
      const { code, stdout, stderr } = await runHmacd([command]);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toMatch(/^usage: hmacd \[serve\] /);
    },
  );

  it.each([[['serve']], [[]]])('%j with wrong settings says all that is wrong, a line each', async (args) => {
    const wrong = { HMACD_REGION: 'R', HMACD_GRPC_ADDR: 'x', HMACD_REGOIN: 'r' };
    const { code, stdout, stderr } = await runHmacd([...args, '--log-level', 'loud'], wrong);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    const lines = stderr.split('\n');
    expect(lines[0]).toBe('hmacd: the settings are wrong:');
    expect(lines.slice(1).map((line) => line.split(':')[0])).toEqual([
      '  HMACD_GRPC_ADDR',
      '  HMACD_REGION',
      '  --log-level',
      '  HMACD_REGOIN',
      '',
    ]);
  });

  it('finds what comes with it in a folder of any name', async () => {
    const place = join(folder, 'a folder, 100% ünusual #1');
    mkdirSync(place);
    cpSync(join(ROOT, 'src'), join(place, 'src'), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(place, 'node_modules'));
    cpSync(join(ROOT, 'package.json'), join(place, 'package.json'));
    const program = `
      const { readConfig } = await import('./src/config.ts');
      const { readSeedFile } = await import('./src/keys/seed-file.ts');
      console.log(readSeedFile(readConfig({}, []).seedFile).length);
    `;
    const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], { cwd: place });
    expect((await run).stdout).toBe('1\n');
  });
});
