import { describe, expect, it } from 'vitest';
import { type Config, ConfigError, DEMO_SEED_FILE, readConfig } from '../src/config.ts';

function read(settings: Readonly<Record<string, string>>, args: readonly string[] = []): Config {
  const env = Object.fromEntries(Object.entries(settings).map(([name, value]) => [`HMACD_${name}`, value]));
  return readConfig(env, args);
}

/** The lines that settings are refused with. */
function problemsOf(settings: Readonly<Record<string, string>>, args: readonly string[] = []): string[] {
  try {
    read(settings, args);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n');
    throw error;
  }
  return [];
}

const EXPOSED =
  'HMACD_GRPC_ADDR and HMACD_HTTP_ADDR: other machines could reach them, and every caller is the root of the account; listen on 127.0.0.1, or set HMACD_AUTH=anonymous if that is what you want';

const notAddress = (text: string) => `"${text}" is not an address such as 127.0.0.1:8080 or [::1]:8080, and not off`;
const notFlag = (text: string) => `"${text}" is neither true nor false`;
const notTtl = (text: string) => `"${text}" is not a duration of 100ms to 5m, such as 500ms, 10s or 5m`;
const notGrace = (text: string) => `"${text}" is not a duration of 0s to 1h, such as 500ms, 10s or 5m`;
const notOrigin = (text: string) => `"${text}" is not an origin such as https://app.example.org`;
const notStore = 'it must be sqlite:PATH, sqlite::memory:, or a URL of redis, rediss, redis+sentinel or redis+cluster';

describe('the configuration', () => {
  it('has a default for everything', () => {
    expect(read({})).toEqual({
      grpcAddress: { host: '127.0.0.1', port: 50051 },
      httpAddress: { host: '127.0.0.1', port: 8080 },
      adminAddress: { host: '127.0.0.1', port: 9090 },
      store: { kind: 'sqlite', path: 'data/hmacd.db' },
      redisPasswordFile: undefined,
      redisCaFile: undefined,
      redisAllowVolatile: false,
      rootKeyFiles: ['data/root.key'],
      deployment: { accountId: '000000000000', region: 'us-east-1', partition: 'aws' },
      seedFile: DEMO_SEED_FILE,
      auth: 'anonymous',
      principalsFile: undefined,
      allowedHosts: ['localhost', '127.0.0.1', '[::1]'],
      corsOrigins: [],
      tls: undefined,
      reflection: true,
      shutdownGrace: 10_000,
      keyCacheTtl: 1_000,
      grantDelay: 0,
      grantTokenTtl: Infinity,
      quotas: { keys: 100_000, aliasesPerKey: 50, grantsPerKey: 50_000, keyPolicySize: 32_768 },
      requestRates: [],
      auditLog: 'stdout',
      logLevel: 'info',
      exposed: false,
    });
  });

  it('cannot be changed', () => {
    const config = read({});
    expect(() => Object.assign(config, { reflection: false })).toThrow(TypeError);
    expect(() => Object.assign(config.quotas, { keys: 1 })).toThrow(TypeError);
    expect(() => Object.assign(config.deployment, { region: 'x' })).toThrow(TypeError);
  });

  const hosts = [{ host: 'r', port: 6379 }];
  it.each([
    ['GRPC_ADDR', 'off', { grpcAddress: undefined }],
    ['GRPC_ADDR', '127.0.0.1:0', { grpcAddress: { host: '127.0.0.1', port: 0 } }],
    ['HTTP_ADDR', '[::1]:65535', { httpAddress: { host: '::1', port: 65_535 } }],
    ['HTTP_ADDR', 'localhost:80', { httpAddress: { host: 'localhost', port: 80 } }],
    ['ADMIN_ADDR', '0.0.0.0:9090', { adminAddress: { host: '0.0.0.0', port: 9090 }, exposed: false }],
    ['STORE', 'sqlite::memory:', { store: { kind: 'sqlite', path: ':memory:' } }],
    ['STORE', 'sqlite:/var/lib/hmacd.db', { store: { kind: 'sqlite', path: '/var/lib/hmacd.db' } }],
    ['STORE', 'redis://r', { store: { kind: 'redis', target: { kind: 'standalone', hosts, tls: false } } }],
    ['STORE', 'rediss://u@r/3', { store: { kind: 'redis', target: { tls: true, username: 'u', database: 3 } } }],
    [
      'STORE',
      'redis+sentinel://s/main',
      { store: { kind: 'redis', target: { kind: 'sentinel', masterName: 'main' } } },
    ],
    ['STORE', 'redis+cluster://r:6379', { store: { kind: 'redis', target: { kind: 'cluster', hosts } } }],
    ['REDIS_PASSWORD_FILE', 'p', { redisPasswordFile: 'p' }],
    ['REDIS_CA_FILE', 'ca', { redisCaFile: 'ca' }],
    ['REDIS_ALLOW_VOLATILE', 'true', { redisAllowVolatile: true }],
    ['ROOT_KEY_FILE', 'new.key, old.key', { rootKeyFiles: ['new.key', 'old.key'] }],
    [
      'ACCOUNT_ID',
      '123456789012',
      { deployment: { accountId: '123456789012', region: 'us-east-1', partition: 'aws' } },
    ],
    ['REGION', 'eu-central-1', { deployment: { accountId: '000000000000', region: 'eu-central-1', partition: 'aws' } }],
    [
      'PARTITION',
      'aws-us-gov',
      { deployment: { accountId: '000000000000', region: 'us-east-1', partition: 'aws-us-gov' } },
    ],
    ['SEED_FILE', 'none', { seedFile: undefined }],
    ['SEED_FILE', 'seed.yaml', { seedFile: 'seed.yaml' }],
    ['ALLOWED_HOSTS', 'a.example, b.example', { allowedHosts: ['a.example', 'b.example'] }],
    [
      'CORS_ORIGINS',
      'https://a.example,http://localhost:3000',
      { corsOrigins: ['https://a.example', 'http://localhost:3000'] },
    ],
    ['CORS_ORIGINS', '', { corsOrigins: [] }],
    ['REFLECTION', 'false', { reflection: false }],
    ['SHUTDOWN_GRACE', '0s', { shutdownGrace: 0 }],
    ['SHUTDOWN_GRACE', '1h', { shutdownGrace: 3_600_000 }],
    ['KEY_CACHE_TTL', '100ms', { keyCacheTtl: 100 }],
    ['KEY_CACHE_TTL', '5m', { keyCacheTtl: 300_000 }],
    ['QUOTA_KEYS', '1000000', { quotas: { keys: 1_000_000 } }],
    ['QUOTA_ALIASES_PER_KEY', '400', { quotas: { aliasesPerKey: 400 } }],
    ['QUOTA_GRANTS_PER_KEY', '1', { quotas: { grantsPerKey: 1 } }],
    ['QUOTA_KEY_POLICY_SIZE', '131072', { quotas: { keyPolicySize: 131_072 } }],
    ['REQUEST_RATES', 'off', { requestRates: [] }],
    [
      'REQUEST_RATES',
      'GenerateMac+VerifyMac=5500, CreateKey=0.5',
      {
        requestRates: [
          { operations: ['GenerateMac', 'VerifyMac'], perSecond: 5_500 },
          { operations: ['CreateKey'], perSecond: 0.5 },
        ],
      },
    ],
    ['AUDIT_LOG', 'off', { auditLog: undefined }],
    ['AUDIT_LOG', 'audit.log', { auditLog: 'audit.log' }],
    ['LOG_LEVEL', 'silent', { logLevel: 'silent' }],
    ['AUTH', 'anonymous', { auth: 'anonymous', exposed: false }],
    ['PRINCIPALS_FILE', 'p.yaml', { principalsFile: 'p.yaml', auth: 'required', allowedHosts: undefined }],
  ])('takes %s=%s, as a variable and as a flag', (name, value, expected) => {
    expect(read({ [name]: value })).toMatchObject(expected);
    const flag = `--${name.toLowerCase().replaceAll('_', '-')}`;
    expect(read({}, [flag, value])).toMatchObject(expected);
    expect(read({}, [`${flag}=${value}`])).toMatchObject(expected);
  });

  it.each<readonly [string, string, string]>([
    ...['', '8080', '127.0.0.1', ':8080', '127.0.0.1:65536', '::1:80', '127.0.0.1:80 ', 'OFF', '[::1]', 'a:-1'].map(
      (text) => ['GRPC_ADDR', text, notAddress(text)] as const,
    ),
    ['HTTP_ADDR', 'http://127.0.0.1:80', notAddress('http://127.0.0.1:80')],
    ['ADMIN_ADDR', '9090', notAddress('9090')],
    ...['', 'sqlite:', 'hmacd.db', 'postgres://r', 'REDIS://r', 'Sqlite:x'].map(
      (text) => ['STORE', text, notStore] as const,
    ),
    ['STORE', 'redis://', 'a host of a Redis store is written HOST:PORT, or [HOST]:PORT for IPv6'],
    [
      'STORE',
      'redis+x://r',
      'the address of a Redis store begins with one of redis://, rediss://, redis+sentinel://, redis+cluster://',
    ],
    ['REDIS_PASSWORD_FILE', '', 'it is empty'],
    ['REDIS_CA_FILE', '', 'it is empty'],
    ['REDIS_ALLOW_VOLATILE', 'yes', notFlag('yes')],
    ['ROOT_KEY_FILE', '', 'it has an empty item'],
    ['ROOT_KEY_FILE', 'a,,b', 'it has an empty item'],
    ...['12345678901', '1234567890123', '12345678901x', '123456789012\n'].map(
      (text) => ['ACCOUNT_ID', text, `"${text}" is not 12 digits`] as const,
    ),
    ['REGION', 'us east', '"us east" is not a Region such as us-east-1'],
    ['REGION', 'r'.repeat(33), `"${'r'.repeat(33)}" is not a Region such as us-east-1`],
    ['PARTITION', 'aws:cn', '"aws:cn" is not a partition such as aws'],
    ['SEED_FILE', '', 'it is empty'],
    ['AUTH', 'none', '"none" is not required, anonymous'],
    ['PRINCIPALS_FILE', '', 'it is empty'],
    ['TLS_CERT_FILE', '', 'it is empty'],
    ['ALLOWED_HOSTS', 'a,', 'it has an empty item'],
    ...['a.example', 'https://a.example/', 'https://a.example/x', '*', 'null'].map(
      (text) => ['CORS_ORIGINS', text, notOrigin(text)] as const,
    ),
    ...['True', '1', ''].map((text) => ['REFLECTION', text, notFlag(text)] as const),
    ...['3601s', '2h', '-1s', '10', '1.5s', '10 s', ''].map(
      (text) => ['SHUTDOWN_GRACE', text, notGrace(text)] as const,
    ),
    ...['99ms', '301s', '6m', '0s', '1S'].map((text) => ['KEY_CACHE_TTL', text, notTtl(text)] as const),
    ...['0', '-1', '1.5', '1e3', '', '1000001', ' 1', '٣'].map(
      (text) => ['QUOTA_KEYS', text, `"${text}" is not a whole number from 1 to 1000000`] as const,
    ),
    ['QUOTA_ALIASES_PER_KEY', '401', '"401" is not a whole number from 1 to 400'],
    ['QUOTA_GRANTS_PER_KEY', '1000001', '"1000001" is not a whole number from 1 to 1000000'],
    ['QUOTA_KEY_POLICY_SIZE', '131073', '"131073" is not a whole number from 1 to 131072'],
    [
      'REQUEST_RATES',
      'CreateKeys=5,CreateKey=0',
      '"CreateKeys" is not an operation; "0" is not a number of calls a second, at least 0.0000116 (one a day) and at most 1000000',
    ],
    ['AUDIT_LOG', '', 'it is empty'],
    ['LOG_LEVEL', 'verbose', '"verbose" is not trace, debug, info, warn, error, fatal, silent'],
  ])('refuses %s=%j, and says which variable or flag it was', (name, value, problem) => {
    const flag = `--${name.toLowerCase().replaceAll('_', '-')}`;
    // A value with a line break in it is one problem, too.
    expect(problemsOf({ [name]: value }).join('\n')).toBe(`HMACD_${name}: ${problem}`);
    expect(problemsOf({}, [`${flag}=${value}`]).join('\n')).toBe(`${flag}: ${problem}`);
  });

  it('is refused with everything that is wrong at once', () => {
    const problems = problemsOf({ GRPC_ADDR: 'x', STORE: 'y', ACCOUNT_ID: '1', REFLECTION: 'z', LOG_LEVEL: 'info' }, [
      '--region',
      'R',
      '--key-cache-ttl',
      '1',
    ]);
    expect(problems.map((problem) => problem.split(':')[0])).toEqual([
      'HMACD_GRPC_ADDR',
      'HMACD_STORE',
      'HMACD_ACCOUNT_ID',
      '--region',
      'HMACD_REFLECTION',
      '--key-cache-ttl',
    ]);
  });

  it("has AWS's request rates of its Region", () => {
    const operations = ['GenerateMac', 'VerifyMac'];
    for (const [region, perSecond] of [
      ['us-east-1', 100_000],
      ['eu-north-1', 10_000],
    ] as const) {
      const { requestRates } = read({ REQUEST_RATES: 'aws,CreateKey=1', REGION: region });
      expect(requestRates.slice(0, 2)).toEqual([
        { operations: ['CreateKey'], perSecond: 1 },
        { operations, perSecond },
      ]);
    }
  });

  it('goes by flags rather than by variables, be the variables right or wrong', () => {
    const args = ['--region', 'eu-west-1', '--key-cache-ttl=2s'];
    expect(read({ REGION: 'us-west-2', KEY_CACHE_TTL: 'x' }, args)).toMatchObject({
      deployment: { region: 'eu-west-1' },
      keyCacheTtl: 2_000,
    });
  });

  it.each([['--grpc-address', '127.0.0.1:1'], ['--grpc-addr'], ['-v'], ['stray'], ['--HMACD_REGION', 'x']])(
    'refuses the arguments %s %s',
    (...args) => expect(problemsOf({}, args).length).toBe(1),
  );

  it('is refused for an unknown flag and a bad variable at once', () => {
    const problems = problemsOf({ REGION: 'R' }, ['--no-such-flag']);
    expect(problems.length).toBe(2);
    expect(problems[0]).toContain('--no-such-flag');
    expect(problems[1]).toMatch(/^HMACD_REGION: /);
  });

  it('is refused for variables that look like settings and are none', () => {
    const env = { HMACD_GRPC_ADRR: 'x', HMACD_REGION: 'r', PATH: '/bin', hmacd_x: 'x', HMACD_: '', MY_HMACD_X: 'x' };
    expect(() => readConfig(env, [])).toThrow(
      new ConfigError('HMACD_GRPC_ADRR: hmacd has no such setting\nHMACD_: hmacd has no such setting'),
    );
    expect(problemsOf({ PRINCIPAL_FILE: 'p', REGION: 'R' }).map((problem) => problem.split(':')[0])).toEqual([
      'HMACD_REGION',
      'HMACD_PRINCIPAL_FILE',
    ]);
  });

  it('is not refused for variables that Kubernetes makes for a service of this name', () => {
    const names = [
      'SERVICE_HOST',
      'SERVICE_PORT',
      'SERVICE_PORT_GRPC',
      'PORT',
      'PORT_50051_TCP',
      'PORT_50051_TCP_ADDR',
      'PORT_50051_TCP_PORT',
      'PORT_50051_TCP_PROTO',
      'REDIS_SERVICE_HOST',
      'REDIS_PORT_6379_TCP',
    ];
    expect(read(Object.fromEntries(names.map((name) => [name, 'x'])))).toEqual(read({}));
  });
});

describe('a listener', () => {
  const open = [
    '0.0.0.0:1',
    '[::]:1',
    '10.0.0.1:1',
    'hmacd.example:1',
    '127.0.0.1.example:1',
    '[::ffff:127.0.0.1]:1',
    '128.0.0.1:1',
    '127.1:1',
  ];
  it.each(open.flatMap((value) => [['GRPC_ADDR', value] as const, ['HTTP_ADDR', value] as const]))(
    'that other machines can reach (%s=%s) is refused, unless every caller is said to be anonymous',
    (name, value) => {
      expect(problemsOf({ [name]: value })).toEqual([EXPOSED]);
      expect(read({ [name]: value, AUTH: 'anonymous' }).exposed).toBe(true);
    },
  );

  it.each(['127.0.0.1:1', '127.8.9.10:1', 'localhost:1', '[::1]:1'])('at %s is of this machine alone', (value) => {
    expect(read({ GRPC_ADDR: value, HTTP_ADDR: value }).exposed).toBe(false);
  });

  it('for calls must be there', () => {
    expect(problemsOf({ GRPC_ADDR: 'off', HTTP_ADDR: 'off' })).toEqual([
      'HMACD_GRPC_ADDR and HMACD_HTTP_ADDR: one of them must not be off',
    ]);
    expect(read({ GRPC_ADDR: 'off' }).grpcAddress).toBeUndefined();
    expect(read({ HTTP_ADDR: 'off', ADMIN_ADDR: 'off' })).toMatchObject({
      httpAddress: undefined,
      adminAddress: undefined,
    });
  });
});

describe('callers', () => {
  it.each([
    ['required', undefined, ['HMACD_AUTH: required needs HMACD_PRINCIPALS_FILE']],
    [
      'anonymous',
      'p.yaml',
      ['HMACD_AUTH: anonymous would let everybody do everything, whatever HMACD_PRINCIPALS_FILE says'],
    ],
  ])('cannot be %s with the principals file %s', (auth, file, problems) => {
    expect(problemsOf({ AUTH: auth, ...(file !== undefined && { PRINCIPALS_FILE: file }) })).toEqual(problems);
  });

  it.each([{}, { AUTH: 'required' }])('of a principals file may come from anywhere, by any name (%j)', (settings) => {
    const config = read({ ...settings, PRINCIPALS_FILE: 'p.yaml', GRPC_ADDR: '0.0.0.0:1' });
    expect(config).toMatchObject({ auth: 'required', exposed: true, allowedHosts: undefined });
  });

  it('may come by some names only, if that is what is set', () => {
    const config = read({ PRINCIPALS_FILE: 'p.yaml', ALLOWED_HOSTS: 'a.example' });
    expect(config.allowedHosts).toEqual(['a.example']);
  });
});

describe('a password in the address of the store', () => {
  it.each([
    'redis://u:s3cret@r',
    'redis://:s3cret@r',
    'rediss://u:s3cret@r:1/2',
    'redis+sentinel://u:s3cret@a,b/main',
    'redis+cluster://u:s3cret@a,b',
    'redis+x://u:s3cret@r',
    'redis://r,u:s3cret@r2',
    'redis://u:s3c@ret@r',
    'http://u:s3cret@r',
    'redis:u:s3cret@r',
    'u:s3cret@r',
  ])('%s is refused, and not repeated', (value) => {
    for (const problems of [problemsOf({ STORE: value }), problemsOf({}, ['--store', value])]) {
      expect(problems.length).toBe(1);
      expect(problems[0]).not.toMatch(/s3c|ret@/);
    }
  });
});

describe('TLS', () => {
  const files = { TLS_CERT_FILE: 'cert.pem', TLS_KEY_FILE: 'key.pem' };
  const tls = { certFile: 'cert.pem', keyFile: 'key.pem', clientCaFile: undefined, clientAuthRequired: false };
  it.each([
    ['no certificate', {}, undefined],
    ['a certificate and its key', files, tls],
    ['a client CA', { ...files, TLS_CLIENT_CA_FILE: 'ca.pem' }, { ...tls, clientCaFile: 'ca.pem' }],
    [
      'a client CA, optional',
      { ...files, TLS_CLIENT_CA_FILE: 'ca.pem', TLS_CLIENT_AUTH: 'optional' },
      { ...tls, clientCaFile: 'ca.pem' },
    ],
    [
      'a client CA, required',
      { ...files, TLS_CLIENT_CA_FILE: 'ca.pem', TLS_CLIENT_AUTH: 'required' },
      { ...tls, clientCaFile: 'ca.pem', clientAuthRequired: true },
    ],
  ])('takes %s', (_, settings, expected) => expect(read(settings).tls).toEqual(expected));

  const both = 'HMACD_TLS_CERT_FILE and HMACD_TLS_KEY_FILE: TLS needs both of them';
  const noCa = 'HMACD_TLS_CLIENT_AUTH: it needs HMACD_TLS_CLIENT_CA_FILE';
  it.each([
    ['a certificate without its key', { TLS_CERT_FILE: 'cert.pem' }, [both]],
    ['a key without its certificate', { TLS_KEY_FILE: 'key.pem' }, [both]],
    ['a client CA without a certificate', { TLS_CLIENT_CA_FILE: 'ca.pem' }, [both]],
    ['client certificates without a CA', { ...files, TLS_CLIENT_AUTH: 'required' }, [noCa]],
    ['client certificates without anything', { TLS_CLIENT_AUTH: 'optional' }, [noCa]],
    ['client certificates without a CA or a key', { TLS_CERT_FILE: 'c', TLS_CLIENT_AUTH: 'required' }, [noCa, both]],
    [
      'another word for client certificates',
      { ...files, TLS_CLIENT_CA_FILE: 'ca.pem', TLS_CLIENT_AUTH: 'true' },
      ['HMACD_TLS_CLIENT_AUTH: "true" is not optional, required'],
    ],
  ])('refuses %s', (_, settings, problems) => expect(problemsOf(settings)).toEqual(problems));

  it('does not open a listener to callers that nobody knows', () => {
    const settings = { ...files, TLS_CLIENT_CA_FILE: 'ca.pem', TLS_CLIENT_AUTH: 'required', GRPC_ADDR: '0.0.0.0:1' };
    expect(problemsOf(settings)).toEqual([EXPOSED]);
  });
});
