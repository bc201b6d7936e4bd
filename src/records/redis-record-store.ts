import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import {
  ConflictError,
  StoreUnavailableError,
  type Changes,
  type Commit,
  type RecordStore,
  type StoredRecord,
} from './record-store.ts';
import { DurableRedis, type RedisLog } from './durable-redis.ts';
import { isRedisReply, redactRedisError } from './redis-connection.ts';
import { describeTarget, type RedisTarget } from './redis-target.ts';
import { isRestorationMark, UNFINISHED_RESTORATION } from './restoration.ts';

const COMMIT_SCRIPT = readFileSync(new URL('commit.lua', import.meta.url), 'utf8');
const COMMIT_SCRIPT_SHA = createHash('sha1').update(COMMIT_SCRIPT).digest('hex');

/** How long a commit whose reply was lost is sent again before its outcome is given up as unknown. */
const COMMIT_DEADLINE_MS = 5_000;
const VERSION_LENGTH = 36;
/** The cursor of a log without entries. */
const LOG_START = '0-0';

export interface RedisRecordStoreOptions {
  readonly url: RedisTarget;
  /** Stores of several accounts can share a server. */
  readonly accountId: string;
  readonly password?: string | undefined;
  /** PEM of the authorities that sign the server's certificate; those of the system when absent. */
  readonly ca?: string | undefined;
  /** Accepts a server that can lose or evict what it acknowledged. */
  readonly allowVolatile: boolean;
  readonly log: RedisLog;
  /** How long the server may take to answer a command. */
  readonly commandTimeoutMs?: number;
  /** How many of the newest commits `changes` can tell of. */
  readonly logLength?: number | undefined;
  /** Opens no store but one that is there, and makes none. */
  readonly existing?: boolean;
}

/**
 * Opens the store of an account, or makes it.
 *
 * @throws Error with one sentence for the operator; nothing is left open then.
 */
export async function openRedisRecordStore(options: RedisRecordStoreOptions): Promise<RecordStore> {
  const prefix = redisPrefix(options.accountId);
  const { durable, target } = await openDurableRedis(options);
  try {
    if (options.existing !== true) await durable.connection.set(`${prefix}store`, randomUUID(), 'NX');
    const storeId = await durable.connection.get(`${prefix}store`);
    if (storeId === null) throw new Error(options.existing === true ? 'it is empty' : 'what was written is gone');
    if (isRestorationMark(storeId)) throw new Error(UNFINISHED_RESTORATION);
    return new RedisRecordStore(durable, options.log, prefix, storeId, options.logLength);
  } catch (error) {
    durable.close();
    const reason = redactRedisError(error);
    throw new Error(`the Redis store at ${target} cannot be opened: ${reason}`, { cause: error });
  }
}

/** What the keys of an account's store begin with. The braces put all of them into one slot of a cluster. */
export function redisPrefix(accountId: string): string {
  return `hmacd:{${accountId}}:`;
}

/** The way to a store, and its server as an operator knows it; throws an Error with one sentence for the operator. */
export async function openDurableRedis(
  options: RedisRecordStoreOptions,
): Promise<{ durable: DurableRedis; target: string }> {
  const { url: target, password, ca, allowVolatile, log, commandTimeoutMs = 2_000 } = options;
  const key = `${redisPrefix(options.accountId)}store`;
  const durable = await DurableRedis.open({ target, password, ca, commandTimeoutMs, key, allowVolatile, log });
  return { durable, target: describeTarget(target) };
}

/** The store with an ID; as long as it has this ID, it answers. */
export class RedisRecordStore implements RecordStore {
  readonly storeId: string;
  readonly exclusive = false;
  readonly #durable: DurableRedis;
  readonly #log: RedisLog;
  readonly #prefix: string;
  readonly #logLength: number;
  /** Once seen to be flushed or replaced, it is never trusted again. */
  #replaced = false;

  constructor(durable: DurableRedis, log: RedisLog, prefix: string, storeId: string, logLength = 10_000) {
    this.storeId = storeId;
    this.#durable = durable;
    this.#log = log;
    this.#prefix = prefix;
    this.#logLength = logLength;
  }

  async getMany(paths: readonly string[]): Promise<(StoredRecord | undefined)[]> {
    if (paths.length === 0) return [];
    const values = await this.#read((redis) => redis.hmgetBuffer(this.#key('records'), ...paths));
    return values.map((value, n) => decodeRecord(paths[n] ?? '', value));
  }

  async list(prefix: string, after: string, limit: number): Promise<StoredRecord[]> {
    const found: StoredRecord[] = [];
    for (let start = after; ;) {
      const wanted = limit - found.length;
      const paths = await this.pathsOf(prefix, start, wanted);
      // A record that is removed between the two questions is left out, and its place filled in the next turn.
      for (const record of await this.getMany(paths)) if (record !== undefined) found.push(record);
      if (paths.length < wanted || found.length === limit) return found;
      start = paths.at(-1) ?? start;
    }
  }

  async pathsOf(prefix: string, after: string, limit: number): Promise<string[]> {
    const start = after < prefix ? `[${prefix}` : `(${after}`;
    return await this.#read((redis) =>
      redis.zrange(this.#key('paths'), start, endOf(prefix), 'BYLEX', 'LIMIT', 0, limit),
    );
  }

  async count(prefix: string): Promise<number> {
    return await this.#read((redis) => redis.zlexcount(this.#key('paths'), `[${prefix}`, endOf(prefix)));
  }

  async changes(since: string | undefined): Promise<Changes> {
    if (since === undefined) {
      const [newest] = await this.#read((redis) => redis.xrevrange(this.#key('log'), '+', '-', 'COUNT', 1));
      return { cursor: newest?.[0] ?? LOG_START, paths: [] };
    }
    const [first, ...later] = await this.#read((redis) => redis.xrange(this.#key('log'), since, '+'));
    if (first === undefined && since === LOG_START) return { cursor: LOG_START, paths: [] };
    // An entry is gone when it was trimmed, or when a failover lost it; later ones may be gone with it.
    if (first?.[0] !== since) return { cursor: (await this.changes(undefined)).cursor, paths: undefined };
    const changed = later.flatMap(([, [, paths = '']]) => paths.split('\n'));
    return { cursor: later.at(-1)?.[0] ?? since, paths: [...new Set(changed)] };
  }

  /**
   * Sends the commit, and sends it again, under the same ID, over the next connection when no answer came. When it gives
   * up, a copy may still be on its way and be applied later.
   */
  async commit(commit: Commit): Promise<void> {
    this.#demandNotReplaced();
    const id = randomUUID();
    const deadline = performance.now() + COMMIT_DEADLINE_MS;
    let redis = this.#durable.connection;
    for (let unanswered = false; ;) {
      let failure: StoreUnavailableError;
      try {
        const unmet = await answerBefore(deadline, this.#sendCommit(redis, id, commit, unanswered));
        if (unmet === 0) return;
        throw new ConflictError(commit.expect[unmet - 1]?.path ?? '');
      } catch (error) {
        if (error instanceof ConflictError) throw error;
        failure = this.#judge(redis, error);
        unanswered ||= !isRedisReply(error);
        const answered = isRedisReply(error) && !isAboutPlace(error);
        if (answered || performance.now() >= deadline) throw unanswered ? unknownOutcome(failure) : failure;
      }
      try {
        redis = await this.#durable.reconnected(redis, deadline - performance.now());
      } catch {
        throw unanswered ? unknownOutcome(failure) : failure;
      }
    }
  }

  /** Answers 0 when the commit is applied, else the number of the first expectation that does not hold, from 1. */
  async #sendCommit(redis: Redis, id: string, { expect, put, remove }: Commit, sentBefore: boolean): Promise<number> {
    const keys = ['store', 'records', 'paths', 'log', `commit:${id}`].map((name) => this.#key(name));
    const args = [
      this.storeId,
      sentBefore ? 1 : 0,
      this.#logLength,
      expect.length,
      put.length,
      remove.length,
      ...expect.flatMap(({ path, version }) => [path, version ?? '']),
      ...put.flatMap((record) => [record.path, encodeRecord(record)]),
      ...remove,
    ];
    try {
      return Number(await redis.evalsha(COMMIT_SCRIPT_SHA, keys.length, ...keys, ...args));
    } catch (error) {
      if (!(isRedisReply(error) && error.message.startsWith('NOSCRIPT'))) throw error;
      return Number(await redis.eval(COMMIT_SCRIPT, keys.length, ...keys, ...args));
    }
  }

  async close(): Promise<void> {
    this.#durable.close();
  }

  /**
   * Asks, and asks for the store's ID right behind it: where the store is still there, it was there for the first
   * question.
   */
  async #read<T>(ask: (redis: Redis) => Promise<T>): Promise<T> {
    this.#demandNotReplaced();
    const redis = this.#durable.connection;
    let answer: T;
    let storeId: string | null;
    try {
      [answer, storeId] = await Promise.all([ask(redis), redis.get(this.#key('store'))]);
    } catch (error) {
      throw this.#judge(redis, error);
    }
    if (storeId !== this.storeId) throw this.#recordReplacement();
    return answer;
  }

  /** What a failure on a connection means; a connection that is of no more use is given up. */
  #judge(redis: Redis, error: unknown): StoreUnavailableError {
    if (!isRedisReply(error) || isAboutPlace(error)) this.#durable.retire(redis);
    else if (error.message.startsWith('STOREREPLACED')) return this.#recordReplacement();
    return new StoreUnavailableError(`the Redis store failed: ${redactRedisError(error)}`, { cause: error });
  }

  #recordReplacement(): StoreUnavailableError {
    if (!this.#replaced) this.#log.error({ storeId: this.storeId }, REPLACED);
    this.#replaced = true;
    return new StoreUnavailableError(REPLACED);
  }

  #demandNotReplaced(): void {
    if (this.#replaced) throw new StoreUnavailableError(REPLACED);
  }

  #key(name: string): string {
    return this.#prefix + name;
  }
}

const REPLACED = 'the Redis store was flushed or replaced: it is not the one that was opened';

function unknownOutcome(failure: StoreUnavailableError): StoreUnavailableError {
  return new StoreUnavailableError(`it is not known whether the commit was applied: ${failure.message}`, {
    cause: failure,
  });
}

/** Rejects at the deadline (of `performance.now()`), whatever becomes of the answer. */
async function answerBefore<T>(deadline: number, answer: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error('it did not answer in time')), deadline - performance.now());
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Whether the server answers that another one has the key, or may take writes. */
function isAboutPlace(error: Error): boolean {
  return /^(MOVED|ASK|READONLY|MASTERDOWN|CLUSTERDOWN) /.test(error.message);
}

/** Where a range ends that holds every path with a prefix: paths are ASCII, and so below the prefix with DEL behind it. */
function endOf(prefix: string): string {
  return `(${prefix}\x7f`;
}

function encodeRecord({ version, value }: StoredRecord): Buffer {
  return Buffer.concat([Buffer.from(version, 'latin1'), value]);
}

function decodeRecord(path: string, stored: Buffer | null): StoredRecord | undefined {
  if (stored === null) return undefined;
  return { path, version: stored.toString('latin1', 0, VERSION_LENGTH), value: stored.subarray(VERSION_LENGTH) };
}
