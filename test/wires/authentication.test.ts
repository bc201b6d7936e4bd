import { hash, type webcrypto } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Client, createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { credentials } from '@grpc/grpc-js';
import { exportSPKI, importJWK, SignJWT } from 'jose';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import { DEMO_SEED_FILE } from '../../src/config.ts';
import { MacAlgorithm, MacService } from '../../src/gen/hmacd/v1/mac_pb.ts';
import type { Replacements } from '../../src/service.ts';
import { AUDIENCE, encodePart, ISSUER, makeIssuer, type TokenIssuer } from '../access/oidc-tokens.ts';
import { type Authority, type Certificate, makeAuthority } from '../support/certificates.ts';
import { failureOf } from '../support/clients.ts';
import { temporaryFolder } from '../support/deployment.ts';
import { healthOf, readinessOf } from '../support/health.ts';
import { createGrpcJsTransport } from '../support/grpc-js-transport.ts';
import { alteredStore } from '../support/altered-store.ts';
import { openSqliteRecordStore } from '../../src/records/sqlite-record-store.ts';
import { type AuditedService, startAuditedService } from './audited-service.ts';

const ORDERS = 'arn:aws:iam::000000000000:role/orders';
const MESH = 'arn:aws:iam::000000000000:role/mesh';
const WEB = 'arn:aws:sts::000000000000:assumed-role/web/ann';
const MESH_NAMES = [{ type: 'url', value: 'spiffe://example.org/mesh' }] as const;
const TOKEN = 'recognisable-token-0123456789';
const GENERATE = { keyId: 'alias/demo', message: Buffer.from('m'), macAlgorithm: MacAlgorithm.HMAC_SHA_256 };
const PROTOCOLS = ['gRPC', 'Connect over HTTP/1.1', 'Connect over HTTP/2', 'gRPC-Web'] as const;

let authority: Authority;
let server: Certificate;
let spiffe: Certificate;
let issuer: TokenIssuer;

beforeAll(async () => {
  authority = await makeAuthority();
  server = await authority.issue('server');
  spiffe = await authority.issue('client', MESH_NAMES);
  issuer = await makeIssuer();
});

const policies = [{ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: 'kms:*', Resource: '*' }] }];
const orders = { arn: ORDERS, bearer_tokens: [{ sha256: hash('sha256', TOKEN) }], policies };
const mesh = { arn: MESH, tls_identities: ['spiffe://example.org/mesh'], policies };
const oidc = {
  issuer: ISSUER,
  audience: AUDIENCE,
  algorithms: ['ES256'],
  jwks_file: 'jwks.json',
  arn_template: 'arn:aws:sts::000000000000:assumed-role/web/{claim}',
  policies,
};

interface World {
  readonly service: AuditedService;
  readonly path: (name: string) => string;
  /** Replaces the principals file, and has it read. */
  writePrincipals(document: object): void;
  /** A client that shows a certificate, over a connection of its own. */
  client(protocol: (typeof PROTOCOLS)[number], own?: Certificate): Client<typeof MacService>;
}

async function start(settings: Readonly<Record<string, string>> = {}, replacements: Replacements = {}): Promise<World> {
  const folder = temporaryFolder();
  const path = (name: string): string => join(folder, name);
  const files = {
    'server.pem': server.cert,
    'server.key': server.key,
    'ca.pem': authority.cert,
    'jwks.json': JSON.stringify(issuer.keySet),
    'principals.yaml': stringify({ principals: [orders, mesh], oidc: [oidc] }),
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(path(name), content);
  const service = await startAuditedService(
    {
      SEED_FILE: DEMO_SEED_FILE,
      PRINCIPALS_FILE: path('principals.yaml'),
      TLS_CERT_FILE: path('server.pem'),
      TLS_KEY_FILE: path('server.key'),
      TLS_CLIENT_CA_FILE: path('ca.pem'),
      ...settings,
    },
    replacements,
  );
  onTestFinished(() => service[Symbol.asyncDispose]());
  const { grpcPort, httpPort } = service.running;
  return {
    service,
    path,
    writePrincipals(document) {
      writeFileSync(path('principals.yaml'), stringify(document));
      service.running.service.principals?.reload();
    },
    client(protocol, own) {
      const nodeOptions = { ca: authority.cert, ...own };
      const baseUrl = `https://localhost:${httpPort}`;
      if (protocol === 'gRPC-Web') {
        return createClient(MacService, createGrpcWebTransport({ baseUrl, httpVersion: '1.1', nodeOptions }));
      }
      if (protocol !== 'gRPC') {
        const httpVersion = protocol === 'Connect over HTTP/2' ? '2' : '1.1';
        return createClient(MacService, createConnectTransport({ baseUrl, httpVersion, nodeOptions }));
      }
      const channel = credentials.createSsl(
        Buffer.from(authority.cert),
        own === undefined ? null : Buffer.from(own.key),
        own === undefined ? null : Buffer.from(own.cert),
      );
      const transport = createGrpcJsTransport(`localhost:${grpcPort}`, channel);
      onTestFinished(() => transport[Symbol.dispose]());
      return createClient(MacService, transport);
    },
  };
}

const bearing = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
const MISSING = ['Unauthenticated', 'MissingAuthenticationTokenException', 'Missing Authentication Token'];
const INVALID = [
  'Unauthenticated',
  'UnrecognizedClientException',
  'The security token included in the request is invalid.',
];
const EXPIRED = ['Unauthenticated', 'ExpiredTokenException', 'The security token included in the request is expired'];

async function refusalOf(call: Promise<unknown>): Promise<string[]> {
  const { code, exception, message } = await failureOf(call);
  return [code, exception ?? '', message];
}

describe.each(PROTOCOLS)('over %s, a caller', (protocol) => {
  it('is who the bearer token, the JSON Web Token or the certificate says, and the audit log says so', async () => {
    const world = await start();
    const anybody = world.client(protocol);
    const meshed = world.client(protocol, spiffe);
    const jwt = await issuer.sign({ sub: 'ann' });
    const calls = [
      () => anybody.generateMac(GENERATE, bearing(TOKEN)),
      () => anybody.generateMac(GENERATE, bearing(jwt)),
      () => anybody.generateMac(GENERATE, bearing(jwt)),
      () => meshed.generateMac(GENERATE),
      () => meshed.generateMac(GENERATE),
      () => meshed.generateMac(GENERATE, bearing(TOKEN)),
    ];
    for (const call of calls) expect((await call()).mac.length).toBe(32);
    const lines = await world.service.lines(calls.length);
    expect(lines.map(({ principal, authentication, outcome }) => [principal, authentication, outcome])).toEqual([
      [ORDERS, 'bearer', 'OK'],
      [WEB, 'jwt', 'OK'],
      [WEB, 'jwt', 'OK'],
      [MESH, 'tls', 'OK'],
      [MESH, 'tls', 'OK'],
      [ORDERS, 'bearer', 'OK'],
    ]);
  });

  it('who shows nothing, or what is not right, is refused, and audited as nobody', async () => {
    const world = await start();
    const anybody = world.client(protocol);
    const unlisted = world.client(protocol, await authority.issue('mesh', [{ type: 'dns', value: 'unlisted' }]));
    const [untrusted, forged] = await Promise.all(
      ['another authority', 'test authority'].map(async (name) =>
        world.client(protocol, await (await makeAuthority(name)).issue('client', MESH_NAMES)),
      ),
    );
    const meshed = world.client(protocol, spiffe);
    expect(await refusalOf(anybody.generateMac(GENERATE))).toEqual(MISSING);
    expect(await refusalOf(anybody.generateMac(GENERATE, { headers: { authorization: 'Basic YTpi' } }))).toEqual(
      MISSING,
    );
    expect(await refusalOf(unlisted.generateMac(GENERATE))).toEqual(INVALID);
    expect(await refusalOf(untrusted!.generateMac(GENERATE))).toEqual(MISSING);
    // Over HTTP/2, Node.js drops the connection of who feigns the authority itself.
    const outcome = forged!.generateMac(GENERATE).then(
      () => 'served',
      () => 'refused',
    );
    expect(await outcome).toBe('refused');
    for (const token of [`${TOKEN}0`, TOKEN.slice(1), 'x'.repeat(8_193), 'a b', 'a.b.c']) {
      expect(await refusalOf(anybody.generateMac(GENERATE, bearing(token)))).toEqual(INVALID);
      // However good the certificate is.
      expect(await refusalOf(meshed.generateMac(GENERATE, bearing(token)))).toEqual(INVALID);
    }
    const lines = await world.service.lines(14);
    expect(new Set(lines.map(({ principal, authentication }) => `${principal}/${authentication}`))).toEqual(
      new Set(['/none']),
    );
    expect(new Set(lines.map(({ decidedBy }) => decidedBy))).toEqual(
      new Set([
        undefined,
        'no name of the certificate is in the principals file',
        'the token is none of the principals file',
        'the header has no bearer token',
        'the token is no JSON Web Token that can be verified',
      ]),
    );
  });

  it('with a JSON Web Token that is not right is refused', async () => {
    const world = await start();
    const client = world.client(protocol);
    const seconds = Date.now() / 1_000;
    const good = await issuer.sign();
    const [, payload, signature] = good.split('.');
    const publicKey = await importJWK(issuer.keySet.keys[0]!, 'ES256', { extractable: true });
    const pem = Buffer.from(await exportSPKI(publicKey as webcrypto.CryptoKey));
    const claims = { iss: ISSUER, aud: AUDIENCE, sub: 'ann', exp: seconds + 60 };
    const [algorithm, unverifiable] = [
      'the algorithm of the token is not allowed',
      'the token is no JSON Web Token that can be verified',
    ];
    /** Tokens, and what the audit log says is wrong with them. */
    const tokens = [
      [await issuer.sign({ aud: 'other' }), 'the aud of the token is not right'],
      [await issuer.sign({ iss: 'https://other.example' }), 'the issuer of the token is none of the principals file'],
      [await (await makeIssuer()).sign(), 'the signature of the token is not right'],
      [await issuer.sign({ exp: undefined }), 'the exp of the token is not right'],
      [await issuer.sign({ nbf: seconds + 90 }), 'the nbf of the token is not right'],
      [`${encodePart({ alg: 'none' })}.${payload}.`, 'the token is none of the principals file'],
      [`${encodePart({ alg: 'none' })}.${payload}.${signature}`, algorithm],
      [await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: 'first' }).sign(pem), algorithm],
      ['a.b.c', unverifiable],
    ] as const;
    for (const [token] of tokens) {
      expect(await refusalOf(client.generateMac(GENERATE, bearing(token)))).toEqual(INVALID);
    }
    const lines = await world.service.lines(tokens.length);
    expect(lines.map(({ decidedBy }) => decidedBy)).toEqual(tokens.map(([, remark]) => remark));
    const expired = await issuer.sign({ exp: seconds - 61 });
    expect(await refusalOf(client.generateMac(GENERATE, bearing(expired)))).toEqual(EXPIRED);
    expect((await client.generateMac(GENERATE, bearing(good))).mac.length).toBe(32);
  });

  it('who is taken out of the file is out, on connections that are open too; others stay', async () => {
    const world = await start();
    const anybody = world.client(protocol);
    const meshed = world.client(protocol, spiffe);
    const jwt = await issuer.sign({ sub: 'ann' });
    const calls = {
      bearer: () => anybody.generateMac(GENERATE, bearing(TOKEN)),
      jwt: () => anybody.generateMac(GENERATE, bearing(jwt)),
      tls: () => meshed.generateMac(GENERATE),
    };
    const admitted = async (): Promise<string[]> => {
      const outcomes = Object.entries(calls).map(async ([name, call]) =>
        (await call().then(
          () => true,
          () => false,
        ))
          ? [name]
          : [],
      );
      return (await Promise.all(outcomes)).flat();
    };
    expect(await admitted()).toEqual(['bearer', 'jwt', 'tls']);
    world.writePrincipals({ principals: [mesh], oidc: [oidc] });
    expect(await admitted()).toEqual(['jwt', 'tls']);
    writeFileSync(world.path('jwks.json'), JSON.stringify((await makeIssuer()).keySet));
    world.service.running.service.principals?.reload();
    expect(await admitted()).toEqual(['tls']);
    world.writePrincipals({ principals: [orders] });
    expect(await admitted()).toEqual(['bearer']);
    writeFileSync(world.path('principals.yaml'), 'principals: [');
    world.service.running.service.principals?.reload();
    expect(await admitted()).toEqual(['bearer']);
    expect(world.service.running.logged.join('')).toContain('is not YAML; what was in force stays in force');
  });

  it('whose call is under way keeps it while principals and certificates are read anew', async () => {
    const held = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    const inner = openSqliteRecordStore(':memory:');
    let holding = false;
    const store = alteredStore(inner, {
      getMany: async (paths) => {
        if (holding) {
          reached.resolve();
          await held.promise;
        }
        return await inner.getMany(paths);
      },
    });
    const world = await start({}, { store });
    const client = world.client(protocol, spiffe);
    holding = true;
    const underWay = client.generateMac(GENERATE);
    await reached.promise;
    holding = false;
    const second = await authority.issue('second');
    writeFileSync(world.path('server.pem'), second.cert);
    writeFileSync(world.path('server.key'), second.key);
    world.service.running.service.tls?.reload();
    world.writePrincipals({ principals: [orders] });
    held.resolve();
    expect((await underWay).mac.length).toBe(32);
    expect(await refusalOf(client.generateMac(GENERATE))).toEqual(INVALID);
  });
});

describe('credentials', () => {
  it('are in no log, no audit line and no error', async () => {
    const world = await start({ LOG_LEVEL: 'trace' });
    const wrong = 'recognisable-wrong-token';
    const jwt = await issuer.sign({ sub: 'recognisable-subject', exp: 1 });
    const errors: string[] = [];
    for (const protocol of PROTOCOLS) {
      const client = world.client(protocol);
      await client.generateMac(GENERATE, bearing(TOKEN));
      for (const token of [wrong, jwt, `${jwt}x`]) {
        errors.push(JSON.stringify(await failureOf(client.generateMac(GENERATE, bearing(token)))));
      }
    }
    writeFileSync(world.path('principals.yaml'), stringify({ principals: [{ arn: TOKEN, bearer_tokens: [TOKEN] }] }));
    world.service.running.service.principals?.reload();
    await world.service.end();
    const written = [...errors, ...world.service.running.logged, readFileSync(world.service.file, 'utf8')].join('\n');
    expect(written).toContain('UnrecognizedClientException');
    expect(written).toContain('ExpiredTokenException');
    expect(written).toContain('principals[0].arn must be');
    for (const secret of ['recognisable', hash('sha256', TOKEN), ...jwt.split('.')])
      expect(written).not.toContain(secret);
  });

  it('are not needed for health checks', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'p.yaml'), stringify({ principals: [orders] }));
    const service = await startAuditedService({ PRINCIPALS_FILE: join(folder, 'p.yaml') });
    onTestFinished(() => service[Symbol.asyncDispose]());
    expect(await healthOf(service.running.grpcPort)).toBe('SERVING');
    expect(await readinessOf(service.running.adminPort)).toBe(200);
  });

  it('that are missing are HTTP status 401 to Connect', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'p.yaml'), stringify({ principals: [orders] }));
    const service = await startAuditedService({ PRINCIPALS_FILE: join(folder, 'p.yaml') });
    onTestFinished(() => service[Symbol.asyncDispose]());
    const url = `http://127.0.0.1:${service.running.httpPort}/hmacd.v1.KeyService/ListKeys`;
    const post = (headers: Record<string, string>) =>
      fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: '{}' });
    expect((await post({})).status).toBe(401);
    expect((await post({ authorization: 'Bearer x' })).status).toBe(401);
    expect((await post({ authorization: `bearer ${TOKEN}` })).status).toBe(200);
  });
});
