import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { GenerateMacRequestSchema, GenerateMacResponseSchema, MacAlgorithm } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { callRaw, frameOf } from './raw-grpc.ts';

// Calls of GenerateMac below the client libraries: what surrounds them can be wrong in every way there is.

export const GENERATE_MAC = '/hmacd.v1.MacService/GenerateMac';

/** A sound request, as protobuf. */
export function requestBytes(keyId: string, message = 'm'): Uint8Array {
  return toBinary(
    GenerateMacRequestSchema,
    create(GenerateMacRequestSchema, {
      keyId,
      message: Buffer.from(message),
      macAlgorithm: MacAlgorithm.HMAC_SHA_256,
    }),
  );
}

/** A sound request, as JSON. */
export function requestJson(keyId: string, message = 'm'): string {
  return JSON.stringify({
    keyId,
    message: Buffer.from(message).toString('base64'),
    macAlgorithm: 'MAC_ALGORITHM_HMAC_SHA_256',
  });
}

/** How many bytes the MAC has that a sound call over gRPC gives; undefined when it gives none. */
export async function soundGrpcCall(port: number, keyId: string): Promise<number | undefined> {
  const { grpcStatus, body } = await callRaw(port, { path: GENERATE_MAC, body: frameOf(requestBytes(keyId)) });
  return grpcStatus === 0 ? fromBinary(GenerateMacResponseSchema, body.subarray(5)).mac.length : undefined;
}

/** Posts a body to GenerateMac over HTTP. */
export async function post(
  port: number,
  contentType: string,
  body: string | Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return await fetch(`http://127.0.0.1:${port}${GENERATE_MAC}`, {
    method: 'POST',
    headers: { 'content-type': contentType, ...headers },
    body: typeof body === 'string' ? body : Buffer.from(body),
  });
}

/** The status of a sound call over HTTP. */
export async function soundHttpCall(port: number, keyId: string): Promise<number> {
  const response = await post(port, 'application/json', requestJson(keyId));
  await response.arrayBuffer();
  return response.status;
}

/** The trailers in the last frame of an answer of gRPC-Web. */
export function grpcWebTrailers(body: Buffer): ReadonlyMap<string, string> {
  let at = 0;
  while (at < body.length && (body[at]! & 0x80) === 0) at += 5 + body.readUInt32BE(at + 1);
  const lines = body
    .subarray(at + 5)
    .toString()
    .split('\r\n')
    .filter((line) => line !== '');
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]));
}
