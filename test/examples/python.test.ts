import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { DEMO_SEED_FILE } from '../../src/config.ts';
import { runHmacd, startHmacd } from '../support/hmacd-process.ts';
import { type Ended, pythonEnvironment, run, succeed } from '../support/python-environment.ts';
import { startRedisServer } from '../support/redis-server.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const EXAMPLE = join(ROOT, 'examples', 'python');
const SEED_FILE = join(EXAMPLE, 'conformance-keys.json');
const REQUIREMENTS = join(EXAMPLE, 'requirements.txt');
const STUBS = join(ROOT, '.cache', 'python', 'stubs');
const SETTINGS = { STORE: 'sqlite::memory:', AUDIT_LOG: 'off' };

const environment = await pythonEnvironment('python', REQUIREMENTS);
const { missing } = environment;
if (missing !== undefined) console.warn(`PYTHON TESTS LEFT OUT: ${missing}`);

/** Runs Python with the generated stubs. */
function python(...args: string[]): Promise<Ended> {
  return run(environment.program('python'), args, { PYTHONPATH: STUBS });
}

async function generateStubs(): Promise<void> {
  await rm(STUBS, { recursive: true, force: true });
  await mkdir(STUBS, { recursive: true });
  const contract = join(ROOT, 'proto', 'hmacd', 'v1');
  const files = (await readdir(contract)).map((name) => join(contract, name));
  const out = [`--python_out=${STUBS}`, `--grpc_python_out=${STUBS}`];
  const args = ['-m', 'grpc_tools.protoc', '-I', join(ROOT, 'proto'), ...out, ...files];
  await succeed(environment.program('python'), args);
}

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
    const ended = await python(join(EXAMPLE, 'webhooks.py'), `127.0.0.1:${hmacd.grpcPort}`);
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(ended.stdout).toMatch(/^signed: [0-9a-f]{64}\ngenuine: True\nforged: False\n$/);
  });

  it('conformance.py finds the MACs of Python, with keys in SQLite', { timeout: 80_000 }, async () => {
    await using hmacd = await startHmacd({ ...SETTINGS, SEED_FILE });
    const ended = await python(conformance, SEED_FILE, `127.0.0.1:${hmacd.grpcPort}`);
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
        const ended = await python(conformance, SEED_FILE, `127.0.0.1:${hmacd.grpcPort}`);
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
    const ended = await python(conformance, SEED_FILE, `127.0.0.1:${hmacd.grpcPort}`, '--messages', '5');
    expect(ended).toMatchObject({ code: 1, stdout: '15 of 20 equal\n' });
    expect(ended.stderr).toMatch(/^HMAC_224, a message of 1 bytes: the MAC is [0-9a-f]{56} and not [0-9a-f]{56}\n/);
  });
});
