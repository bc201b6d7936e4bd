import { isIP } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Deployment } from './arn.ts';
import { readRequestRates, type RequestRate, requestRatesIn } from './calls/request-rates.ts';
import { AWS_QUOTAS, type Quotas } from './keys/quotas.ts';
import type { StoreTarget } from './records/open-record-store.ts';
import { parseRedisTarget } from './records/redis-target.ts';
import type { Address } from './wires/listener.ts';
import type { TlsFiles } from './wires/tls.ts';

/** Everything that can be set, as it is used. */
export interface Config {
  /** `undefined`: no such listener. */
  readonly grpcAddress: Address | undefined;
  readonly httpAddress: Address | undefined;
  readonly adminAddress: Address | undefined;
  readonly store: StoreTarget;
  readonly redisPasswordFile: string | undefined;
  readonly redisCaFile: string | undefined;
  readonly redisAllowVolatile: boolean;
  /** At least one; the first seals. */
  readonly rootKeyFiles: readonly string[];
  readonly deployment: Deployment;
  /** A path; `undefined` for no seed. */
  readonly seedFile: string | undefined;
  /** `required`: by the principals file. `anonymous`: every caller is the root of the account. */
  readonly auth: 'required' | 'anonymous';
  /** A path, just when credentials are required. */
  readonly principalsFile: string | undefined;
  /** The names that requests to the HTTP listener may be addressed to; `undefined` for any. */
  readonly allowedHosts: readonly string[] | undefined;
  readonly corsOrigins: readonly string[];
  /** `undefined` for listeners without TLS. */
  readonly tls: TlsFiles | undefined;
  readonly reflection: boolean;
  /** In milliseconds, like every duration here. */
  readonly shutdownGrace: number;
  readonly keyCacheTtl: number;
  /** How long a grant takes to count without a token. */
  readonly grantDelay: number;
  /** For how long a grant token is worth anything; Infinity for as long as its grant. */
  readonly grantTokenTtl: number;
  readonly quotas: Quotas;
  /** No operation is in two of them; empty where calls may come as they like. */
  readonly requestRates: readonly RequestRate[];
  /** `stdout`, a path, or `undefined` for none. */
  readonly auditLog: string | undefined;
  readonly logLevel: string;
  /** Whether some listener can be reached from other machines. */
  readonly exposed: boolean;
}

/** Settings that are wrong; the message has a line for each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** The seed of a service that was given none: `alias/demo`. */
export const DEMO_SEED_FILE = fileURLToPath(new URL('./keys/demo-seed.yaml', import.meta.url));

/** A web page cannot pass for one of them by pointing a name of its own at this machine. */
const LOOPBACK_HOSTS = ['localhost', '127.0.0.1', '[::1]'];

/** One setting: its variable's name without `HMACD_`, its default, and how its text is read. */
interface Setting<V> {
  readonly name: string;
  readonly byDefault: string | undefined;
  /** Throws an Error that says what is expected. */
  readonly read: (text: string) => V;
}

const SETTINGS = {
  grpcAddress: setting('GRPC_ADDR', '127.0.0.1:50051', address),
  httpAddress: setting('HTTP_ADDR', '127.0.0.1:8080', address),
  adminAddress: setting('ADMIN_ADDR', '127.0.0.1:9090', address),
  store: setting('STORE', 'sqlite:data/hmacd.db', store),
  redisPasswordFile: setting('REDIS_PASSWORD_FILE', undefined, nonEmpty),
  redisCaFile: setting('REDIS_CA_FILE', undefined, nonEmpty),
  redisAllowVolatile: setting('REDIS_ALLOW_VOLATILE', 'false', flag),
  rootKeyFiles: setting('ROOT_KEY_FILE', 'data/root.key', list),
  accountId: setting('ACCOUNT_ID', '000000000000', matching(/^\d{12}$/, '12 digits')),
  region: setting('REGION', 'us-east-1', matching(/^[a-z0-9-]{1,32}$/, 'a Region such as us-east-1')),
  partition: setting('PARTITION', 'aws', matching(/^[a-z0-9-]{1,32}$/, 'a partition such as aws')),
  seedFile: setting('SEED_FILE', DEMO_SEED_FILE, orUndefined('none')),
  principalsFile: setting('PRINCIPALS_FILE', undefined, nonEmpty),
  auth: setting('AUTH', undefined, oneOf('required', 'anonymous')),
  allowedHosts: setting('ALLOWED_HOSTS', undefined, hosts),
  corsOrigins: setting('CORS_ORIGINS', '', origins),
  tlsCertFile: setting('TLS_CERT_FILE', undefined, nonEmpty),
  tlsKeyFile: setting('TLS_KEY_FILE', undefined, nonEmpty),
  tlsClientCaFile: setting('TLS_CLIENT_CA_FILE', undefined, nonEmpty),
  tlsClientAuth: setting('TLS_CLIENT_AUTH', undefined, oneOf('optional', 'required')),
  reflection: setting('REFLECTION', 'true', flag),
  shutdownGrace: setting('SHUTDOWN_GRACE', '10s', duration(0, 3_600_000, '0s to 1h')),
  keyCacheTtl: setting('KEY_CACHE_TTL', '1s', duration(100, 300_000, '100ms to 5m')),
  grantDelay: setting('GRANT_DELAY', '0s', duration(0, 3_600_000, '0s to 1h')),
  grantTokenTtl: setting('GRANT_TOKEN_TTL', 'unlimited', unlimited(duration(1_000, 365 * 86_400_000, '1s to 8760h'))),
  quotaKeys: setting('QUOTA_KEYS', String(AWS_QUOTAS.keys), count(1_000_000)),
  // The aliases of a key, and what a seed file gives it, go in one commit with it, which has 500 changes at most.
  quotaAliasesPerKey: setting('QUOTA_ALIASES_PER_KEY', String(AWS_QUOTAS.aliasesPerKey), count(400)),
  quotaGrantsPerKey: setting('QUOTA_GRANTS_PER_KEY', String(AWS_QUOTAS.grantsPerKey), count(1_000_000)),
  // No more than a request can hold.
  quotaKeyPolicySize: setting('QUOTA_KEY_POLICY_SIZE', String(AWS_QUOTAS.keyPolicySize), count(131_072)),
  requestRates: setting('REQUEST_RATES', 'off', readRequestRates),
  auditLog: setting('AUDIT_LOG', 'stdout', orUndefined('off')),
  logLevel: setting('LOG_LEVEL', 'info', oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent')),
} as const;

/** The flags of a command line: each variable's name, `HMACD_GRPC_ADDR` as `--grpc-addr`. */
const FLAGS = Object.fromEntries(
  Object.values(SETTINGS).map(({ name }) => [flagOf(name), { type: 'string' as const }]),
);

/**
 * Reads the settings from the environment and from flags, which win.
 *
 * @throws ConfigError with everything that is wrong
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>, args: readonly string[]): Config {
  const problems: string[] = [];
  const flags = readFlags(args, problems);
  const read = <V>({ name, byDefault, read: parse }: Setting<V>): V | undefined => {
    const given = flags[flagOf(name)];
    const text = given ?? env[`HMACD_${name}`] ?? byDefault;
    if (text === undefined) return undefined;
    try {
      return parse(text);
    } catch (error) {
      problems.push(`${given === undefined ? `HMACD_${name}` : `--${flagOf(name)}`}: ${(error as Error).message}`);
      return undefined;
    }
  };
  const values = Object.fromEntries(
    Object.entries(SETTINGS).map(([key, one]) => [key, read(one as Setting<unknown>)]),
  ) as {
    [K in keyof typeof SETTINGS]: ReturnType<(typeof SETTINGS)[K]['read']>;
  };
  const addresses = [values.grpcAddress, values.httpAddress, values.adminAddress];
  if (problems.length === 0 && addresses[0] === undefined && addresses[1] === undefined) {
    problems.push('HMACD_GRPC_ADDR and HMACD_HTTP_ADDR: one of them must not be off');
  }
  const tls = tlsOf(values, problems);
  const exposed = [values.grpcAddress, values.httpAddress].some((one) => one !== undefined && !isLoopback(one.host));
  const auth = authOf(values, problems);
  if (exposed && auth === 'anonymous' && values.auth === undefined) {
    problems.push(
      'HMACD_GRPC_ADDR and HMACD_HTTP_ADDR: other machines could reach them, and every caller is the root of the account; listen on 127.0.0.1, or set HMACD_AUTH=anonymous if that is what you want',
    );
  }
  // A setting that is misspelt, or that this version does not have, might be one that keeps somebody out.
  for (const name of unknownVariables(env)) problems.push(`${name}: hmacd has no such setting`);
  if (problems.length > 0) throw new ConfigError(problems.join('\n'));
  const { accountId, region, partition, tlsCertFile, tlsKeyFile, tlsClientCaFile, tlsClientAuth, ...others } = values;
  const { quotaKeys, quotaAliasesPerKey, quotaGrantsPerKey, quotaKeyPolicySize, ...rest } = others;
  return Object.freeze({
    ...rest,
    quotas: Object.freeze({
      keys: quotaKeys,
      aliasesPerKey: quotaAliasesPerKey,
      grantsPerKey: quotaGrantsPerKey,
      keyPolicySize: quotaKeyPolicySize,
    }),
    requestRates: requestRatesIn(region, values.requestRates),
    deployment: Object.freeze({ accountId, region, partition }),
    auth,
    // Who has to show a credential has one to show, whatever name a page called by.
    allowedHosts: values.allowedHosts ?? (auth === 'anonymous' ? LOOPBACK_HOSTS : undefined),
    tls,
    exposed,
  });
}

/** Whether callers have to say who they are. */
function authOf(
  { auth, principalsFile }: Readonly<Record<'auth' | 'principalsFile', string | undefined>>,
  problems: string[],
): Config['auth'] {
  if (auth === 'required' && principalsFile === undefined) {
    problems.push('HMACD_AUTH: required needs HMACD_PRINCIPALS_FILE');
  }
  if (auth === 'anonymous' && principalsFile !== undefined) {
    problems.push('HMACD_AUTH: anonymous would let everybody do everything, whatever HMACD_PRINCIPALS_FILE says');
  }
  return auth === 'required' || principalsFile !== undefined ? 'required' : 'anonymous';
}

function tlsOf(
  values: Readonly<Record<'tlsCertFile' | 'tlsKeyFile' | 'tlsClientCaFile' | 'tlsClientAuth', string | undefined>>,
  problems: string[],
): TlsFiles | undefined {
  const { tlsCertFile: certFile, tlsKeyFile: keyFile, tlsClientCaFile: clientCaFile, tlsClientAuth } = values;
  if (tlsClientAuth !== undefined && clientCaFile === undefined) {
    problems.push('HMACD_TLS_CLIENT_AUTH: it needs HMACD_TLS_CLIENT_CA_FILE');
  }
  if (certFile !== undefined && keyFile !== undefined) {
    return { certFile, keyFile, clientCaFile, clientAuthRequired: tlsClientAuth === 'required' };
  }
  if (certFile !== keyFile || clientCaFile !== undefined) {
    problems.push('HMACD_TLS_CERT_FILE and HMACD_TLS_KEY_FILE: TLS needs both of them');
  }
  return undefined;
}

function readFlags(args: readonly string[], problems: string[]): Record<string, string | undefined> {
  try {
    return parseArgs({ args: [...args], options: FLAGS, strict: true, allowPositionals: false }).values;
  } catch (error) {
    problems.push((error as Error).message);
    return {};
  }
}

/** Variables that begin like settings; those that Kubernetes makes for a service that is called `hmacd` are not meant. */
function unknownVariables(env: Readonly<Record<string, string | undefined>>): string[] {
  const known = new Set(Object.values(SETTINGS).map(({ name }) => `HMACD_${name}`));
  return Object.keys(env).filter(
    (name) => name.startsWith('HMACD_') && !known.has(name) && !/_(SERVICE_(HOST|PORT.*)|PORT(_.*)?)$/.test(name),
  );
}

function setting<V>(name: string, byDefault: string | undefined, read: (text: string) => V): Setting<V> {
  return { name, byDefault, read };
}

function flagOf(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function address(text: string): Address | undefined {
  if (text === 'off') return undefined;
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) > 65_535) {
    throw new Error(`"${text}" is not an address such as 127.0.0.1:8080 or [::1]:8080, and not off`);
  }
  return { host, port: Number(port) };
}

function store(text: string): StoreTarget {
  if (text.startsWith('sqlite:') && text.length > 'sqlite:'.length) {
    return { kind: 'sqlite', path: text.slice('sqlite:'.length) };
  }
  if (/^rediss?(\+\w+)?:/.test(text)) return { kind: 'redis', target: parseRedisTarget(text) };
  throw new Error(
    'it must be sqlite:PATH, sqlite::memory:, or a URL of redis, rediss, redis+sentinel or redis+cluster',
  );
}

function nonEmpty(text: string): string {
  if (text === '') throw new Error('it is empty');
  return text;
}

function list(text: string): string[] {
  const items = text.split(',').map((item) => item.trim());
  if (items.includes('')) throw new Error('it has an empty item');
  return items;
}

/** Names as a browser writes them into the Host header. */
function hosts(text: string): string[] {
  return list(text).map((item) => {
    const url = `http://${item.includes('::') && item[0] !== '[' ? `[${item}]` : item}`;
    if (!URL.canParse(url) || new URL(url).host !== new URL(url).hostname || new URL(url).pathname !== '/') {
      throw new Error(`"${item}" is not the name or address of a host, without a port`);
    }
    return new URL(url).hostname;
  });
}

function origins(text: string): string[] {
  const items = text === '' ? [] : list(text);
  for (const item of items) {
    if (!URL.canParse(item) || new URL(item).origin !== item) {
      throw new Error(`"${item}" is not an origin such as https://app.example.org`);
    }
  }
  return items;
}

function flag(text: string): boolean {
  if (text !== 'true' && text !== 'false') throw new Error(`"${text}" is neither true nor false`);
  return text === 'true';
}

function orUndefined(word: string): (text: string) => string | undefined {
  return (text) => (text === word ? undefined : nonEmpty(text));
}

function oneOf(...words: string[]): (text: string) => string {
  return (text) => {
    if (!words.includes(text)) throw new Error(`"${text}" is not ${words.join(', ')}`);
    return text;
  };
}

function matching(pattern: RegExp, meaning: string): (text: string) => string {
  return (text) => {
    if (!pattern.test(text)) throw new Error(`"${text}" is not ${meaning}`);
    return text;
  };
}

function count(most: number): (text: string) => number {
  return (text) => {
    const number = /^\d+$/.test(text) ? Number(text) : NaN;
    if (!(number >= 1 && number <= most)) throw new Error(`"${text}" is not a whole number from 1 to ${most}`);
    return number;
  };
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** `unlimited`, or a duration. */
function unlimited(read: (text: string) => number): (text: string) => number {
  return (text) => (text === 'unlimited' ? Infinity : read(text));
}

function duration(least: number, most: number, bounds: string): (text: string) => number {
  return (text) => {
    const [, number, unit] = /^(\d+)(ms|s|m|h)$/.exec(text) ?? [];
    const milliseconds = Number(number) * (UNITS[unit ?? ''] ?? NaN);
    if (!(milliseconds >= least && milliseconds <= most)) {
      throw new Error(`"${text}" is not a duration of ${bounds}, such as 500ms, 10s or 5m`);
    }
    return milliseconds;
  };
}
