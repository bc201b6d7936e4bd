import { setTimeout as delay } from 'node:timers/promises';
import { fromBinary, type Message } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ErrorInfo, ErrorInfoSchema } from '../../src/gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../src/gen/google/rpc/status_pb.ts';
import { makeKey } from '../macs/specs.ts';
import { type AuditedService, startAuditedService } from './audited-service.ts';
import { GENERATE_MAC, grpcWebTrailers, post, soundGrpcCall, soundHttpCall } from './mac-calls.ts';
import { callRaw, frameOf } from './raw-grpc.ts';
import { callsIn, scrape } from './scrape.ts';

let service: AuditedService;
let keyArn: string;

beforeAll(async () => {
  service = await startAuditedService();
  keyArn = await makeKey(service.running.clients.gRPC);
});

afterAll(() => service[Symbol.asyncDispose]());

/** What a client of each wire is told of a body that is no request. */
interface Told {
  /** The number of the gRPC code. */
  readonly code: number;
  readonly message: string;
  readonly info: ErrorInfo | undefined;
}

/** Longer than a line of the audit log may wait to be written, in milliseconds. */
const SETTLED = 250;
const INVALID_ARGUMENT = 3;
const SECRET = 'a message that only its sender knows';
// Field 1 announces more bytes than there are.
const BROKEN = Buffer.concat([Buffer.of(0x0a, 0x7f), Buffer.from(SECRET)]);
const BROKEN_UTF8 = Buffer.of(0x12, 0x02, 0xc3, 0x28);

async function overGrpc(message: Buffer): Promise<Told> {
  const answer = await callRaw(service.running.grpcPort, { path: GENERATE_MAC, body: frameOf(message) });
  return { code: answer.grpcStatus!, message: answer.grpcMessage, info: infoIn(answer.details) };
}

async function overConnect(contentType: string, body: string | Buffer): Promise<Told> {
  const response = await post(service.running.httpPort, contentType, body);
  const error = (await response.json()) as {
    code: string;
    message: string;
    details?: { type: string; value: string }[];
  };
  const detail = error.details?.find(({ type }) => type === ErrorInfoSchema.typeName);
  return {
    code: error.code === 'invalid_argument' && response.status === 400 ? INVALID_ARGUMENT : -1,
    message: error.message,
    info: detail && fromBinary(ErrorInfoSchema, Buffer.from(detail.value, 'base64')),
  };
}

async function overGrpcWeb(contentType: string, message: Buffer): Promise<Told> {
  const response = await post(service.running.httpPort, contentType, frameOf(message));
  const trailers = grpcWebTrailers(Buffer.from(await response.arrayBuffer()));
  const details = trailers.get('grpc-status-details-bin');
  return {
    code: Number(trailers.get('grpc-status')),
    message: decodeURIComponent(trailers.get('grpc-message') ?? ''),
    info: infoIn(details === undefined ? undefined : Buffer.from(details, 'base64')),
  };
}

function infoIn(status: Buffer | undefined): ErrorInfo | undefined {
  const details = status === undefined ? [] : fromBinary(StatusSchema, status).details;
  const unpacked: (Message | undefined)[] = details.map((detail) => anyUnpack(detail, ErrorInfoSchema));
  return unpacked.find((detail) => detail !== undefined) as ErrorInfo | undefined;
}

const UNDECODABLE: readonly { what: string; wire: string; send: () => Promise<Told>; problem?: string }[] = [
  { what: 'broken protobuf over gRPC', wire: 'grpc', send: () => overGrpc(BROKEN) },
  { what: 'broken UTF-8 over gRPC', wire: 'grpc', send: () => overGrpc(BROKEN_UTF8) },
  { what: 'broken protobuf over Connect', wire: 'connect', send: () => overConnect('application/proto', BROKEN) },
  { what: 'broken UTF-8 over Connect', wire: 'connect', send: () => overConnect('application/proto', BROKEN_UTF8) },
  {
    what: 'broken JSON over Connect',
    wire: 'connect',
    send: () => overConnect('application/json', `{"message": ${SECRET}`),
  },
  {
    what: 'JSON of a wrong type over Connect',
    wire: 'connect',
    send: () => overConnect('application/json', `{"keyId": {"${SECRET}": 1}}`),
    problem: 'key_id cannot be read',
  },
  { what: 'JSON that is no object over Connect', wire: 'connect', send: () => overConnect('application/json', '[]') },
  {
    what: 'a member that is misspelt over Connect',
    wire: 'connect',
    send: () => overConnect('application/json', '{"dryrun":true}'),
    problem: 'GenerateMacRequest has no such member; it has message, keyId, macAlgorithm, grantTokens, dryRun',
  },
  {
    what: 'an algorithm that there is not over Connect',
    wire: 'connect',
    send: () => overConnect('application/json', '{"macAlgorithm":"MAC_ALGORITHM_HMAC_MD5"}'),
    problem: `there is no such MacAlgorithm; it is one of ${[224, 256, 384, 512].map((size) => `MAC_ALGORITHM_HMAC_SHA_${size}`).join(', ')}`,
  },
  { what: 'no JSON over Connect', wire: 'connect', send: () => overConnect('application/json', '') },
  {
    what: 'broken base64 over Connect',
    wire: 'connect',
    send: () => overConnect('application/json', '{"message":"%"}'),
    problem: 'message cannot be read',
  },
  {
    what: 'broken protobuf over gRPC-Web',
    wire: 'grpc-web',
    send: () => overGrpcWeb('application/grpc-web+proto', BROKEN),
  },
  {
    what: 'broken JSON over gRPC-Web',
    wire: 'grpc-web',
    send: () => overGrpcWeb('application/grpc-web+json', Buffer.from(`{"message": ${SECRET}`)),
  },
];

describe.each(UNDECODABLE)('$what', ({ wire, send, problem }) => {
  it('is INVALID_ARGUMENT, and the next call is served', async () => {
    expect((await send()).code).toBe(INVALID_ARGUMENT);
    expect(await soundGrpcCall(service.running.grpcPort, keyArn)).toBe(32);
    expect(await soundHttpCall(service.running.httpPort, keyArn)).toBe(200);
  });

  it('is a SerializationException with a text of what the contract has, and nothing else', async () => {
    const { message, info } = await send();
    expect(message).toBe(`The request does not decode${problem === undefined ? '' : `: ${problem}`}.`);
    expect(info).toMatchObject({
      reason: 'SERIALIZATION',
      domain: 'hmacd',
      metadata: { exception: 'SerializationException' },
    });
  });

  it('is not repeated in the answer', async () => {
    expect((await send()).message).not.toContain(SECRET.slice(0, 6));
  });

  it('is audited and counted once', async () => {
    const { running } = service;
    await delay(SETTLED);
    const linesBefore = (await service.lines(1)).length;
    const before = callsIn(await scrape(running.adminPort), 'GenerateMac', wire, 'SerializationException');
    await send();
    await expect
      .poll(async () => callsIn(await scrape(running.adminPort), 'GenerateMac', wire, 'SerializationException'))
      .toBe(before + 1);
    const lines = await service.lines(linesBefore + 1);
    expect(lines.slice(linesBefore)).toEqual([
      expect.objectContaining({ operation: 'GenerateMac', wire, outcome: 'SerializationException' }),
    ]);
  });
});

it('what is undecodable is audited with the caller, whom the wire knew before', async () => {
  await delay(SETTLED);
  const before = (await service.lines(1)).length;
  for (const { send } of UNDECODABLE) await send();
  const lines = await service.lines(before + UNDECODABLE.length);
  const principals = new Set(lines.slice(before).map(({ principal, wire }) => `${wire} ${principal}`));
  expect([...principals].toSorted()).toEqual(
    ['connect', 'grpc', 'grpc-web'].map((wire) => `${wire} arn:aws:iam::000000000000:root`),
  );
});
