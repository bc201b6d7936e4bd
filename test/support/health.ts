import { Client, credentials, type ServiceError } from '@grpc/grpc-js';

/** What gRPC's health check says of the whole service, or the name of the code when it does not answer. */
export async function healthOf(grpcPort: number): Promise<'SERVING' | 'NOT_SERVING' | number> {
  const client = new Client(`127.0.0.1:${grpcPort}`, credentials.createInsecure());
  try {
    return await new Promise((resolve) => {
      client.makeUnaryRequest(
        '/grpc.health.v1.Health/Check',
        (bytes: Buffer) => bytes,
        (bytes: Buffer) => bytes,
        Buffer.alloc(0),
        { deadline: Date.now() + 2_000 },
        (error: ServiceError | null, answer?: Buffer) => {
          // The one field of a HealthCheckResponse: its status, a varint.
          if (error === null) resolve(answer!.equals(Buffer.of(0x08, 1)) ? 'SERVING' : 'NOT_SERVING');
          else resolve(error.code);
        },
      );
    });
  } finally {
    client.close();
  }
}

/** The HTTP status of `/readyz`. */
export async function readinessOf(adminPort: number): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${adminPort}/readyz`);
  await response.arrayBuffer();
  return response.status;
}
