import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { GenerateMacCommand, type GenerateMacCommandInput, KMSClient, type KMSClientConfig } from '@aws-sdk/client-kms';
import { accessKey, bearerToken } from './access.ts';
import { unaryCall } from './unary-call.ts';
import { deepEqual } from 'node:assert/strict';
import { DescribeKeyRequestSchema, DescribeKeyResponseSchema } from '../src/gen/hmacd/v1/key_pb.ts';
import { GenerateMacRequestSchema, GenerateMacResponseSchema, MacAlgorithm } from '../src/gen/hmacd/v1/mac_pb.ts';
import { benchKey, macOf } from './key.ts';

/** A call that is made over and over. */
export type Call = {
  readonly path: string;
  /** As they have to be now, at an address: they may have a signature. */
  headers(address: string): Promise<Readonly<Record<string, string>>>;
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
    headers: async () => ({ 'content-type': 'application/grpc', te: 'trailers', authorization }),
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

/** DescribeKey by gRPC, of the key by its alias: the store is asked each time. */
export function describeKeyCall(): Call {
  const describeKey = '/hmacd.v1.KeyService/DescribeKey';
  const request = create(DescribeKeyRequestSchema, { keyId: benchKey.alias });
  const bytes = Buffer.from(toBinary(DescribeKeyRequestSchema, request));
  return {
    path: describeKey,
    headers: async () => ({ 'content-type': 'application/grpc', te: 'trailers', authorization }),
    body: framed(bytes),
    async check(address) {
      const answer = await unaryCall(address, describeKey, bytes, { authorization });
      deepEqual(fromBinary(DescribeKeyResponseSchema, answer).keyMetadata?.arn, benchKey.arn);
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
    headers: async () => headers,
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

/** GenerateMac as AWS's SDK for JavaScript makes it, with its signature. */
export function awsJsonCall(size: number): Call {
  const message = messageOf(size);
  // In the order in which the SDK writes it: the signature is of this spelling of the body.
  const input = { Message: message, KeyId: benchKey.alias, MacAlgorithm: 'HMAC_SHA_256' } as const;
  const body = Buffer.from(JSON.stringify({ ...input, Message: message.toString('base64') }));
  return {
    path: '/',
    body,
    async headers(address) {
      const request = await captured(address, input);
      deepEqual(Buffer.from(request.body as string).toString(), body.toString());
      const { 'content-length': _, host: __, ...headers } = request.headers;
      return headers;
    },
    async check(address) {
      const client = kmsClient({ endpoint: `http://${address}` });
      try {
        const answer = await client.send(new GenerateMacCommand(input));
        // Other servers have keys of their own making.
        deepEqual([answer.Mac?.length, answer.MacAlgorithm], [32, input.MacAlgorithm]);
      } finally {
        client.destroy();
      }
      const response = await fetch(`http://${address}/`, {
        method: 'POST',
        headers: await this.headers(address),
        body,
      });
      return (await response.arrayBuffer()).byteLength;
    },
  };
}

interface CapturedRequest {
  readonly headers: Record<string, string>;
  readonly body: unknown;
}

/** The request that the SDK would send. */
async function captured(address: string, input: GenerateMacCommandInput): Promise<CapturedRequest> {
  const sent = Promise.withResolvers<CapturedRequest>();
  const handle = async (request: CapturedRequest): Promise<never> => {
    sent.resolve(request);
    throw new Error('it is not to be sent');
  };
  const client = kmsClient({ endpoint: `http://${address}`, requestHandler: { handle } as never });
  client.send(new GenerateMacCommand(input)).catch((error: unknown) => sent.reject(error));
  return await sent.promise;
}

function kmsClient(config: KMSClientConfig): KMSClient {
  const { id, secret } = accessKey;
  const credentials = { accessKeyId: id, secretAccessKey: secret };
  return new KMSClient({ region: 'us-east-1', maxAttempts: 1, credentials, ...config });
}

function messageOf(size: number): Buffer {
  return Buffer.alloc(size, 'a message to authenticate; ');
}

function framed(bytes: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}
