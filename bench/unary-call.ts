import { Client, credentials, Metadata } from '@grpc/grpc-js';

const timeout = 5_000;

/** Makes one gRPC call on a connection of its own; fails unless the status is OK. */
export async function unaryCall(
  address: string,
  path: string,
  request: Uint8Array,
  headers: Readonly<Record<string, string>>,
): Promise<Buffer> {
  const client = clientOf(address);
  try {
    return await callOn(client, path, request, headers);
  } finally {
    client.close();
  }
}

export function clientOf(address: string): Client {
  return new Client(address, credentials.createInsecure(), { 'grpc.enable_http_proxy': 0 });
}

/** Makes one gRPC call on a connection that is open; fails unless the status is OK. */
export async function callOn(
  client: Client,
  path: string,
  request: Uint8Array,
  headers: Readonly<Record<string, string>>,
): Promise<Buffer> {
  const metadata = Metadata.fromHttp2Headers({ ...headers });
  return await new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      asItIs,
      asItIs,
      Buffer.from(request),
      metadata,
      { deadline: Date.now() + timeout },
      (error, answer) => {
        if (error !== null) reject(error);
        else resolve(answer ?? Buffer.alloc(0));
      },
    );
  });
}

function asItIs(bytes: Buffer): Buffer {
  return bytes;
}
