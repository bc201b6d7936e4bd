import { execFile } from 'node:child_process';
import { access, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';
import { startRedisFrom, type RedisServer, type RedisSource } from './support/redis-server.ts';

const run = promisify(execFile);

const IMAGE = 'redis:8.0';
const CACHE = join(import.meta.dirname, '..', '.cache', 'redis');

/** The ways to a Redis server, best first; each throws when it is not open on this machine. */
const WAYS: Readonly<Record<string, () => Promise<RedisSource>>> = {
  containers: findContainerEngine,
  server: findServer,
  package: fetchPackage,
};

/**
 * Starts the Redis server that tests share, and tells them how to start one of their own. `HMACD_TEST_REDIS` forces one
 * way (`containers`, `server` or `package`), or leaves the tests against Redis out (`none`).
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const forced = process.env['HMACD_TEST_REDIS'] ?? '';
  if (forced !== '' && forced !== 'none' && !Object.hasOwn(WAYS, forced)) {
    throw new Error(`HMACD_TEST_REDIS is none or one of ${Object.keys(WAYS).join(', ')}`);
  }
  const failures = forced === 'none' ? ['HMACD_TEST_REDIS is none'] : [];
  for (const [name, find] of Object.entries(WAYS)) {
    if (forced !== '' && forced !== name) continue;
    let shared: RedisServer;
    try {
      const source = await find();
      shared = await startRedisFrom(source);
      project.provide('redis', { source, shared: { host: shared.host, port: shared.port } });
    } catch (error) {
      if (forced === name) throw new Error(`HMACD_TEST_REDIS=${name} does not work here`, { cause: error });
      failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      continue;
    }
    console.log(`The tests against Redis run (${name}).`);
    return () => shared.stop();
  }
  project.provide('redis', undefined);
  return async () => showBanner(failures);
}

/** Shouts: a store that was not tested is not known to work. The first line is what a pipeline looks for. */
function showBanner(failures: readonly string[]): void {
  const rule = '!'.repeat(80);
  const reasons = failures.map((failure) => `  ${failure.trim().replaceAll('\n', '\n    ')}`);
  process.stderr.write(
    ['', rule, 'REDIS TESTS LEFT OUT', 'No Redis server could be had, so nothing here says that the Redis store works:']
      .concat(reasons, 'Install a container engine or redis-server, and run the tests again.', rule, '')
      .join('\n'),
  );
}

async function findContainerEngine(): Promise<RedisSource> {
  const { getContainerRuntimeClient } = await import('testcontainers');
  await getContainerRuntimeClient();
  return { kind: 'container', image: IMAGE };
}

async function findServer(): Promise<RedisSource> {
  await run('redis-server', ['--version']);
  return { kind: 'program', program: 'redis-server', libraryPath: undefined };
}

/** Unpacks Debian's packages into the project without installing them; they are kept for the next time. */
async function fetchPackage(): Promise<RedisSource> {
  const root = join(CACHE, 'root');
  const program = join(root, 'usr', 'bin', 'redis-server');
  const fetched = await access(program).then(
    () => true,
    () => false,
  );
  if (!fetched) await fetchRedisPackages(root);
  const libraryPath = await findLibraryPath(root);
  const source = { kind: 'program', program, libraryPath } as const;
  await run(program, ['--version'], { env: { ...process.env, LD_LIBRARY_PATH: libraryPath } });
  return source;
}

async function fetchRedisPackages(root: string): Promise<void> {
  await mkdir(join(CACHE, 'lists', 'partial'), { recursive: true });
  await mkdir(root, { recursive: true });
  try {
    await downloadPackages([]);
  } catch {
    // A small image has no lists of packages: they are fetched into the project, too.
    const own = ['-o', `Dir::State::Lists=${join(CACHE, 'lists')}`, '-o', `Dir::Cache=${CACHE}`];
    await run('apt-get', [...own, '-o', 'Debug::NoLocking=1', 'update'], { cwd: CACHE });
    await downloadPackages(own);
  }
  for (const file of await readdir(CACHE)) {
    if (file.endsWith('.deb')) await run('dpkg', ['-x', join(CACHE, file), root]);
  }
}

/** Redis's two packages, and those of the libraries below them that this machine does not have. */
async function downloadPackages(options: readonly string[]): Promise<void> {
  const depends = ['depends', '--recurse', '--no-recommends', '--no-suggests', '--no-conflicts', '--no-breaks'];
  const { stdout } = await run(
    'apt-cache',
    [...options, ...depends, '--no-replaces', '--no-enhances', 'redis-server'],
    { maxBuffer: 16 * 1024 * 1024 },
  );
  const named = new Set(stdout.split('\n').filter((line) => /^(lib|lua)/.test(line)));
  const { stdout: installed } = await run('dpkg-query', ['--show', '--showformat=${Package} ${db:Status-Status}\n']);
  for (const line of installed.split('\n')) {
    const [name = '', status] = line.split(' ');
    if (status === 'installed') named.delete(name);
  }
  const wanted = new Set(['redis-server', 'redis-tools', ...named]);
  await run('apt-get', [...options, 'download', ...wanted], { cwd: CACHE });
}

/** Every folder of the unpacked packages that has a shared library in it. */
async function findLibraryPath(root: string): Promise<string> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const folders = entries.filter(({ name }) => /\.so(\.|$)/.test(name)).map(({ parentPath }) => parentPath);
  return [...new Set(folders)].join(':');
}
