import { spawn, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { inject } from 'vitest';
import type { RedisRecordStoreOptions } from '../../src/records/redis-record-store.ts';
import { parseRedisTarget } from '../../src/records/redis-target.ts';

/** How this machine can start a Redis server. */
export type RedisSource =
  | { readonly kind: 'container'; readonly image: string }
  | { readonly kind: 'program'; readonly program: string; readonly libraryPath: string | undefined };

/** A Redis server of one's own, on loopback. */
export interface RedisServer {
  readonly host: string;
  readonly port: number;
  /** Ends it as a power cut would, and answers when it is gone. */
  kill(): Promise<void>;
  /** Starts it again after `kill`, at the same port and on the same files. */
  start(): Promise<void>;
  /** Ends it and removes its files. */
  stop(): Promise<void>;
}

declare module 'vitest' {
  interface ProvidedContext {
    /** `undefined` where the tests against Redis are left out. */
    redis:
      | { readonly source: RedisSource; readonly shared: { readonly host: string; readonly port: number } }
      | undefined;
  }
}

/** What keeps every acknowledged key; an argument given later wins. */
const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory-policy', 'noeviction'];

/** Starts a server by the way that the global setup found. */
export async function startRedisServer(...args: string[]): Promise<RedisServer> {
  const redis = inject('redis');
  if (redis === undefined) throw new Error('the tests against Redis are left out');
  return startRedisFrom(redis.source, ...args);
}

export async function startRedisFrom(source: RedisSource, ...args: string[]): Promise<RedisServer> {
  const port = await findFreePort();
  const settings = [...DURABLE, ...args];
  return source.kind === 'container'
    ? startContainer(source.image, port, settings)
    : startProgram(source.program, source.libraryPath, port, settings);
}

async function startContainer(image: string, port: number, settings: string[]): Promise<RedisServer> {
  // The reaper would need a second image; the teardown of a test stops its containers itself.
  process.env['TESTCONTAINERS_RYUK_DISABLED'] = 'true';
  const { GenericContainer, getContainerRuntimeClient, Wait } = await import('testcontainers');
  class LoopbackContainer extends GenericContainer {
    protected override async beforeContainerCreated(): Promise<void> {
      this.hostConfig.PortBindings = { '6379/tcp': [{ HostIp: '127.0.0.1', HostPort: String(port) }] };
    }
  }
  const started = await new LoopbackContainer(image)
    .withExposedPorts({ container: 6379, host: port })
    .withCommand(['redis-server', ...settings])
    // It is ready for what is inside a moment before its port is published.
    .withWaitStrategy(Wait.forAll([Wait.forLogMessage('Ready to accept connections'), Wait.forListeningPorts()]))
    .start();
  const container = (await getContainerRuntimeClient()).container.getById(started.getId());
  return {
    host: '127.0.0.1',
    port,
    async kill() {
      await container.kill({ signal: 'SIGKILL' });
      await container.wait();
    },
    async start() {
      await container.start();
      await waitUntilReady(port);
    },
    async stop() {
      await container.remove({ force: true, v: true });
    },
  };
}

async function startProgram(
  program: string,
  libraryPath: string | undefined,
  port: number,
  settings: string[],
): Promise<RedisServer> {
  const directory = await mkdtemp(join(tmpdir(), 'hmacd-redis-'));
  const args = ['--bind', '127.0.0.1', '--port', String(port), '--dir', directory, ...settings];
  const env = libraryPath === undefined ? process.env : { ...process.env, LD_LIBRARY_PATH: libraryPath };
  let child: ChildProcess | undefined;
  async function start(): Promise<void> {
    child = spawn(program, args, { env, stdio: 'ignore' });
    await once(child, 'spawn');
    await waitUntilReady(port);
  }
  async function kill(): Promise<void> {
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  async function stop(): Promise<void> {
    await kill();
    await rm(directory, { recursive: true, force: true });
  }
  try {
    await start();
  } catch (error) {
    await stop();
    throw error;
  }
  return { host: '127.0.0.1', port, kill, start, stop };
}

export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function waitUntilReady(port: number): Promise<void> {
  const deadline = performance.now() + 20_000;
  for (let reply = ''; performance.now() < deadline; reply = await ping(port)) {
    // A server with a password is ready when it asks for it.
    if (/^(\+PONG|-NOAUTH)/.test(reply)) return;
    await delay(20);
  }
  throw new Error(`no Redis server is ready at port ${port}`);
}

/** The first bytes that a server answers to PING; none when there is no server. */
async function ping(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  try {
    socket.write('PING\r\n');
    const [reply] = (await once(socket, 'data', { signal: AbortSignal.timeout(1_000) })) as [Buffer];
    return reply.toString();
  } catch {
    return '';
  } finally {
    socket.destroy();
  }
}

/** What was logged: level and message in turn. */
export type LogLines = string[];

/** How to open the store of an account that no other test has. */
export function redisStoreOptions(
  server: { host: string; port: number },
  overrides: Partial<RedisRecordStoreOptions> = {},
): RedisRecordStoreOptions & { readonly lines: LogLines } {
  const lines: LogLines = [];
  const logAt = (level: string) => (_: object, message: string) => lines.push(`${level} ${message}`);
  return {
    url: parseRedisTarget(`redis://${server.host}:${server.port}`),
    accountId: String(randomInt(1e11, 1e12)),
    allowVolatile: false,
    log: { info: logAt('info'), warn: logAt('warn'), error: logAt('error') },
    lines,
    ...overrides,
  };
}
