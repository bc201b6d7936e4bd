import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { StoreUnavailableError } from './record-store.ts';
import { connectToPrimary, isRedisReply, redactRedisError, type RedisAccess } from './redis-connection.ts';
import { describeTarget } from './redis-target.ts';

/** A logger such as pino's. */
export interface RedisLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface DurableRedisOptions extends RedisAccess {
  /** A key of the store, which a cluster is asked for. */
  readonly key: string;
  /** Accepts a server that can lose or evict what it acknowledged, with a warning. */
  readonly allowVolatile: boolean;
  readonly log: RedisLog;
}

const OPEN_TIMEOUT_MS = 5_000;
const MAX_RETRY_DELAY_MS = 1_000;

/** The settings without which a server can lose, or evict, a key that it acknowledged. */
const DURABLE_SETTINGS = {
  'maxmemory-policy': 'noeviction',
  appendonly: 'yes',
  appendfsync: 'always',
  'no-appendfsync-on-rewrite': 'no',
} as const;

/** What the server can lose keys by, a phrase each; none when it is durable. */
async function findVolatileSettings(redis: Redis): Promise<string[]> {
  const checks = Object.entries(DURABLE_SETTINGS).map(async ([name, wanted]) => {
    try {
      const [, value = 'unknown'] = await redis.config('GET', name);
      return value === wanted ? [] : [`${name} is ${value} (set it to ${wanted})`];
    } catch (error) {
      if (!isRedisReply(error)) throw error;
      return [`${name} is not told (set it to ${wanted}, and let the user run CONFIG GET): ${error.message}`];
    }
  });
  return (await Promise.all(checks)).flat();
}

/** The server's role in replication: `master` for one that takes writes. */
async function readRole(redis: Redis): Promise<string> {
  try {
    return /^role:(\w+)/m.exec(await redis.info('replication'))?.[1] ?? 'unknown';
  } catch (error) {
    if (!isRedisReply(error)) throw error;
    return `not told (let the user run INFO): ${error.message}`;
  }
}

/**
 * Connects, and disconnects again unless the server may have keys entrusted to it.
 *
 * @throws Error with one sentence; nothing is left open then.
 */
async function connectDurably(options: DurableRedisOptions, signal: AbortSignal): Promise<Redis> {
  const server = `the Redis store at ${describeTarget(options.target)}`;
  let redis: Redis | undefined;
  let role: string;
  let faults: string[];
  try {
    redis = await connectToPrimary(options, options.key, signal);
    [role, faults] = await Promise.all([readRole(redis), findVolatileSettings(redis)]);
  } catch (error) {
    redis?.disconnect();
    throw new Error(`${server} cannot be reached: ${redactRedisError(error)}`, { cause: error });
  }
  if (role !== 'master') {
    redis.disconnect();
    throw new Error(`${server} is no primary: its role is ${role}`);
  }
  if (faults.length > 0 && !options.allowVolatile) {
    redis.disconnect();
    throw new Error(
      `${server} can lose acknowledged keys: ${faults.join('; ')}; HMACD_REDIS_ALLOW_VOLATILE=true accepts that`,
    );
  }
  if (faults.length > 0) options.log.warn({ faults }, `${server} can lose acknowledged keys, and is used all the same`);
  return redis;
}

/**
 * A way to a Redis server that reconnects for ever, and lets no command through on a connection before the server at its
 * other end was found to be durable.
 */
export class DurableRedis {
  readonly #options: DurableRedisOptions;
  readonly #closing = new AbortController();
  #redis: Redis | undefined;
  /** Why there is no connection; a sentence. */
  #outage = '';
  /** Ends when there is a connection again, or the last. */
  #reconnected: PromiseWithResolvers<void> = Promise.withResolvers();

  /** @throws Error with one sentence for the operator; nothing is left open then. */
  static async open(options: DurableRedisOptions): Promise<DurableRedis> {
    return new DurableRedis(options, await connectDurably(options, AbortSignal.timeout(OPEN_TIMEOUT_MS)));
  }

  private constructor(options: DurableRedisOptions, redis: Redis) {
    this.#options = options;
    this.#redis = redis;
    void this.#keepConnected(redis);
  }

  /** The connection; throws StoreUnavailableError while there is none. */
  get connection(): Redis {
    if (this.#redis === undefined) throw new StoreUnavailableError(this.#outage);
    return this.#redis;
  }

  /** Gives up a connection that no longer leads to the primary, or whose other end is silent. */
  retire(redis: Redis): void {
    if (this.#redis !== redis) return;
    this.#lose();
    redis.disconnect();
  }

  /** A connection other than `spent`; throws StoreUnavailableError when there is none within so many milliseconds. */
  async reconnected(spent: Redis, withinMs: number): Promise<Redis> {
    this.retire(spent);
    if (this.#redis === undefined) {
      const timer = new AbortController();
      const timeout = delay(withinMs, undefined, { signal: timer.signal }).catch(() => {});
      await Promise.race([this.#reconnected.promise, timeout]);
      timer.abort();
    }
    return this.connection;
  }

  close(): void {
    this.#closing.abort();
    if (this.#redis !== undefined) this.retire(this.#redis);
    this.#outage = 'the Redis store is closed';
    this.#reconnected.resolve();
  }

  async #keepConnected(first: Redis): Promise<void> {
    const { log, target } = this.#options;
    let redis: Redis | undefined = first;
    while (redis !== undefined) {
      await endOf(redis);
      if (this.#closing.signal.aborted) return;
      this.#lose();
      log.warn({ store: describeTarget(target) }, this.#outage);
      redis = await this.#reconnect();
    }
  }

  #lose(): void {
    if (this.#redis === undefined) return;
    this.#redis = undefined;
    this.#outage = 'the connection to the Redis store was lost';
    this.#reconnected = Promise.withResolvers();
  }

  async #reconnect(): Promise<Redis | undefined> {
    const { log, target } = this.#options;
    const { signal } = this.#closing;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        const redis = await connectDurably(this.#options, signal);
        if (signal.aborted) {
          redis.disconnect();
          break;
        }
        this.#redis = redis;
        this.#reconnected.resolve();
        log.info({ store: describeTarget(target) }, 'connected to the Redis store again');
        return redis;
      } catch (error) {
        if (!signal.aborted) this.#tellOutage(error instanceof Error ? error.message : String(error));
      }
      await delay(Math.min(50 * 2 ** attempt, MAX_RETRY_DELAY_MS), undefined, { signal }).catch(() => {});
    }
    return undefined;
  }

  /** Says the same only once. */
  #tellOutage(outage: string): void {
    if (outage === this.#outage) return;
    this.#outage = outage;
    this.#options.log.error({}, outage);
  }
}

/** Not by `once` of node:events, which rejects when an error comes before the end. */
async function endOf(redis: Redis): Promise<void> {
  if (redis.status !== 'end') await new Promise<void>((resolve) => redis.once('end', resolve));
}
