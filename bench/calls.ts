import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { bearerToken } from './access.ts';
import { unaryCall } from './unary-call.ts';
import { deepEqual } from 'node:assert/strict';
import { GenerateMacRequestSchema, GenerateMacResponseSchema, MacAlgorithm } from '../src/gen/hmacd/v1/mac_pb.ts';
import { benchKey, macOf } from './key.ts';

/** A call that is made over and over. */
export type Call = {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /**
   * Makes the call once, by an ordinary client.
   *
   * @returns the bytes of the answer's body; all right answers have as many, and no error has
   * @throws when the answer is not the right one
   */
  check(address: string): Promise<number>;
};

const path = '/hmacd.v1.MacService/GenerateMac';
const checkTimeout = 5_000;
/** Shown to every server, also those that do not ask who calls. */
const authorization = `Bearer ${bearerToken}`;

/** GenerateMac by gRPC: the message is led by a zero byte and its length in four. */
export function grpcCall(size: number): Call {
  const message = messageOf(size);
  const macAlgorithm = MacAlgorithm.HMAC_SHA_256;
  const request = create(GenerateMacRequestSchema, { message, keyId: benchKey.alias, macAlgorithm });
  const bytes = Buffer.from(toBinary(GenerateMacRequestSchema, request));
  return {
    path,
    headers: { 'content-type': 'application/grpc', te: 'trailers', authorization },
    body: framed(bytes),
    async check(address) {
      const answer = await unaryCall(address, path, bytes, { authorization });
      const { mac, keyId, macAlgorithm: by } = fromBinary(GenerateMacResponseSchema, answer);
      const found = { mac: Buffer.from(mac).toString('hex'), keyId, by };
      deepEqual(found, { mac: macOf(message).toString('hex'), keyId: benchKey.arn, by: macAlgorithm });
      return framed(answer).length;
    },
  };
}

/** GenerateMac by Connect, in the JSON form of the same messages. */
export function connectCall(size: number): Call {
  const message = messageOf(size);
  const macAlgorithm = 'MAC_ALGORITHM_HMAC_SHA_256';
  const body = JSON.stringify({ message: message.toString('base64'), keyId: benchKey.alias, macAlgorithm });
  const headers = { 'content-type': 'application/json' };
  return {
    path,
    headers,
    body: Buffer.from(body),
    async check(address) {
      const signal = AbortSignal.timeout(checkTimeout);
      // A connection that is kept may be closed by the server just when the next round's check takes it up again.
      const once = { ...headers, connection: 'close' };
      const response = await fetch(`http://${address}${path}`, { method: 'POST', headers: once, body, signal });
      const text = await response.text();
      if (response.status !== 200) throw new Error(`HTTP ${response.status}: ${text}`);
      deepEqual(JSON.parse(text), { mac: macOf(message).toString('base64'), macAlgorithm, keyId: benchKey.arn });
      return Buffer.byteLength(text);
    },
  };
}

function messageOf(size: number): Buffer {
  return Buffer.alloc(size, 'a message to authenticate; ');
}

function framed(bytes: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}
