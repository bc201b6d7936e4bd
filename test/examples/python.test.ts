import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { DEMO_SEED_FILE } from '../../src/config.ts';
import { runHmacd, startHmacd } from '../support/hmacd-process.ts';
import { startRedisServer } from '../support/redis-server.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const EXAMPLE = join(ROOT, 'examples', 'python');
const SEED_FILE = join(EXAMPLE, 'conformance-keys.json');
const REQUIREMENTS = join(EXAMPLE, 'requirements.txt');
const CACHE = join(ROOT, '.cache', 'python');
const PYTHON = join(CACHE, 'venv', process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');
const STUBS = join(CACHE, 'stubs');
const SETTINGS = { STORE: 'sqlite::memory:', AUDIT_LOG: 'off' };

/** How pip tells that it cannot reach the index, as opposed to not finding there what it was asked for. */
const UNREACHABLE = /connection broken by|Could not fetch URL|Max retries exceeded|ReadTimeoutError/;

interface Ended {
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

function run(program: string, ...args: string[]): Promise<Ended> {
  // A stub that somebody has made beside the scripts must not win over these.
  const env = { ...process.env, PYTHONPATH: STUBS, PYTHONSAFEPATH: '1', PYTHONDONTWRITEBYTECODE: '1' };
  return new Promise((resolve) => {
    execFile(program, args, { env, timeout: 80_000, maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : (error.code ?? error.signal ?? 'unknown'), stdout, stderr }),
    );
  });
}

async function succeed(program: string, ...args: string[]): Promise<void> {
  const { code, stdout, stderr } = await run(program, ...args);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
}

/** Makes the virtual environment, unless one of the same requirements is there; answers why it cannot be had, if so. */
async function prepare(): Promise<string | undefined> {
  const made = join(CACHE, 'requirements.txt');
  const wanted = await readFile(REQUIREMENTS, 'utf8');
  const kept = await readFile(made, 'utf8').catch(() => undefined);
  if (kept === wanted && (await run(PYTHON, '--version')).code === 0) return undefined;
  if ((await run('python3', '-c', 'import ensurepip, venv')).code !== 0) return 'there is no python3 with venv';
  await rm(made, { force: true });
  await succeed('python3', '-m', 'venv', '--clear', join(CACHE, 'venv'));
  const quickly = ['--quiet', '--disable-pip-version-check', '--timeout', '10', '--retries', '1'];
  const pip = await run(PYTHON, '-m', 'pip', 'install', ...quickly, '--requirement', REQUIREMENTS);
  if (pip.code !== 0 && UNREACHABLE.test(pip.stderr)) return 'the Python package index cannot be reached';
  if (pip.code !== 0) throw new Error(`pip install ended with ${pip.code}:\n${pip.stderr}`);
  // Written last: an environment that was left half made has none.
  await writeFile(made, wanted);
  return undefined;
}

async function generateStubs(): Promise<void> {
  await rm(STUBS, { recursive: true, force: true });
  await mkdir(STUBS, { recursive: true });
  const contract = join(ROOT, 'proto', 'hmacd', 'v1');
  const files = (await readdir(contract)).map((name) => join(contract, name));
  const out = [`--python_out=${STUBS}`, `--grpc_python_out=${STUBS}`];
  await succeed(PYTHON, '-m', 'grpc_tools.protoc', '-I', join(ROOT, 'proto'), ...out, ...files);
}

const missing = await prepare();
if (missing !== undefined) console.warn(`PYTHON TESTS LEFT OUT: ${missing}`);

describe.skipIf(missing !== undefined)('examples/python', () => {
  const conformance = join(EXAMPLE, 'conformance.py');
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hmacd-python-'));
    await generateStubs();
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('webhooks.py signs, verifies, and refuses a forgery', async () => {
    await using hmacd = await startHmacd({ ...SETTINGS, SEED_FILE: DEMO_SEED_FILE });
    const ended = await run(PYTHON, join(EXAMPLE, 'webhooks.py'), `127.0.0.1:${hmacd.grpcPort}`);
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(ended.stdout).toMatch(/^signed: [0-9a-f]{64}\ngenuine: True\nforged: False\n$/);
  });

  it('conformance.py finds the MACs of Python, with keys in SQLite', { timeout: 80_000 }, async () => {
    await using hmacd = await startHmacd({ ...SETTINGS, SEED_FILE });
    const ended = await run(PYTHON, conformance, SEED_FILE, `127.0.0.1:${hmacd.grpcPort}`);
    expect(ended).toEqual({ code: 0, stdout: '4000 of 4000 equal\n', stderr: '' });
  });

  it.skipIf(inject('redis') === undefined)(
    'conformance.py finds the MACs of Python, with keys in Redis',
    { timeout: 80_000 },
    async () => {
      const rootKey = join(folder, 'root.key');
      expect(await runHmacd(['make-root-key', rootKey])).toMatchObject({ code: 0 });
      const redis = await startRedisServer();
      try {
        const store = { STORE: `redis://${redis.host}:${redis.port}`, ROOT_KEY_FILE: rootKey };
        await using hmacd = await startHmacd({ ...SETTINGS, ...store, SEED_FILE });
        const ended = await run(PYTHON, conformance, SEED_FILE, `127.0.0.1:${hmacd.grpcPort}`);
        expect(ended).toEqual({ code: 0, stdout: '4000 of 4000 equal\n', stderr: '' });
      } finally {
        await redis.stop();
      }
    },
  );

  it('conformance.py fails when one bit of one key is another', async () => {
    const seed = JSON.parse(await readFile(SEED_FILE, 'utf8')) as { keys: { material_base64: string }[] };
    const [key] = seed.keys;
    const material = Buffer.from(key!.material_base64, 'base64');
    material[0]! ^= 1;
    key!.material_base64 = material.toString('base64');
    const altered = join(folder, 'altered-keys.json');
    await writeFile(altered, JSON.stringify(seed));

    await using hmacd = await startHmacd({ ...SETTINGS, SEED_FILE: altered });
    const ended = await run(PYTHON, conformance, SEED_FILE, `127.0.0.1:${hmacd.grpcPort}`, '--messages', '5');
    expect(ended).toMatchObject({ code: 1, stdout: '15 of 20 equal\n' });
    expect(ended.stderr).toMatch(/^HMAC_224, a message of 1 bytes: the MAC is [0-9a-f]{56} and not [0-9a-f]{56}\n/);
  });
});
