import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type HmacdProcess, startHmacd } from '../support/hmacd-process.ts';
import { makeKey } from '../macs/specs.ts';
import { GENERATE_MAC, requestJson, soundHttpCall } from './mac-calls.ts';
import { exchange, requestText } from './raw-http.ts';

// In a process of its own, because what is thrown where nobody catches it ends the process, of the tests or of the service.

let hmacd: HmacdProcess;

const start = async () => {
  hmacd = await startHmacd({ STORE: 'sqlite::memory:', AUDIT_LOG: 'off' });
};

beforeAll(start);
afterAll(() => hmacd[Symbol.asyncDispose]());

const JSON_TYPE = { 'Content-Type': 'application/json' };

/** Requests that HTTP allows and that are no URL, or less than one. */
const REQUESTS: readonly { what: string; text: string }[] = [
  { what: 'POST //', text: requestText('POST //', JSON_TYPE, '{}') },
  { what: 'GET //, which any web page can have a browser send', text: requestText('GET //') },
  { what: 'POST of a URL that has no end', text: requestText('POST http://[', JSON_TYPE, '{}') },
  { what: 'POST ///', text: requestText('POST ///', JSON_TYPE, '{}') },
  { what: 'OPTIONS *', text: requestText('OPTIONS *') },
  { what: 'CONNECT', text: requestText('CONNECT localhost:80') },
  { what: 'an upgrade to HTTP/2', text: requestText('GET /', { Connection: 'Upgrade, close', Upgrade: 'h2c' }) },
  {
    what: 'a Host with a port that is none',
    text: requestText(`POST ${GENERATE_MAC}`, { ...JSON_TYPE, Host: 'localhost:99999' }, '{}'),
  },
  {
    what: 'a Host with an empty port',
    text: requestText(`POST ${GENERATE_MAC}`, { ...JSON_TYPE, Host: 'localhost:' }, '{}'),
  },
  {
    what: 'an expectation that is not known',
    text: requestText(`POST ${GENERATE_MAC}`, { ...JSON_TYPE, Expect: 'tea' }, '{}'),
  },
  { what: 'a NUL in a query', text: requestText(`POST ${GENERATE_MAC}?%00=%`, JSON_TYPE, requestJson('alias/x')) },
];

describe('a service that gets', () => {
  for (const { what, text } of REQUESTS) {
    it(`${what} goes on serving`, async () => {
      const keyArn = await makeKey(hmacd.clients['Connect JSON']);
      await exchange(hmacd.httpPort, text);
      // Whoever the request ends, it does so a moment after the connection.
      const over = await Promise.race([hmacd.ended, new Promise((resolve) => setTimeout(resolve, 200, 'alive'))]);
      const written = hmacd.stderr();
      if (over !== 'alive') await start();
      expect(over, `it wrote ${written}`).toBe('alive');
      expect(await soundHttpCall(hmacd.httpPort, keyArn)).toBe(200);
    });
  }

  it('half a request and then nothing goes on serving', async () => {
    const keyArn = await makeKey(hmacd.clients['Connect JSON']);
    const text = requestText(`POST ${GENERATE_MAC}`, { ...JSON_TYPE, 'Content-Length': '100' }, '{}');
    await exchange(hmacd.httpPort, text).catch(() => {}); // The server waits for the rest; this side gives up.
    expect(await soundHttpCall(hmacd.httpPort, keyArn)).toBe(200);
  });
});
