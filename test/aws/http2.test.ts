import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, constants } from 'node:http2';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { makeAuthority } from '../support/certificates.ts';
import { temporaryFolder } from '../support/deployment.ts';
import { startService } from '../support/running-service.ts';

/** A service with TLS, and a connection of HTTP/2 to it; `read` tells the lines of its audit log. */
async function start() {
  const folder = temporaryFolder();
  const authority = await makeAuthority();
  const server = await authority.issue('server');
  const files = { TLS_CERT_FILE: join(folder, 'server.pem'), TLS_KEY_FILE: join(folder, 'server.key') };
  writeFileSync(files.TLS_CERT_FILE, server.cert);
  writeFileSync(files.TLS_KEY_FILE, server.key);
  const auditLog = join(folder, 'audit.log');
  const running = await startService({ ...files, AUDIT_LOG: auditLog });
  onTestFinished(() => running[Symbol.asyncDispose]());
  const session = connect(`https://127.0.0.1:${running.httpPort}`, { ca: authority.cert });
  onTestFinished(() => session.destroy());
  const headers = { ':method': 'POST', ':path': '/', 'content-type': 'application/x-amz-json-1.1' };
  const audited = async (): Promise<string> => {
    await delay(300);
    return readFileSync(auditLog, 'utf8');
  };
  return { session, headers, audited };
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
