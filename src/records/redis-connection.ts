import { Redis, type RedisOptions } from 'ioredis';
import type { RedisHost, RedisTarget } from './redis-target.ts';

type ConnectionOptions = Omit<RedisOptions, 'replyMapping'>;

/** How to get into the server that {@link RedisTarget} names. */
export interface RedisAccess {
  readonly target: RedisTarget;
  readonly password: string | undefined;
  /** PEM; the system's certificates when absent. */
  readonly ca: string | undefined;
  readonly commandTimeoutMs: number;
}

/**
 * Connects to the server that has the primary copy of a key. The connection never reconnects by itself, queues nothing
 * and sends nothing twice; when it breaks, what is under way on it fails at once.
 *
 * @param key a key of the store. All of its keys are in one slot, so of a cluster it needs one node at a time: the one
 *   that, asked for the key, does not name another.
 */
export async function connectToPrimary(access: RedisAccess, key: string, signal: AbortSignal): Promise<Redis> {
  const { target } = access;
  if (target.kind === 'sentinel') return connect(access, sentinelOptions(access), signal);
  if (target.kind === 'standalone') return connect(access, { ...target.hosts[0] }, signal);
  let failure: unknown;
  for (const host of target.hosts) {
    try {
      return await connectToOwner(access, host, key, signal);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

async function connectToOwner(access: RedisAccess, first: RedisHost, key: string, signal: AbortSignal): Promise<Redis> {
  let node = first;
  for (let hops = 0; hops < 5; hops++) {
    const redis = await connect(access, { ...node }, signal);
    try {
      await redis.exists(key);
      return redis;
    } catch (error) {
      redis.disconnect();
      const [, host, port] = /^MOVED \d+ (.*):(\d+)$/.exec(error instanceof Error ? error.message : '') ?? [];
      if (host === undefined) throw error;
      // A node that does not know its own name leaves it out: it is at the host that was asked.
      node = { host: host === '' ? node.host : host, port: Number(port) };
    }
  }
  throw new Error('the nodes of the cluster name one another');
}

function sentinelOptions({ target, password, ca }: RedisAccess): ConnectionOptions {
  return {
    sentinels: target.hosts.map(({ host, port }) => ({ host, port })),
    name: target.masterName,
    sentinelRetryStrategy: () => null,
    // Sentinels are asked as their default user: one without a password takes any.
    ...(password !== undefined && { sentinelPassword: password }),
    ...(target.tls && { enableTLSForSentinelMode: true, sentinelTLS: tlsOptions(ca) }),
  };
}

async function connect(access: RedisAccess, where: ConnectionOptions, signal: AbortSignal): Promise<Redis> {
  const { target, password, ca, commandTimeoutMs } = access;
  signal.throwIfAborted();
  const settings: ConnectionOptions = {
    ...where,
    ...(target.username !== undefined && { username: target.username }),
    ...(password !== undefined && { password }),
    ...(target.tls && { tls: tlsOptions(ca) }),
    db: target.database,
    lazyConnect: true,
    retryStrategy: null,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: commandTimeoutMs,
    sentinelCommandTimeout: commandTimeoutMs,
    connectTimeout: 2_000,
    disconnectTimeout: 100,
    maxLoadingRetryTime: 500,
    connectionName: 'hmacd',
  };
  const redis = new Redis(settings);
  let cause: Error | undefined;
  // What connect() rejects with is only that the connection is closed; why, it tells here.
  redis.on('error', (error: Error) => (cause = error));
  const abandon = (): void => redis.disconnect();
  signal.addEventListener('abort', abandon, { once: true });
  try {
    await redis.connect();
    return redis;
  } catch (error) {
    redis.disconnect();
    throw cause ?? (signal.aborted ? new Error('it did not answer in time') : error);
  } finally {
    signal.removeEventListener('abort', abandon);
  }
}

function tlsOptions(ca: string | undefined): { ca?: string } {
  return ca === undefined ? {} : { ca };
}

/** Whether the server answered, with an error. */
export function isRedisReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}

/**
 * Takes the command off an error of ioredis, and with it the password or a record, so that it can go on as a cause.
 *
 * @returns what went wrong: the code that the system has for it, or what the server said.
 */
export function redactRedisError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ('command' in error) delete error.command;
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}
