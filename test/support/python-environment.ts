import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');
const WINDOWS = process.platform === 'win32';

/** How pip tells that it cannot reach the index, as opposed to not finding there what it was asked for. */
const UNREACHABLE = /connection broken by|Could not fetch URL|Max retries exceeded|ReadTimeoutError/;

/** How a program ended. */
export interface Ended {
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program; stops it after a while. */
export function run(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  timeout = 80_000,
): Promise<Ended> {
  // What somebody has made beside a script must not win over what it wants to import.
  const own = { ...process.env, PYTHONSAFEPATH: '1', PYTHONDONTWRITEBYTECODE: '1', ...env };
  return new Promise((resolve) => {
    execFile(program, args, { env: own, timeout, maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : (error.code ?? error.signal ?? 'unknown'), stdout, stderr }),
    );
  });
}

/** Like `run`, of a program that has to succeed. */
export async function succeed(program: string, args: readonly string[], env?: Record<string, string>): Promise<string> {
  const { code, stdout, stderr } = await run(program, args, env);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
  return stdout;
}

/** A virtual environment of Python, kept between runs, or why it cannot be had. */
export interface PythonEnvironment {
  readonly missing: string | undefined;
  readonly folder: string;
  /** The path of one of its programs, such as `python`. */
  program(name: string): string;
}

/**
 * Makes a virtual environment of some requirements, unless it is there.
 *
 * @param requirements the path of a requirements file
 * @throws Error when it fails for another reason than that there is no Python, or no index
 */
export async function pythonEnvironment(name: string, requirements: string): Promise<PythonEnvironment> {
  const folder = join(ROOT, '.cache', name, 'venv');
  const program = (called: string): string =>
    join(folder, WINDOWS ? 'Scripts' : 'bin', WINDOWS ? `${called}.exe` : called);
  return { missing: await prepare(folder, program, requirements), folder, program };
}

async function prepare(
  folder: string,
  program: (name: string) => string,
  requirements: string,
): Promise<string | undefined> {
  const made = join(folder, '..', 'requirements.txt');
  const wanted = await readFile(requirements, 'utf8');
  const kept = await readFile(made, 'utf8').catch(() => undefined);
  const python = program('python');
  if (kept === wanted && (await run(python, ['--version'])).code === 0) return undefined;
  if ((await run('python3', ['-c', 'import ensurepip, venv'])).code !== 0) return 'there is no python3 with venv';
  await rm(made, { force: true });
  await succeed('python3', ['-m', 'venv', '--clear', folder]);
  const quickly = ['--quiet', '--disable-pip-version-check', '--timeout', '10', '--retries', '1'];
  const pip = await run(python, ['-m', 'pip', 'install', ...quickly, '--requirement', requirements]);
  if (pip.code !== 0 && UNREACHABLE.test(pip.stderr)) return 'the Python package index cannot be reached';
  if (pip.code !== 0) throw new Error(`pip install ended with ${pip.code}:\n${pip.stderr}`);
  // Written last: an environment that was left half made has none.
  await writeFile(made, wanted);
  return undefined;
}
