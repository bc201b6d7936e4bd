import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { accessKey, makeGrants, principals } from './access.ts';
import { CreateAliasCommand, CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { makeRootKey } from '../src/records/root-keys.ts';
import { makeManyKeys, openRecords } from '../test/support/many-keys.ts';
import { benchKey } from './key.ts';
import { motoProgram } from './moto.ts';
import { freeAddress, startRedis } from './redis.ts';

/** A listener of hmacd: HTTP/2 for gRPC, HTTP/1.1 for the rest. */
export type Listener = 'grpc' | 'http';

/** What to run as a server, and how to tell that it runs. */
export type Launch = {
  /** Node when left out. */
  readonly program?: string;
  /** The program's, in the repository's root. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Where the calls go. */
  readonly address: string;
  /** Throws or answers false as long as it does not serve. */
  readonly isReady: () => Promise<boolean>;
  /** What has to be done once it serves. */
  readonly prepare?: () => Promise<void>;
  /** Ends what was started for it, once it has stopped. */
  readonly clear?: () => Promise<void>;
  /** How many calls it has audited, once it has stopped. Absent: it audits none. */
  readonly audited?: () => Promise<number>;
  /** How much of the calls it gets; a slow one need not get all. */
  readonly share?: number;
  /** Whether it closes its connection after each answer. */
  readonly closesConnections?: boolean;
};

/** The servers; each takes the listener that is to be measured and a folder of its own. */
export const launches = {
  hmacd: hmacd(),
  'hmacd with principals': hmacd({ grants: 0 }),
  'hmacd with a grant': hmacd({ grants: 1 }),
  'hmacd with 50,000 grants': hmacd({ grants: 50_000 }),
  'hmacd with 10 keys': hmacd({ keys: 10 }),
  'hmacd with 100,000 keys': hmacd({ keys: 100_000 }),
  'bare grpc-js': bare('bench/bare-grpc-js.ts'),
  'bare node:http2': bare('bench/bare-http2.ts'),
  'bare node:http': bare('bench/bare-http.ts'),
  moto_server: motoServer,
} satisfies Record<string, (listener: Listener, folder: string) => Promise<Launch>>;

export type ServerName = keyof typeof launches;

/**
 * hmacd as in production, with audit and metrics: what they cost is part of the ratio.
 *
 * @param grants how many there are on the key, where callers have to say who they are; none: everybody may do everything
 * @param keys how many others there are, on a Redis of its own; none: it keeps its key in memory
 */
function hmacd(init: Hmacd = {}): (listener: Listener, folder: string) => Promise<Launch> {
  return async (listener, folder) => await launchHmacd(listener, folder, init);
}

interface Hmacd {
  readonly grants?: number;
  readonly keys?: number;
}

async function launchHmacd(listener: Listener, folder: string, { grants, keys }: Hmacd): Promise<Launch> {
  const address = await freeAddress();
  const admin = await freeAddress();
  const seedFile = join(folder, 'seed.yaml');
  const auditLog = join(folder, 'audit.log');
  const { keyId, keySpec, alias, material } = benchKey;
  const seed = { key_id: keyId, key_spec: keySpec, aliases: [alias], material_base64: material.toString('base64') };
  await writeFile(seedFile, JSON.stringify({ keys: [seed] })); // JSON is YAML.
  const principalsFile = join(folder, 'principals.yaml');
  if (grants !== undefined) {
    await writeFile(principalsFile, JSON.stringify(principals));
    await writeFile(join(folder, 'secret'), accessKey.secret);
  }
  const rootKeyFile = join(folder, 'root.key');
  const redis = keys === undefined ? undefined : await startRedis(folder);
  if (redis !== undefined) makeRootKey(rootKeyFile);
  return {
    args: ['src/main.ts'],
    env: {
      HMACD_GRPC_ADDR: listener === 'grpc' ? address : '127.0.0.1:0',
      HMACD_HTTP_ADDR: listener === 'http' ? address : '127.0.0.1:0',
      HMACD_ADMIN_ADDR: admin,
      HMACD_STORE: redis?.url ?? 'sqlite::memory:',
      HMACD_ROOT_KEY_FILE: rootKeyFile,
      HMACD_SEED_FILE: seedFile,
      HMACD_AUDIT_LOG: auditLog,
      ...(grants !== undefined && { HMACD_PRINCIPALS_FILE: principalsFile }),
    },
    address,
    isReady: async () => (await fetch(`http://${admin}/readyz`)).status === 200,
    ...(grants !== undefined && grants > 0 && { prepare: () => makeGrants(address, grants) }),
    ...(redis !== undefined && {
      prepare: () => makeKeys(redis.url, rootKeyFile, keys ?? 0),
      clear: () => redis.stop(),
      // Each call asks Redis several times.
      share: 1 / 8,
    }),
    audited: () => linesWith(redis === undefined ? 'GenerateMac' : 'DescribeKey', auditLog),
  };
}

/** Makes that many keys beside the one of the benchmark. */
async function makeKeys(url: string, rootKeyFile: string, count: number): Promise<void> {
  await using opened = await openRecords(url, '000000000000', rootKeyFile);
  await makeManyKeys(opened, count);
}

/** A server that takes the address to listen at as its argument, and is ready when it listens. */
function bare(file: string): () => Promise<Launch> {
  return async () => {
    const address = await freeAddress();
    return { args: [file, address], env: {}, address, isReady: () => accepts(address) };
  };
}

/** The server of moto, which stands in for AWS in tests; with a key of the alias of the benchmark. */
async function motoServer(): Promise<Launch> {
  const address = await freeAddress();
  const [host = '', port = ''] = address.split(':');
  const endpoint = `http://${address}`;
  const client = (): KMSClient =>
    new KMSClient({ endpoint, region: 'us-east-1', credentials: { accessKeyId: 'a', secretAccessKey: 'b' } });
  return {
    program: await motoProgram(),
    args: ['-H', host, '-p', port],
    env: {},
    address,
    isReady: async () => (await fetch(`${endpoint}/moto-api/`)).status === 200,
    async prepare() {
      const kms = client();
      const KeySpec = benchKey.keySpec;
      const { KeyMetadata } = await kms.send(new CreateKeyCommand({ KeySpec, KeyUsage: 'GENERATE_VERIFY_MAC' }));
      await kms.send(new CreateAliasCommand({ AliasName: benchKey.alias, TargetKeyId: KeyMetadata?.KeyId }));
      kms.destroy();
    },
    share: 1 / 40,
    closesConnections: true,
  };
}

async function accepts(address: string): Promise<boolean> {
  const { hostname, port } = new URL(`http://${address}`);
  const socket = connect(Number(port), hostname);
  try {
    await once(socket, 'connect');
    return true;
  } finally {
    socket.destroy();
  }
}

async function linesWith(word: string, file: string): Promise<number> {
  let count = 0;
  for await (const line of createInterface({ input: createReadStream(file) })) if (line.includes(word)) count += 1;
  return count;
}
