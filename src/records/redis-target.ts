/** Where a Redis store is. It holds no password, so it may be shown. */
export interface RedisTarget {
  readonly kind: 'standalone' | 'sentinel' | 'cluster';
  /** The server itself, or the Sentinels or the nodes to ask for it. At least one. */
  readonly hosts: readonly RedisHost[];
  /** The name by which Sentinels know the servers; empty for the other kinds. */
  readonly masterName: string;
  readonly database: number;
  readonly username: string | undefined;
  readonly tls: boolean;
}

export interface RedisHost {
  readonly host: string;
  readonly port: number;
}

interface TargetForm {
  readonly kind: RedisTarget['kind'];
  readonly port: number;
  readonly tls: boolean;
  readonly parameters: readonly string[];
}

const FORMS: ReadonlyMap<string, TargetForm> = new Map([
  ['redis', { kind: 'standalone', port: 6379, tls: false, parameters: [] }],
  ['rediss', { kind: 'standalone', port: 6379, tls: true, parameters: [] }],
  ['redis+sentinel', { kind: 'sentinel', port: 26379, tls: false, parameters: ['db', 'tls'] }],
  ['redis+cluster', { kind: 'cluster', port: 6379, tls: false, parameters: ['tls'] }],
]);

/**
 * Reads `redis://[USER@]HOST[:PORT][/DB]` (`rediss://` for TLS), `redis+sentinel://[USER@]HOST[:PORT],…/MASTER[?db=N&tls=true]`
 * or `redis+cluster://[USER@]HOST[:PORT],…[?tls=true]`.
 *
 * @throws Error with one sentence, which never repeats what may be a password.
 */
export function parseRedisTarget(text: string): RedisTarget {
  // The last @ ends the user: a password may have one in it, and must be found to be refused.
  const parts = /^([a-z+]+):\/\/(?:(.*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/s.exec(text);
  const [, scheme = '', user, authority = '', path = '', query = ''] = parts ?? [];
  if (user?.includes(':')) {
    throw new Error('the address of a Redis store must not hold a password: put it into HMACD_REDIS_PASSWORD_FILE');
  }
  const form = FORMS.get(scheme);
  if (form === undefined) {
    throw new Error(`the address of a Redis store begins with one of ${[...FORMS.keys()].join('://, ')}://`);
  }
  const parameters = readParameters(query, scheme, form.parameters);
  const hosts = authority.split(',').map((host) => readHost(host, form.port));
  if (form.kind === 'standalone' && hosts.length > 1) throw new Error(`${scheme}:// takes one host`);
  if (form.kind === 'sentinel' && path === '') {
    throw new Error('redis+sentinel:// needs the name of the master: redis+sentinel://HOST:PORT,HOST:PORT/MASTER');
  }
  if (form.kind === 'cluster' && path !== '')
    throw new Error('redis+cluster:// takes no path: a cluster has one database');
  return {
    kind: form.kind,
    hosts,
    masterName: form.kind === 'sentinel' ? decodeURIComponent(path) : '',
    database: readDatabase(form.kind === 'standalone' ? path : (parameters.get('db') ?? '')),
    username: user ? decodeURIComponent(user) : undefined,
    tls: form.tls || readFlag(parameters.get('tls')),
  };
}

function readParameters(query: string, scheme: string, known: readonly string[]): URLSearchParams {
  const parameters = new URLSearchParams(query);
  for (const name of parameters.keys()) {
    if (!known.includes(name)) throw new Error(`${scheme}:// takes no parameter ${name}`);
    if (parameters.getAll(name).length > 1) throw new Error(`the parameter ${name} of ${scheme}:// is there twice`);
  }
  return parameters;
}

function readHost(text: string, defaultPort: number): RedisHost {
  const [, bracketed, plain, port] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/i.exec(text) ?? [];
  const host = bracketed ?? plain;
  const number = port === undefined ? defaultPort : Number(port);
  if (host === undefined || number < 1 || number > 65_535) {
    throw new Error('a host of a Redis store is written HOST:PORT, or [HOST]:PORT for IPv6');
  }
  return { host, port: number };
}

function readDatabase(text: string): number {
  if (!/^\d{0,5}$/.test(text)) throw new Error('the database of a Redis store is a number');
  return Number(text);
}

function readFlag(text: string | null): boolean {
  if (text === null || text === 'false') return false;
  if (text === 'true') return true;
  throw new Error('the parameter tls of a Redis store is true or false');
}

/** For sentences: `HOST:PORT`, more than one joined by commas. */
export function describeTarget({ hosts }: RedisTarget): string {
  return hosts.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`).join(',');
}
