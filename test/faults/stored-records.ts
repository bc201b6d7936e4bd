import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Redis } from 'ioredis';
import { inject, onTestFinished } from 'vitest';
import type { Deployment } from '../support/deployment.ts';

/** The records as whoever can write to the store sees them: each a version and a sealed value in one. */
export interface Vault {
  read(path: string): Promise<Buffer>;
  write(path: string, record: Buffer): Promise<void>;
  remove(path: string): Promise<void>;
}

export function redisVault({ accountId }: Deployment): Vault {
  const redis = new Redis(inject('redis')!.shared);
  onTestFinished(() => redis.disconnect());
  const [records, paths] = ['records', 'paths'].map((name) => `hmacd:{${accountId}}:${name}`) as [string, string];
  return {
    read: async (path) => (await redis.hgetBuffer(records, path))!,
    write: async (path, record) => void (await redis.hset(records, path, record)),
    async remove(path) {
      await redis.hdel(records, path);
      await redis.zrem(paths, path);
    },
  };
}

export function sqliteVault({ folder }: Deployment): Vault {
  const run = (sql: string, ...values: (string | Uint8Array)[]): Record<string, unknown> | undefined => {
    using database = new DatabaseSync(join(folder, 'hmacd.db'));
    return database.prepare(sql).get(...values);
  };
  return {
    async read(path) {
      const row = run('SELECT version, value FROM records WHERE path = ?', path)!;
      return Buffer.concat([Buffer.from(String(row['version'])), row['value'] as Uint8Array]);
    },
    async write(path, record) {
      const [version, value] = [record.toString('latin1', 0, 36), record.subarray(36)];
      run('INSERT OR REPLACE INTO records VALUES (?, ?, ?)', path, version, value);
    },
    async remove(path) {
      run('DELETE FROM records WHERE path = ?', path);
    },
  };
}

/** What somebody may do to one record, who can write and has seen another one. */
export const DAMAGES: Readonly<Record<string, (record: Buffer, other: Buffer) => Buffer>> = {
  'has a bit turned': (record) => turnBit(record, record.length - 20),
  'has its last bit turned': (record) => turnBit(record, record.length - 1),
  'has another version': (record) => Buffer.concat([Buffer.from('f'), record.subarray(1)]),
  'has another format': (record) => turnBit(record, 36),
  'names another root key': (record) => turnBit(record, 37),
  'is cut short': (record) => record.subarray(0, 60),
  'is empty': () => Buffer.alloc(0),
  "is in the place of another key's": (_, other) => other,
};

export function turnBit(record: Buffer, at: number): Buffer {
  const turned = Buffer.from(record);
  turned[at]! ^= 1;
  return turned;
}
