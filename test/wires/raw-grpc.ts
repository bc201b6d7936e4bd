import { once } from 'node:events';
import { connect, type IncomingHttpHeaders, type IncomingHttpStatusHeader } from 'node:http2';

/** How a gRPC call ended that no client library would have made. */
export interface RawAnswer {
  readonly httpStatus: number | undefined;
  /** The number of the gRPC code; `undefined` when the server sent none. */
  readonly grpcStatus: number | undefined;
  readonly grpcMessage: string;
  /** `grpc-status-details-bin`, decoded from base64. */
  readonly details: Buffer | undefined;
  /** What came as the body: a frame, if any. */
  readonly body: Buffer;
}

/** What to send instead of what a client library would. */
export interface RawCall {
  readonly path: string;
  readonly body: Buffer;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A gRPC frame: a flag for compression, the length in 4 bytes, the message. */
export function frameOf(message: Uint8Array, { compressed = false, claims = message.length } = {}): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt8(compressed ? 1 : 0);
  header.writeUInt32BE(claims, 1);
  return Buffer.concat([header, message]);
}

/** Sends one request over a connection of its own, and waits for its end. */
export async function callRaw(port: number, call: RawCall): Promise<RawAnswer> {
  const session = connect(`http://127.0.0.1:${port}`);
  try {
    const stream = session.request({
      ':method': call.method ?? 'POST',
      ':path': call.path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...call.headers,
    });
    let headers: IncomingHttpHeaders & IncomingHttpStatusHeader = {};
    let trailers: IncomingHttpHeaders = {};
    const chunks: Buffer[] = [];
    stream.on('response', (received) => (headers = received));
    stream.on('trailers', (received) => (trailers = received));
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', () => {}); // A stream that is reset has no status, which is what the caller sees then.
    stream.end(call.body);
    await once(stream, 'close');
    const all: Record<string, unknown> = { ...headers, ...trailers };
    const details = all['grpc-status-details-bin'];
    return {
      httpStatus: headers[':status'],
      grpcStatus: all['grpc-status'] === undefined ? undefined : Number(all['grpc-status']),
      grpcMessage: decodeURIComponent(typeof all['grpc-message'] === 'string' ? all['grpc-message'] : ''),
      details: typeof details === 'string' ? Buffer.from(details, 'base64') : undefined,
      body: Buffer.concat(chunks),
    };
  } finally {
    session.destroy();
  }
}
