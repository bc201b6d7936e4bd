import { execFile } from 'node:child_process';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const VERSION = '5.2.5';
const folder = join(import.meta.dirname, '..', '.cache', `moto-${VERSION}`);

/** The path of moto's server, which is installed first if need be. Throws when there is no Python, or no index. */
export async function motoProgram(): Promise<string> {
  const program = join(folder, 'bin', 'moto_server');
  const there = await access(program).then(
    () => true,
    () => false,
  );
  if (!there) {
    await promisify(execFile)('python3', ['-m', 'venv', '--clear', folder]);
    await promisify(execFile)(join(folder, 'bin', 'pip'), ['install', '--quiet', `moto[server]==${VERSION}`]);
  }
  return program;
}
