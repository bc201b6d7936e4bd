import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { Redis } from 'ioredis';
import { inject } from 'vitest';

/** The names and values of everything in a database, one after the other, whatever their types. */
export async function readDatabase(redis: Redis): Promise<Buffer> {
  const parts: unknown[] = [];
  for (const key of await redis.keys('*')) {
    const type = await redis.type(key);
    const read = READERS[type];
    if (read === undefined) throw new Error(`${key} is of the type ${type}, which is not looked into`);
    parts.push(key, await read(redis, key));
  }
  return Buffer.concat(flatten(parts));
}

const READERS: Readonly<Record<string, (redis: Redis, key: string) => Promise<unknown>>> = {
  string: (redis, key) => redis.callBuffer('GET', key),
  hash: (redis, key) => redis.callBuffer('HGETALL', key),
  zset: (redis, key) => redis.callBuffer('ZRANGE', key, '0', '-1', 'WITHSCORES'),
  stream: (redis, key) => redis.callBuffer('XRANGE', key, '-', '+'),
  set: (redis, key) => redis.callBuffer('SMEMBERS', key),
  list: (redis, key) => redis.callBuffer('LRANGE', key, '0', '-1'),
};

function flatten(value: unknown): Buffer[] {
  if (Buffer.isBuffer(value)) return [value, Buffer.from('\n')];
  if (Array.isArray(value)) return value.flatMap(flatten);
  if (value instanceof Map) return [...value].flatMap(flatten);
  if (typeof value === 'object' && value !== null) return Object.entries(value).flatMap(flatten);
  return [Buffer.from(`${String(value)}\n`)];
}

/** The files in which a server of these tests keeps what it must not lose, one after the other. */
export async function readAppendOnlyFiles(redis: Redis, port: number): Promise<Buffer> {
  const { dir = '' } = await settingOf(redis, 'dir');
  const { appenddirname = '' } = await settingOf(redis, 'appenddirname');
  const folder = join(dir, appenddirname);
  if (inject('redis')?.source.kind === 'container') return await readFolderOfContainer(port, folder);
  return Buffer.concat(readdirSync(folder).map((name) => readFileSync(join(folder, name))));
}

async function settingOf(redis: Redis, name: string): Promise<Record<string, string>> {
  const answer = (await redis.call('CONFIG', 'GET', name)) as string[] | Record<string, string>;
  return Array.isArray(answer) ? { [answer[0]!]: answer[1]! } : answer;
}

/** A folder of the container that has this port, as a tar archive, in which files stand as they are. */
async function readFolderOfContainer(port: number, folder: string): Promise<Buffer> {
  const { getContainerRuntimeClient } = await import('testcontainers');
  const { container } = await getContainerRuntimeClient();
  const found = (await container.list()).find(({ Ports }) => Ports.some(({ PublicPort }) => PublicPort === port));
  if (found === undefined) throw new Error(`no container has the port ${port}`);
  return await buffer(await container.getById(found.Id).getArchive({ path: folder }));
}
