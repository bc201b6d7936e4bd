import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeKey } from '../macs/specs.ts';
import { type RunningService, startService } from '../support/running-service.ts';
import { GENERATE_MAC, requestBytes, soundGrpcCall } from './mac-calls.ts';
import { callRaw, frameOf, type RawCall } from './raw-grpc.ts';
import { exchange } from './raw-http.ts';

let running: RunningService;
let keyArn: string;

beforeAll(async () => {
  running = await startService();
  keyArn = await makeKey(running.clients.gRPC);
});

afterAll(() => running[Symbol.asyncDispose]());

const path = GENERATE_MAC;
const sound = () => requestBytes(keyArn);
const GZIP = { 'grpc-encoding': 'gzip' };
const [UNIMPLEMENTED, RESOURCE_EXHAUSTED] = [12, 8];

/** Requests that no client library of gRPC would send, and the code that each gets. */
const BAD: readonly { what: string; call: () => RawCall; status: number }[] = [
  {
    what: 'a frame that claims 4 GiB',
    call: () => ({ path, body: frameOf(Buffer.alloc(0), { claims: 0xffff_ffff }) }),
    status: RESOURCE_EXHAUSTED,
  },
  {
    what: 'a message of more than 256 KiB',
    call: () => ({ path, body: frameOf(Buffer.alloc(256 * 1_024 + 1)) }),
    status: RESOURCE_EXHAUSTED,
  },
  {
    what: 'a message that inflates to more than 256 KiB',
    call: () => ({
      path,
      headers: GZIP,
      body: frameOf(gzipSync(Buffer.alloc(64 * 1_024 * 1_024)), { compressed: true }),
    }),
    status: RESOURCE_EXHAUSTED,
  },
  {
    what: 'a compression that is not known',
    call: () => ({ path, headers: { 'grpc-encoding': 'snappy' }, body: frameOf(sound(), { compressed: true }) }),
    status: UNIMPLEMENTED,
  },
  {
    what: 'an unknown method',
    call: () => ({ path: '/hmacd.v1.MacService/Encrypt', body: frameOf(sound()) }),
    status: UNIMPLEMENTED,
  },
  {
    what: 'an unknown service',
    call: () => ({ path: '/hmacd.v1.NoService/GenerateMac', body: frameOf(sound()) }),
    status: UNIMPLEMENTED,
  },
  { what: 'the path /', call: () => ({ path: '/', body: frameOf(sound()) }), status: UNIMPLEMENTED },
  { what: 'the path //', call: () => ({ path: '//', body: frameOf(sound()) }), status: UNIMPLEMENTED },
];

/** Requests that are broken below gRPC's messages; which code they get is the library's affair, but it is an error. */
const BROKEN: readonly { what: string; call: () => RawCall }[] = [
  { what: 'no frame', call: () => ({ path, body: Buffer.alloc(0) }) },
  { what: 'half a frame header', call: () => ({ path, body: Buffer.alloc(3) }) },
  { what: 'a frame that ends too early', call: () => ({ path, body: frameOf(sound(), { claims: 1_000 }) }) },
  { what: 'two messages', call: () => ({ path, body: Buffer.concat([frameOf(sound()), frameOf(sound())]) }) },
  {
    what: 'a message that is not compressed as it says',
    call: () => ({ path, headers: GZIP, body: frameOf(sound(), { compressed: true }) }),
  },
  {
    what: 'a deadline that is none',
    call: () => ({ path, headers: { 'grpc-timeout': 'tomorrow' }, body: frameOf(sound()) }),
  },
];

const lengthOfGoodMac = () => soundGrpcCall(running.grpcPort, keyArn);

describe('the gRPC listener', () => {
  for (const { what, call, status } of BAD) {
    it(`refuses ${what} with its code, and serves the next call`, async () => {
      const answer = await callRaw(running.grpcPort, call());
      expect(answer).toMatchObject({ httpStatus: 200, grpcStatus: status });
      expect(answer.body).toHaveLength(0);
      expect(await lengthOfGoodMac()).toBe(32);
    });
  }

  for (const { what, call } of BROKEN) {
    it(`refuses ${what}, and serves the next call`, async () => {
      const answer = await callRaw(running.grpcPort, call());
      expect(answer.grpcStatus).toBeGreaterThan(0);
      expect(answer.body).toHaveLength(0);
      expect(await lengthOfGoodMac()).toBe(32);
    });
  }

  it('serves a compressed request, as every server of gRPC does', async () => {
    const body = frameOf(gzipSync(sound()), { compressed: true });
    expect(await callRaw(running.grpcPort, { path, headers: GZIP, body })).toMatchObject({ grpcStatus: 0 });
  });

  it('refuses another content type with 415, and serves the next call', async () => {
    const headers = { 'content-type': 'application/json' };
    expect(await callRaw(running.grpcPort, { path, headers, body: frameOf(sound()) })).toMatchObject({
      httpStatus: 415,
      grpcStatus: undefined,
    });
    expect(await lengthOfGoodMac()).toBe(32);
  });

  it.each([
    { what: 'HTTP/1.1', bytes: 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n' },
    { what: 'the hello of TLS', bytes: Buffer.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]) },
    { what: 'a preface with rubbish behind it', bytes: `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${'rubbish'.repeat(50)}` },
  ])('hangs up on $what, and serves the next call', async ({ bytes }) => {
    await exchange(running.grpcPort, bytes);
    expect(await lengthOfGoodMac()).toBe(32);
  });
});
