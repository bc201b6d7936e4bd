import { execFile, execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const repository = new URL('../..', import.meta.url);
/** A name of its own, so that neither another run nor a deployment on this machine is touched. */
const project = `hmacd-test-${randomUUID().slice(0, 8)}`;
/** Building the image installs its packages twice; with nothing cached that is most of a minute. */
const minutes = 60_000;

const run = promisify(execFile);

async function compose(...args: string[]): Promise<string> {
  const { stdout } = await run('docker', ['compose', '--project-name', project, ...args], {
    cwd: repository,
    // Port 0: the engine picks free ones.
    env: { ...process.env, HMACD_GRPC_PORT: '0', HMACD_HTTP_PORT: '0', HMACD_ADMIN_PORT: '0' },
    maxBuffer: 16 * 1024 * 1024,
  });
  return stdout.trim();
}

/** Brings the deployment up and waits until it is healthy; what the services said is part of the error if it is not. */
async function up(...args: string[]): Promise<void> {
  try {
    await compose('up', '--detach', '--wait', '--wait-timeout', '120', ...args);
  } catch (cause) {
    throw new Error(`docker compose up failed; the services said:\n${await compose('logs', '--no-color')}`, { cause });
  }
}

async function inspect<T>(container: string, member: string): Promise<T> {
  const { stdout } = await run('docker', ['inspect', '--format', `{{json ${member}}}`, container]);
  return JSON.parse(stdout);
}

/** Where a port of hmacd's container is published, such as `127.0.0.1:49153`. */
const published = (port: number): Promise<string> => compose('port', 'hmacd', String(port));

async function call<Response>(rpc: string, request: object): Promise<Response> {
  const response = await fetch(`http://${await published(8080)}/hmacd.v1.${rpc}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
  });
  const body = await response.text();
  expect({ status: response.status, body }).toMatchObject({ status: 200 });
  return JSON.parse(body);
}

async function macOf(keyId: string): Promise<string> {
  const { mac } = await call<{ mac: string }>('MacService/GenerateMac', {
    keyId,
    message: Buffer.from('the same message').toString('base64'),
    macAlgorithm: 'MAC_ALGORITHM_HMAC_SHA_256',
  });
  expect(Buffer.from(mac, 'base64')).toHaveLength(32);
  return mac;
}

/** What an expression is in a Node inside hmacd's container. */
const inContainer = (expression: string): Promise<string> =>
  compose('exec', '-T', 'hmacd', 'node', '--eval', `console.log(${expression})`);

function engineAnswers(): boolean {
  try {
    execFileSync('docker', ['info'], { stdio: 'ignore' });
    execFileSync('docker', ['compose', 'version'], { stdio: 'ignore' });
    return true;
  } catch {
    console.warn('COMPOSE TESTS LEFT OUT: no container engine with `docker compose` answers on this machine');
    return false;
  }
}

describe.skipIf(!engineAnswers())('compose.yaml', () => {
  beforeAll(() => up('--build'), 5 * minutes);
  afterAll(() => compose('down', '--volumes', '--rmi', 'local'), 2 * minutes);

  it(
    'keeps its keys when it is taken down and brought up again',
    async () => {
      const { keyMetadata } = await call<{ keyMetadata: { keyId: string } }>('KeyService/CreateKey', {
        keySpec: 'KEY_SPEC_HMAC_256',
        keyUsage: 'KEY_USAGE_GENERATE_VERIFY_MAC',
      });
      const macs = async () => ({ demo: await macOf('alias/demo'), created: await macOf(keyMetadata.keyId) });
      const before = await macs();
      expect(before.demo).not.toEqual(before.created);

      const container = await compose('ps', '--quiet', 'hmacd');
      await compose('stop', 'hmacd');
      expect(await inspect(container, '.State.ExitCode')).toBe(0);
      await compose('down');
      await up();

      expect(await macs()).toEqual(before);
    },
    3 * minutes,
  );

  it('publishes nothing but on the loopback address, and nothing of Redis', async () => {
    const containers = (await compose('ps', '--quiet')).split('\n');
    expect(containers).toHaveLength(2);
    const bound: string[] = [];
    for (const container of containers) {
      const ports = await inspect<Record<string, { HostIp: string }[] | null>>(container, '.NetworkSettings.Ports');
      for (const [port, bindings] of Object.entries(ports)) {
        bound.push(...(bindings ?? []).map(({ HostIp }) => `${HostIp} ${port}`));
      }
    }
    expect(bound.toSorted()).toEqual(['127.0.0.1 50051/tcp', '127.0.0.1 8080/tcp', '127.0.0.1 9090/tcp']);
  });

  it('says on its admin port that it is ready', async () => {
    expect((await fetch(`http://${await published(9090)}/readyz`)).status).toBe(200);
  });

  it('runs as an ordinary user on files that it cannot change', async () => {
    expect(await inContainer('process.getuid()')).toBe('1000');
    for (const path of ['/hmacd/src/main.ts', '/run/hmacd/root.key', '/var/lib/hmacd/data/new', '/tmp/new']) {
      const attempt = `fs.appendFileSync('${path}', '')`;
      expect(await inContainer(`(() => { try { ${attempt} } catch (error) { return error.code } })()`)).toMatch(
        /^(EROFS|EACCES)$/,
      );
    }
  });
});
