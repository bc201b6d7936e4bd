import { readFileSync } from 'node:fs';
import { codeOf } from '../system-error.ts';
import type { RecordStore } from './record-store.ts';
import type { RedisLog } from './durable-redis.ts';
import { describeTarget, type RedisTarget } from './redis-target.ts';
import { openSqliteRecordStore } from './sqlite-record-store.ts';

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

/** Opens a store; throws an Error with one sentence for the operator. */
export async function openRecordStore(store: StoreTarget, access: StoreAccess, log: RedisLog): Promise<RecordStore> {
  if (store.kind === 'sqlite') return openSqliteRecordStore(store.path);
  // Loaded when it is wanted: a service on SQLite has no use for a client of Redis, and pays for it at each garbage collection.
  const { openRedisRecordStore } = await import('./redis-record-store.ts');
  return await openRedisRecordStore({
    url: store.target,
    accountId: access.accountId,
    password: readOptional(access.redisPasswordFile, 'Redis password')?.trimEnd(),
    ca: readOptional(access.redisCaFile, 'Redis CA'),
    allowVolatile: access.redisAllowVolatile,
    log,
  });
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
