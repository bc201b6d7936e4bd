import { describe, expect, it } from 'vitest';
import { writePrincipals } from '../grants/world.ts';
import { type RunningService, startService } from '../support/running-service.ts';
import { GENERATE_MAC } from './mac-calls.ts';
import { exchange, requestText } from './raw-http.ts';

const LIST_KEYS = '/hmacd.v1.KeyService/ListKeys';
const JSON_TYPE = { 'Content-Type': 'application/json' };

/** The status and the headers, with their names in lower case, of an answer to ListKeys or to a preflight for it. */
async function ask({ httpPort }: RunningService, method: string, headers: Readonly<Record<string, string>>) {
  const body = method === 'POST' ? '{}' : '';
  const answer = await exchange(httpPort, requestText(`${method} ${LIST_KEYS}`, { ...JSON_TYPE, ...headers }, body));
  const [head = '', ...rest] = answer.split('\r\n\r\n');
  const [statusLine = '', ...lines] = head.split('\r\n');
  return {
    status: Number(statusLine.split(' ')[1]),
    headers: Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    ) as Readonly<Record<string, string | undefined>>,
    body: rest.join('\r\n\r\n'),
  };
}

describe('by default the HTTP listener', () => {
  it.each(['localhost', 'localhost:8080', 'LOCALHOST', '127.0.0.1', '127.0.0.1:65535', '[::1]', '[::1]:8080'])(
    'serves what is addressed to %s',
    async (host) => {
      await using running = await startService();
      expect((await ask(running, 'POST', { Host: host })).status).toBe(200);
    },
  );

  it.each([
    'attacker.example',
    'attacker.example:8080',
    'localhost.attacker.example',
    'attacker.example.localhost',
    'localhost.',
    '127.0.0.2',
    '[::2]:8080',
    'localhost:99999',
    'local host',
    '',
  ])('refuses what is addressed to "%s" with 421, and does not say it back', async (host) => {
    await using running = await startService();
    const { status, body } = await ask(running, 'POST', { Host: host });
    expect(status).toBe(421);
    expect(body).toContain('HMACD_ALLOWED_HOSTS');
    expect(body).not.toContain(host === '' ? '""' : host);
  });

  it('refuses a name also of HTTP/1.0, which need not tell any', async () => {
    await using running = await startService();
    const text = `POST ${LIST_KEYS} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`;
    expect(await exchange(running.httpPort, text)).toContain(' 421 ');
  });

  it('refuses a name before it looks at anything else', async () => {
    await using running = await startService({ CORS_ORIGINS: 'https://app.example.org' });
    const headers = { Host: 'attacker.example', Origin: 'https://app.example.org' };
    expect((await ask(running, 'OPTIONS', headers)).status).toBe(421);
    expect((await ask(running, 'GET', headers)).status).toBe(421);
  });

  it('tells no browser that a page may call it', async () => {
    await using running = await startService();
    for (const method of ['POST', 'OPTIONS']) {
      const { headers } = await ask(running, method, { Origin: 'http://localhost' });
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control-'))).toEqual([]);
    }
  });

  it('does not serve what a page can send without asking', async () => {
    await using running = await startService();
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=b']) {
      expect((await ask(running, 'POST', { 'Content-Type': type, Origin: 'https://attacker.example' })).status).toBe(
        415,
      );
    }
    const text = requestText(`GET ${GENERATE_MAC}?encoding=json&message={}`);
    expect(await exchange(running.httpPort, text)).toContain(' 405 ');
  });
});

describe('HMACD_ALLOWED_HOSTS', () => {
  it('names all that is served: the names of loopback no longer', async () => {
    await using running = await startService({ ALLOWED_HOSTS: 'hmacd.internal,10.0.0.7' });
    expect((await ask(running, 'POST', { Host: 'hmacd.internal:8080' })).status).toBe(200);
    expect((await ask(running, 'POST', { Host: '10.0.0.7' })).status).toBe(200);
    expect((await ask(running, 'POST', { Host: 'localhost' })).status).toBe(421);
  });
});

describe('HMACD_CORS_ORIGINS', () => {
  const ORIGINS = ['https://app.example.org', 'http://localhost:3000'];
  const start = () => startService({ CORS_ORIGINS: ORIGINS.join(',') });
  const PREFLIGHT = {
    'Access-Control-Request-Method': 'POST',
    'Access-Control-Request-Headers': 'content-type,connect-protocol-version,authorization',
  };

  it.each(ORIGINS)('lets pages of %s ask first, and call', async (origin) => {
    await using running = await start();
    const preflight = await ask(running, 'OPTIONS', { ...PREFLIGHT, Origin: origin });
    expect(preflight.status).toBe(204);
    expect(preflight.headers).toMatchObject({ 'access-control-allow-origin': origin, vary: 'origin' });
    expect(preflight.headers['access-control-allow-methods']).toContain('POST');
    const allowed = preflight.headers['access-control-allow-headers']!.toLowerCase().split(', ');
    for (const name of [
      'content-type',
      'connect-protocol-version',
      'connect-timeout-ms',
      'x-grpc-web',
      'authorization',
    ]) {
      expect(allowed).toContain(name);
    }
    const call = await ask(running, 'POST', { Origin: origin });
    expect(call.status).toBe(200);
    expect(call.headers).toMatchObject({ 'access-control-allow-origin': origin, vary: 'origin' });
    expect(call.headers['access-control-expose-headers']?.toLowerCase()).toContain('grpc-status');
    expect(call.headers['access-control-allow-credentials']).toBeUndefined();
  });

  it('lets a page read an error', async () => {
    await using running = await start();
    const { headers } = await ask(running, 'PUT', { Origin: ORIGINS[0]! });
    expect(headers['access-control-allow-origin']).toBe(ORIGINS[0]);
  });

  it.each([
    'https://app.example.org:444',
    'http://app.example.org',
    'https://example.org',
    'null',
    'https://app.example.org.attacker.example',
  ])('lets no page of %s call', async (origin) => {
    await using running = await start();
    const preflight = await ask(running, 'OPTIONS', { ...PREFLIGHT, Origin: origin });
    expect(preflight.status).toBe(405);
    expect(preflight.headers['access-control-allow-origin']).toBeUndefined();
    expect((await ask(running, 'POST', { Origin: origin })).headers['access-control-allow-origin']).toBeUndefined();
  });
});

it('A request with two credentials has none, whichever of them is good', async () => {
  await using running = await startService({ PRINCIPALS_FILE: writePrincipals() });
  const statusOf = async (...tokens: string[]): Promise<string | undefined> => {
    const request = requestText(`POST ${LIST_KEYS}`, JSON_TYPE, '{}');
    const lines = tokens.map((token) => `Authorization: Bearer ${token}\r\n`).join('');
    const answer = await exchange(running.httpPort, request.replace('\r\n', `\r\n${lines}`));
    return answer.split(' ')[1];
  };
  expect(await statusOf('token-of-root')).toBe('200');
  for (const other of ['token-of-admin', 'wrong', 'token-of-root']) {
    expect(await statusOf('token-of-root', other)).toBe('401');
    expect(await statusOf(other, 'token-of-root')).toBe('401');
  }
});
