import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeKey } from '../macs/specs.ts';
import { type RunningService, startService } from '../support/running-service.ts';
import { GENERATE_MAC, grpcWebTrailers, post, requestBytes, requestJson, soundHttpCall } from './mac-calls.ts';
import { frameOf } from './raw-grpc.ts';
import { exchange, requestText } from './raw-http.ts';

let running: RunningService;
let keyArn: string;

beforeAll(async () => {
  running = await startService();
  keyArn = await makeKey(running.clients.gRPC);
});

afterAll(() => running[Symbol.asyncDispose]());

const JSON_TYPE = { 'Content-Type': 'application/json' };
const sound = () => requestJson(keyArn);
const statusOfGoodCall = () => soundHttpCall(running.httpPort, keyArn);

/** What comes over a raw socket, and the status line that it gets; each request ends its connection. */
const RAW: readonly { what: string; text: () => string | Buffer; status: number }[] = [
  { what: 'GET', text: () => requestText(`GET ${GENERATE_MAC}`), status: 405 },
  {
    what: 'GET with the request in the URL',
    text: () => requestText(`GET ${GENERATE_MAC}?encoding=json&message=${encodeURIComponent(sound())}`),
    status: 405,
  },
  { what: 'PUT', text: () => requestText(`PUT ${GENERATE_MAC}`, JSON_TYPE, sound()), status: 405 },
  { what: 'no content type', text: () => requestText(`POST ${GENERATE_MAC}`, {}, sound()), status: 415 },
  ...['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=b', 'application/grpc'].map(
    (type) => ({
      what: `the content type ${type}`,
      text: () => requestText(`POST ${GENERATE_MAC}`, { 'Content-Type': type }, sound()),
      status: 415,
    }),
  ),
  {
    what: 'the content type of a stream',
    text: () => requestText(`POST ${GENERATE_MAC}`, { 'Content-Type': 'application/connect+json' }, sound()),
    status: 415,
  },
  {
    what: 'an unknown method',
    text: () => requestText('POST /hmacd.v1.MacService/Encrypt', JSON_TYPE, sound()),
    status: 404,
  },
  {
    what: 'an unknown service',
    text: () => requestText('POST /hmacd.v1.NoService/GenerateMac', JSON_TYPE, sound()),
    status: 404,
  },
  { what: 'the path /', text: () => requestText('POST /', JSON_TYPE, sound()), status: 404 },
  { what: 'a path that is not encoded', text: () => requestText('POST /%zz', JSON_TYPE, sound()), status: 404 },
  {
    what: 'a compressed request',
    text: () => requestText(`POST ${GENERATE_MAC}`, { ...JSON_TYPE, 'Content-Encoding': 'gzip' }, sound()),
    status: 501,
  },
  {
    what: 'a body of more than 256 KiB',
    text: () => requestText(`POST ${GENERATE_MAC}`, JSON_TYPE, `"${'x'.repeat(256 * 1_024)}"`),
    status: 429,
  },
  {
    what: 'a body that claims 100 GB',
    text: () => requestText(`POST ${GENERATE_MAC}`, { ...JSON_TYPE, 'Content-Length': '100000000000' }, '{}'),
    status: 429,
  },
  {
    what: 'a timeout that is none',
    text: () => requestText(`POST ${GENERATE_MAC}`, { ...JSON_TYPE, 'Connect-Timeout-Ms': 'soon' }, sound()),
    status: 400,
  },
  { what: 'what is not HTTP', text: () => Buffer.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]), status: 400 },
  { what: 'the preface of HTTP/2', text: () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', status: 400 },
  {
    what: 'headers of more than 32 KiB',
    text: () => requestText(`POST ${GENERATE_MAC}`, { ...JSON_TYPE, 'X-Long': 'x'.repeat(32 * 1_024) }, sound()),
    status: 431,
  },
  {
    what: 'a length beside a transfer encoding',
    text: () => requestText(`POST ${GENERATE_MAC}`, { ...JSON_TYPE, 'Transfer-Encoding': 'chunked' }, sound()),
    status: 400,
  },
];

describe('the HTTP listener', () => {
  for (const { what, text, status } of RAW) {
    it(`answers ${what} with ${status}, and serves the next call`, async () => {
      const answer = await exchange(running.httpPort, text());
      expect(answer.slice(0, 12)).toBe(`HTTP/1.1 ${status}`);
      expect(answer).not.toContain('"mac"');
      expect(await statusOfGoodCall()).toBe(200);
    });
  }

  it('does not serve what stands behind a request on its connection and is none', async () => {
    const request = requestText(`POST ${GENERATE_MAC}`, { ...JSON_TYPE, Connection: 'keep-alive' }, sound());
    expect(await exchange(running.httpPort, `${request}RUBBISH\r\n\r\n`)).toContain('HTTP/1.1 400');
    expect(await statusOfGoodCall()).toBe(200);
  });

  it('serves requests that are sent before the answers to earlier ones, in their order', async () => {
    const first = requestText(`POST ${GENERATE_MAC}`, { ...JSON_TYPE, Connection: 'keep-alive' }, sound());
    const second = requestText(`POST /hmacd.v1.MacService/Encrypt`, JSON_TYPE, sound());
    const answers = (await exchange(running.httpPort, first + second)).match(/HTTP\/1\.1 \d+/g);
    expect(answers).toEqual(['HTTP/1.1 200', 'HTTP/1.1 404']);
  });

  it.each([
    {
      what: 'a frame that claims 4 GiB',
      status: '8',
      body: () => frameOf(Buffer.alloc(0), { claims: 0xffff_ffff }),
      headers: {},
    },
    {
      what: 'a compressed message',
      status: '12',
      body: () => frameOf(gzipSync(requestBytes(keyArn)), { compressed: true }),
      headers: { 'grpc-encoding': 'gzip' },
    },
  ])('refuses $what over gRPC-Web, and serves the next call', async ({ status, body, headers }) => {
    const response = await post(running.httpPort, 'application/grpc-web+proto', body(), headers);
    expect(response.status).toBe(200);
    expect(grpcWebTrailers(Buffer.from(await response.arrayBuffer())).get('grpc-status')).toBe(status);
    expect(await statusOfGoodCall()).toBe(200);
  });
});
