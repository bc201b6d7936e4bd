import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { GrantOperation } from '../../src/gen/hmacd/v1/grant_pb.ts';
import { MacAlgorithm } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { openRedisRecordStore } from '../../src/records/redis-record-store.ts';
import { makeRootKey, readRootKeys } from '../../src/records/root-keys.ts';
import { rootKeyIdOf } from '../../src/records/sealer.ts';
import { everyRecord } from '../../src/records/store-snapshot.ts';
import { makeKey } from '../keys/fixture.ts';
import { type Clients } from '../support/clients.ts';
import { type Deployment, redisDeployment, startReplica } from '../support/deployment.ts';
import { type HmacdProcess, runHmacd } from '../support/hmacd-process.ts';
import { connectTo, generateMacs, MESSAGE, verifyMacs } from '../support/mac-connections.ts';
import { type MacCall, MacLoad } from '../support/mac-load.ts';
import { redisStoreOptions } from '../support/redis-server.ts';

const macAlgorithm = MacAlgorithm.HMAC_SHA_256;

interface KnownKey {
  readonly keyId: string;
  readonly mac: Uint8Array;
}

/** A deployment with two root keys, `old` and `new`; its settings have the old one. */
function twoRootKeys(): Deployment & { readonly files: Readonly<Record<'old' | 'new', string>> } {
  const deployment = redisDeployment();
  const files = { old: deployment.settings['ROOT_KEY_FILE']!, new: join(deployment.folder, 'new.key') };
  makeRootKey(files.new);
  return { ...deployment, files };
}

const idOf = (path: string): string => readRootKeys([path])[0].id.toString('hex');

const envOf = ({ settings }: Deployment, rootKeyFile: string): Record<string, string> =>
  Object.fromEntries(
    Object.entries({ ...settings, ROOT_KEY_FILE: rootKeyFile }).map(([name, value]) => [`HMACD_${name}`, value]),
  );

const start = async ({ settings }: Deployment, rootKeyFile: string): Promise<HmacdProcess> =>
  await startReplica({ ...settings, ROOT_KEY_FILE: rootKeyFile });

async function stop(replica: HmacdProcess): Promise<void> {
  replica.kill('SIGTERM');
  expect(await replica.ended).toBe(0);
}

/** How many records there are under each root key. */
async function countByRootKey({ accountId }: Deployment): Promise<Record<string, number>> {
  const store = await openRedisRecordStore(redisStoreOptions(inject('redis')!.shared, { accountId }));
  const counts: Record<string, number> = {};
  for await (const { value } of everyRecord(store)) counts[rootKeyIdOf(value)] = (counts[rootKeyIdOf(value)] ?? 0) + 1;
  await store.close();
  return counts;
}

/** Does something for many, some at a time. */
async function forMany<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      results[index] = await work(items[index]!);
    }
  };
  await Promise.all(Array.from({ length: 48 }, worker));
  return results;
}

async function makeKeys(clients: Clients, count: number): Promise<KnownKey[]> {
  return await forMany(Array.from({ length: count }), async () => {
    const { keyId } = await makeKey(clients);
    return { keyId, mac: (await clients.mac.generateMac({ keyId, macAlgorithm, message: MESSAGE })).mac };
  });
}

async function verifyAll({ mac }: Clients, known: readonly KnownKey[]): Promise<void> {
  await forMany(known, (key) => mac.verifyMac({ ...key, macAlgorithm, message: MESSAGE }));
}

/** MACs of some keys, and changes of others, by every replica all the time. */
function useKeys(replicas: readonly HmacdProcess[], known: readonly KnownKey[], accountId: string): MacLoad {
  const calls = replicas.flatMap((replica, index): MacCall[] => {
    const { keys, grants } = replica.clients.gRPC;
    const connections = connectTo(`replica ${index}`, replica);
    const some = known.filter((_, n) => n % Math.ceil(known.length / 8) === index);
    const { keyId } = known.at(-1 - index)!;
    const granteePrincipal = `arn:aws:iam::${accountId}:role/r${index}`;
    return [
      ...generateMacs(connections, ...some.map((key) => key.keyId)),
      ...some.flatMap((key) => verifyMacs(connections, key.mac, key.keyId)),
      {
        name: `replica ${index} UpdateKeyDescription`,
        make: () => keys.updateKeyDescription({ keyId, description: String(Math.random()) }).then(() => ({ keyId })),
      },
      {
        name: `replica ${index} CreateGrant`,
        make: async () => {
          const { grantId } = await grants.createGrant({
            keyId,
            granteePrincipal,
            operations: [GrantOperation.GENERATE_MAC],
          });
          await grants.revokeGrant({ keyId, grantId });
          return { keyId };
        },
      },
      {
        name: `replica ${index} CreateKey`,
        make: async () => {
          await delay(100);
          return await makeKey(replica.clients.gRPC);
        },
      },
    ];
  });
  return new MacLoad(calls, 50);
}

/** Kills a reseal when it has done a part. */
async function killHalfWay(deployment: Deployment, rootKeyFile: string): Promise<void> {
  const client = new Redis(inject('redis')!.shared);
  onTestFinished(() => client.disconnect());
  const log = `hmacd:{${deployment.accountId}}:log`;
  const main = new URL('../../src/main.ts', import.meta.url).pathname;
  const env = { PATH: process.env['PATH'], ...envOf(deployment, rootKeyFile) };
  const reseal = spawn(process.execPath, [main, 'reseal'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const began = Promise.withResolvers<void>();
  reseal.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (text.includes('seals from now on')) began.resolve();
  });
  await began.promise;
  const commits = async (): Promise<number> => {
    const info = (await client.xinfo('STREAM', log)) as unknown[] | Record<string, number>;
    return Number(Array.isArray(info) ? info[info.indexOf('entries-added') + 1] : info['entries-added']);
  };
  const before = await commits();
  // It makes about 200.
  while ((await commits()) < before + 100) await delay(1);
  reseal.kill('SIGKILL');
  if (reseal.exitCode === null && reseal.signalCode === null) await once(reseal, 'exit');
  expect(reseal.signalCode).toBe('SIGKILL');
}

/** `HMACD_TEST_KEYS=10000` takes some minutes. */
const KEYS = Number(process.env['HMACD_TEST_KEYS'] ?? 3_000);

describe.skipIf(inject('redis') === undefined)('the root key of a fleet', { timeout: 240_000 }, () => {
  it.each([
    { killed: false, count: KEYS },
    { killed: true, count: KEYS },
  ])(
    'is changed over $count keys under load without a failed call (killed half-way: $killed)',
    async ({ killed, count }) => {
      const deployment = twoRootKeys();
      const { files, accountId } = deployment;
      const both = `${files.new},${files.old}`;
      // What each replica does when it is started anew, one after the other.
      const replicas = [await start(deployment, files.old), await start(deployment, files.old)];
      const known = await makeKeys(replicas[0]!.clients.gRPC, count);
      await stop(replicas[0]!);
      replicas[0] = await start(deployment, both);
      await verifyAll(replicas[0].clients.gRPC, known.slice(0, 20));
      // It can open what the other one seals, and the other one what it does.
      const [fromNew] = await makeKeys(replicas[0].clients.gRPC, 1);
      await verifyAll(replicas[1]!.clients.gRPC, [fromNew!]);
      await stop(replicas[1]!);
      replicas[1] = await start(deployment, both);

      await using load = useKeys(replicas, known, accountId);
      await load.until((answer) => answer.exception === undefined);
      if (killed) await killHalfWay(deployment, both);
      const counts = await countByRootKey(deployment);
      expect(counts[idOf(files.old)]).toBeGreaterThan(1_000);
      expect(counts[idOf(files.new)] ?? 0).toBeGreaterThan(killed ? 1_000 : -1);
      const { code, stdout, stderr } = await runHmacd(['reseal'], envOf(deployment, both));
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toContain(`the root key ${idOf(files.old)} can go from HMACD_ROOT_KEY_FILE`);
      await load.until((answer) => answer.exception === undefined);
      const answers = load.sentAfter(0);
      await load[Symbol.asyncDispose]();
      expect(answers.length).toBeGreaterThan(1_000);
      expect(answers.filter(({ exception }) => exception !== undefined)).toEqual([]);
      expect(Object.keys(await countByRootKey(deployment))).toEqual([idOf(files.new)]);

      for (const [index, replica] of replicas.entries()) {
        await stop(replica);
        replicas[index] = await start(deployment, files.new);
      }
      for (const replica of replicas) await verifyAll(replica.clients.gRPC, known);
    },
  );
});
