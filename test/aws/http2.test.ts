import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, constants } from 'node:http2';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import tls from 'node:tls';
import { expect, it, onTestFinished } from 'vitest';
import { writePrincipals } from '../grants/world.ts';
import { makeAuthority } from '../support/certificates.ts';
import { temporaryFolder } from '../support/deployment.ts';
import { startService } from '../support/running-service.ts';

/** A service with TLS, and a connection of HTTP/2 to it; `read` tells the lines of its audit log. */
async function start(settings: Readonly<Record<string, string>> = {}) {
  const folder = temporaryFolder();
  const authority = await makeAuthority();
  const server = await authority.issue('server');
  const files = { TLS_CERT_FILE: join(folder, 'server.pem'), TLS_KEY_FILE: join(folder, 'server.key') };
  writeFileSync(files.TLS_CERT_FILE, server.cert);
  writeFileSync(files.TLS_KEY_FILE, server.key);
  const auditLog = join(folder, 'audit.log');
  const running = await startService({ ...files, AUDIT_LOG: auditLog, ...settings });
  onTestFinished(() => running[Symbol.asyncDispose]());
  const session = connect(`https://127.0.0.1:${running.httpPort}`, { ca: authority.cert });
  onTestFinished(() => session.destroy());
  const headers = { ':method': 'POST', ':path': '/', 'content-type': 'application/x-amz-json-1.1' };
  const audited = async (): Promise<string> => {
    await delay(300);
    return readFileSync(auditLog, 'utf8');
  };
  return { session, port: running.httpPort, ca: authority.cert, headers, audited };
}

it('AWS JSON is served over HTTP/2', async () => {
  const { session, headers } = await start();
  const request = session.request({ ...headers, 'x-amz-target': 'TrentService.ListKeys', 'content-length': 2 });
  request.end('{}');
  const [answer] = (await once(request, 'response')) as [Record<string, unknown>];
  expect(answer[':status']).toBe(200);
});

it('AWS JSON does not serve a request that was broken off', async () => {
  const { session, headers, audited } = await start();
  const create = { ...headers, 'x-amz-target': 'TrentService.CreateKey' };
  const body = '{"KeySpec":"HMAC_256","KeyUsage":"GENERATE_VERIFY_MAC"}';
  const without = session.request(create);
  without.end(body);
  const [refused] = (await once(without, 'response')) as [Record<string, unknown>];
  expect(refused[':status']).toBe(411);
  const reset = session.request({ ...create, 'content-length': body.length + 10 });
  reset.on('error', () => {});
  reset.write(body);
  await delay(50);
  reset.close(constants.NGHTTP2_CANCEL);
  const dropped = session.request({ ...create, 'content-length': body.length + 10 });
  dropped.on('error', () => {});
  dropped.write(body);
  await delay(50);
  session.destroy();
  expect(await audited()).not.toContain('"CreateKey"');
});

it('A client that goes away before it is answered breaks nothing', async () => {
  const { session, headers } = await start();
  const list = { ...headers, 'x-amz-target': 'TrentService.ListKeys', 'content-length': 2 };
  for (let n = 0; n < 50; n++) {
    const cancelled = session.request(list);
    cancelled.on('error', () => {});
    cancelled.end('{}');
    // Now and then it arrives together with the request.
    if (n % 2 === 0) await delay(1);
    cancelled.close(constants.NGHTTP2_CANCEL);
  }
  const request = session.request(list);
  request.end('{}');
  const [answer] = (await once(request, 'response')) as [Record<string, unknown>];
  expect(answer[':status']).toBe(200);
});

/** A frame of HTTP/2. */
function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header.set([type, flags], 3);
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

/** A header of at most 126 bytes as it is, which no table has. */
function literal(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.of(0, name.length), Buffer.from(name), Buffer.of(value.length), Buffer.from(value)]);
}

it('A request with two credentials has none over HTTP/2, whichever of them is good', async () => {
  const { port, ca, headers } = await start({ PRINCIPALS_FILE: writePrincipals() });
  const list = { ':scheme': 'https', ':authority': 'localhost', ...headers, 'x-amz-target': 'TrentService.ListKeys' };
  const answerTo = async (...tokens: string[]): Promise<string> => {
    // By hand: the client of node:http2 sends no such thing.
    const socket = tls.connect({ port, host: '127.0.0.1', ca, ALPNProtocols: ['h2'] });
    onTestFinished(() => void socket.destroy());
    const lines = [...Object.entries(list), ['content-length', '2'] as const];
    const credentials = tokens.map((token) => ['authorization', `Bearer ${token}`] as const);
    const block = Buffer.concat([...lines, ...credentials].map(([name, value]) => literal(name, value)));
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    socket.write(frame(4, 0, 0, Buffer.alloc(0)));
    socket.write(frame(1, 4, 1, block));
    socket.write(frame(0, 1, 1, Buffer.from('{}')));
    let received = '';
    for await (const chunk of socket) {
      received += (chunk as Buffer).toString('latin1');
      const [body] = /\{.*\}/.exec(received) ?? [];
      if (body !== undefined) return body;
    }
    throw new Error('the connection ended');
  };
  expect(await answerTo('token-of-root')).toContain('"Keys"');
  for (const other of ['wrong', 'token-of-root']) {
    expect(await answerTo('token-of-root', other)).toContain('"UnrecognizedClientException"');
    expect(await answerTo(other, 'token-of-root')).toContain('"UnrecognizedClientException"');
  }
});
