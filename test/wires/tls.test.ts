import { writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { connect, type DetailedPeerCertificate } from 'node:tls';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { describe, expect, test } from 'vitest';
import { MacAlgorithm, MacService } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { Tls } from '../../src/wires/tls.ts';
import { type Authority, type Certificate, folderWith, makeAuthority } from '../support/certificates.ts';
import { type RunningService, startService } from '../support/running-service.ts';
import { DEMO_SEED_FILE } from '../../src/config.ts';

const GENERATE = {
  keyId: 'alias/demo',
  message: Buffer.from('hello'),
  macAlgorithm: MacAlgorithm.HMAC_SHA_256,
};

interface Setup extends AsyncDisposable {
  readonly authority: Authority;
  readonly client: Certificate;
  readonly running: RunningService;
  readonly path: (name: string) => string;
}

async function startWithTls(settings: Readonly<Record<string, string>> = {}): Promise<Setup> {
  await using stack = new AsyncDisposableStack();
  const authority = await makeAuthority();
  const server = await authority.issue('first');
  const folder = stack.use(
    await folderWith({ 'server.pem': server.cert, 'server.key': server.key, 'ca.pem': authority.cert }),
  );
  const files = { TLS_CERT_FILE: folder.path('server.pem'), TLS_KEY_FILE: folder.path('server.key') };
  const given = Object.fromEntries(Object.entries(settings).map(([k, v]) => [k, v === 'ca.pem' ? folder.path(v) : v]));
  const running = stack.use(await startService({ SEED_FILE: DEMO_SEED_FILE, ...files, ...given }));
  const owned = stack.move();
  return {
    authority,
    client: await authority.issue('client'),
    running,
    path: (name) => folder.path(name),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function clients({ authority, running }: Setup, own?: Certificate) {
  const nodeOptions = { ca: authority.cert, ...own };
  const http = `https://localhost:${running.httpPort}`;
  const overConnect = (httpVersion: '1.1' | '2') => createConnectTransport({ baseUrl: http, httpVersion, nodeOptions });
  return {
    'gRPC on the gRPC listener': createClient(
      MacService,
      createGrpcTransport({ baseUrl: `https://localhost:${running.grpcPort}`, nodeOptions }),
    ),
    'gRPC on the HTTP listener': createClient(MacService, createGrpcTransport({ baseUrl: http, nodeOptions })),
    'Connect over HTTP/1.1': createClient(MacService, overConnect('1.1')),
    'Connect over HTTP/2': createClient(MacService, overConnect('2')),
  };
}

describe('TLS', () => {
  test('serves every protocol', async () => {
    await using setup = await startWithTls();
    for (const [name, client] of Object.entries(clients(setup))) {
      expect([name, (await client.generateMac(GENERATE)).mac.length]).toEqual([name, 32]);
    }
  });

  test('turns away who speaks without it', async () => {
    await using setup = await startWithTls();
    const plain = createClient(
      MacService,
      createConnectTransport({ baseUrl: `http://localhost:${setup.running.httpPort}`, httpVersion: '1.1' }),
    );
    expect(await fails(plain.generateMac(GENERATE))).toBe(true);
    expect(await fails(setup.running.clients.gRPC.mac.generateMac(GENERATE))).toBe(true);
  });

  test('asks for a client certificate, and goes on without one unless it is required', async () => {
    await using setup = await startWithTls({ TLS_CLIENT_CA_FILE: 'ca.pem' });
    for (const [name, client] of Object.entries(clients(setup))) {
      expect([name, (await client.generateMac(GENERATE)).mac.length]).toEqual([name, 32]);
    }
  });

  test('turns away who has no certificate of the authority where one is required', async () => {
    await using setup = await startWithTls({ TLS_CLIENT_CA_FILE: 'ca.pem', TLS_CLIENT_AUTH: 'required' });
    const stranger = await (await makeAuthority()).issue('stranger');
    for (const own of [undefined, stranger]) {
      for (const [name, client] of Object.entries(clients(setup, own))) {
        expect([name, await fails(client.generateMac(GENERATE))]).toEqual([name, true]);
      }
    }
    for (const [name, client] of Object.entries(clients(setup, setup.client))) {
      expect([name, (await client.generateMac(GENERATE)).mac.length]).toEqual([name, 32]);
    }
  });

  test('refuses, over HTTP/2 too, to be called by a name that is not its own', async () => {
    await using setup = await startWithTls({ ALLOWED_HOSTS: 'hmacd.example' });
    const { authority, running } = setup;
    const status = await new Promise((resolve, reject) => {
      request(`https://localhost:${running.httpPort}/`, { ca: authority.cert }, (answer) => resolve(answer.statusCode))
        .on('error', reject)
        .end();
    });
    expect(status).toBe(421);
    expect(await fails(clients(setup)['Connect over HTTP/2'].generateMac(GENERATE))).toBe(true);
  });
});

describe('the certificate', () => {
  test('is read anew: new connections get the new one, and those that are open go on', async () => {
    await using setup = await startWithTls();
    const { authority, running, path } = setup;
    const open = clients(setup);
    await Promise.all(Object.values(open).map((client) => client.generateMac(GENERATE)));
    const second = await authority.issue('second');
    await writeFile(path('server.pem'), second.cert);
    running.service.tls?.reload(); // The key is still the old one: this must change nothing.
    expect(running.logged.join('')).toContain('cannot be used');
    expect(await commonNameAt(running.httpPort, authority)).toBe('first');
    await writeFile(path('server.key'), second.key);
    running.service.tls?.reload();
    await Promise.all(Object.values(open).map((client) => client.generateMac(GENERATE)));
    expect(await commonNameAt(running.httpPort, authority)).toBe('second');
    expect(await commonNameAt(running.grpcPort, authority)).toBe('second');
  });

  test('stops the start with a sentence when it cannot be used', async () => {
    const authority = await makeAuthority();
    const [one, other] = [await authority.issue('one'), await authority.issue('other')];
    await using folder = await folderWith({ 'one.pem': one.cert, 'other.key': other.key });
    const files = { certFile: folder.path('one.pem'), clientCaFile: undefined, clientAuthRequired: false };
    expect(() => new Tls({ ...files, keyFile: folder.path('other.key') }, () => {})).toThrow(/cannot be used: ERR_/);
    expect(() => new Tls({ ...files, keyFile: folder.path('none') }, () => {})).toThrow(/none cannot be read: ENOENT/);
  });
});

async function fails(call: Promise<unknown>): Promise<boolean> {
  return await call.then(
    () => false,
    () => true,
  );
}

async function commonNameAt(port: number, authority: Authority): Promise<unknown> {
  return await new Promise((resolve, reject) => {
    const socket = connect({ port, host: 'localhost', ca: authority.cert, ALPNProtocols: ['h2'] }, () => {
      const { subject } = socket.getPeerCertificate() as DetailedPeerCertificate;
      socket.destroy();
      resolve(subject.CN);
    }).on('error', reject);
  });
}
