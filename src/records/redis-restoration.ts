import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { StoreUnavailableError } from './record-store.ts';
import { isRedisReply, redactRedisError } from './redis-connection.ts';
import { openDurableRedis, redisPrefix, RedisRecordStore, type RedisRecordStoreOptions } from './redis-record-store.ts';
import { newRestorationMark, NOT_EMPTY, type Restoration, RESTORATION_MARK } from './restoration.ts';

const BEGIN_SCRIPT = readFileSync(new URL('begin-restoration.lua', import.meta.url), 'utf8');

/** Answers whether the store has its ID: it is given it where the mark is still there. */
const COMPLETE_SCRIPT = `
  local id = redis.call('GET', KEYS[1])
  if id == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) end
  return (id == ARGV[1] or id == ARGV[2]) and 1 or 0
`;

/** How long the end of a restoration is tried again over the next connection, in milliseconds. */
const COMPLETION_PATIENCE = 5_000;

/**
 * Begins to restore the store of an account.
 *
 * @param storeId what it is to have when it is complete
 * @throws Error with one sentence for the operator, also when the store is not empty; nothing is changed or left open then
 */
export async function beginRedisRestoration(options: RedisRecordStoreOptions, storeId: string): Promise<Restoration> {
  const prefix = redisPrefix(options.accountId);
  const { durable, target } = await openDurableRedis(options);
  const mark = newRestorationMark();
  try {
    const keys = ['store', 'records', 'paths', 'log'].map((name) => prefix + name);
    const begun = await durable.connection.eval(BEGIN_SCRIPT, keys.length, ...keys, RESTORATION_MARK, mark);
    if (Number(begun) !== 1) throw new Error(NOT_EMPTY);
  } catch (error) {
    durable.close();
    const reason = redactRedisError(error);
    throw new Error(`the Redis store at ${target} cannot be restored: ${reason}`, { cause: error });
  }

  const complete = async (): Promise<void> => {
    const deadline = performance.now() + COMPLETION_PATIENCE;
    for (;;) {
      try {
        const done = await durable.connection.eval(COMPLETE_SCRIPT, 1, `${prefix}store`, mark, storeId);
        if (Number(done) === 1) return;
        break;
      } catch (error) {
        if (isRedisReply(error) || performance.now() >= deadline) {
          throw new StoreUnavailableError(`the Redis store failed: ${redactRedisError(error)}`, { cause: error });
        }
      }
      await delay(100);
    }
    throw new StoreUnavailableError('another restore has taken the Redis store over, or it was flushed');
  };
  return { store: new RedisRecordStore(durable, options.log, prefix, mark, options.logLength), complete };
}
