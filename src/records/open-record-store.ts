import { existsSync, readFileSync } from 'node:fs';
import { codeOf } from '../system-error.ts';
import type { RecordStore } from './record-store.ts';
import type { RedisLog } from './durable-redis.ts';
import type { RedisRecordStoreOptions } from './redis-record-store.ts';
import { describeTarget, type RedisTarget } from './redis-target.ts';
import type { Restoration } from './restoration.ts';
import { openSqliteRecordStore } from './sqlite-record-store.ts';
import { beginSqliteRestoration } from './sqlite-restoration.ts';

/** Which store to open. */
export type StoreTarget =
  | { readonly kind: 'sqlite'; readonly path: string }
  | { readonly kind: 'redis'; readonly target: RedisTarget };

/** What opening a store takes besides. */
export interface StoreAccess {
  readonly accountId: string;
  readonly redisPasswordFile: string | undefined;
  readonly redisCaFile: string | undefined;
  readonly redisAllowVolatile: boolean;
}

/** Opens a store, or makes it; throws an Error with one sentence for the operator. */
export async function openRecordStore(store: StoreTarget, access: StoreAccess, log: RedisLog): Promise<RecordStore> {
  if (store.kind === 'sqlite') return openSqliteRecordStore(store.path);
  // Loaded when it is wanted: a service on SQLite has no use for a client of Redis, and pays for it at each garbage collection.
  const { openRedisRecordStore } = await import('./redis-record-store.ts');
  return await openRedisRecordStore(redisOptions(store.target, access, log));
}

/** Opens a store that is there, and makes none; throws an Error with one sentence for the operator. */
export async function openExistingRecordStore(
  store: StoreTarget,
  access: StoreAccess,
  log: RedisLog,
): Promise<RecordStore> {
  if (store.kind === 'sqlite') {
    if (!existsSync(store.path)) throw new Error(`the ${describeStore(store)} does not exist`);
    return openSqliteRecordStore(store.path);
  }
  const { openRedisRecordStore } = await import('./redis-record-store.ts');
  return await openRedisRecordStore({ ...redisOptions(store.target, access, log), existing: true });
}

/**
 * Begins to restore a store that is empty.
 *
 * @param storeId what it is to have when it is complete
 * @throws Error with one sentence for the operator, also when the store is not empty; nothing is changed then
 */
export async function beginRestoration(
  store: StoreTarget,
  storeId: string,
  access: StoreAccess,
  log: RedisLog,
): Promise<Restoration> {
  if (store.kind === 'sqlite') {
    if (store.path === ':memory:') throw new Error('a store in memory would be gone at once; restore into another one');
    return beginSqliteRestoration(store.path, storeId);
  }
  const { beginRedisRestoration } = await import('./redis-restoration.ts');
  return await beginRedisRestoration(redisOptions(store.target, access, log), storeId);
}

function redisOptions(target: RedisTarget, access: StoreAccess, log: RedisLog): RedisRecordStoreOptions {
  return {
    url: target,
    accountId: access.accountId,
    password: readOptional(access.redisPasswordFile, 'Redis password')?.trimEnd(),
    ca: readOptional(access.redisCaFile, 'Redis CA'),
    allowVolatile: access.redisAllowVolatile,
    log,
  };
}

/** A store as an operator knows it. */
export function describeStore(store: StoreTarget): string {
  return store.kind === 'sqlite' ? `SQLite store ${store.path}` : `Redis store at ${describeTarget(store.target)}`;
}

function readOptional(path: string | undefined, what: string): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new Error(`the ${what} file ${path} cannot be read: ${codeOf(error)}`, { cause: error });
  }
}
