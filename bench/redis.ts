import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { pinned } from './cores.ts';

/** A Redis server of one's own, as durable as hmacd demands it. */
export type RedisServer = {
  readonly url: string;
  /** Ends it, and waits for its end. */
  stop(): Promise<void>;
};

const readyTimeout = 20_000;

/**
 * Starts `redis-server`, which has to be installed.
 *
 * @param folder for its files
 */
export async function startRedis(folder: string): Promise<RedisServer> {
  const address = await freeAddress();
  const [host = '', port = ''] = address.split(':');
  const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory-policy', 'noeviction'];
  // Nothing that comes of the keys having just been made: snapshots, and rewriting its file, both on the core of the load.
  const calm = ['--save', '', '--auto-aof-rewrite-percentage', '0'];
  const where = ['--bind', host, '--port', port, '--dir', folder];
  // Beside the load: what it takes is not the server's, which is what is measured.
  const [command, args] = pinned('load', 'redis-server', [...where, ...durable, ...calm]);
  const child = spawn(command, args, { stdio: 'ignore' });
  const ended = once(child, 'exit').catch(() => {}); // There is no such command: then it is never ready.
  process.once('exit', () => child.kill('SIGKILL'));
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    if (child.pid !== undefined) await ended;
  };
  try {
    await ready(host, Number(port));
  } catch (cause) {
    await stop();
    throw new Error('redis-server does not serve (Debian and Ubuntu: apt-get install redis-server)', { cause });
  }
  return { url: `redis://${address}`, stop };
}

async function ready(host: string, port: number): Promise<void> {
  const end = performance.now() + readyTimeout;
  const redis = new Redis({ host, port, lazyConnect: true, retryStrategy: () => null });
  redis.on('error', () => {}); // It is tried again.
  try {
    for (;;) {
      try {
        await redis.connect();
        return;
      } catch (error) {
        if (performance.now() > end) throw error;
        await sleep(50);
      }
    }
  } finally {
    redis.disconnect();
  }
}

/** An address of the loopback at which nobody listens; for a moment nobody else is given it. */
export async function freeAddress(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('a TCP server has an address and a port');
  server.close();
  await once(server, 'close');
  return `${bound.address}:${bound.port}`;
}
