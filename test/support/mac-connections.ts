import { type Client, createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { onTestFinished } from 'vitest';
import { MacAlgorithm, MacService } from '../../src/gen/hmacd/v1/mac_pb.ts';
import type { MacCall } from './mac-load.ts';

/** One connection, or one pool of them. */
export interface MacConnection {
  readonly name: string;
  readonly mac: Client<typeof MacService>;
}

/** Where a service listens. */
export interface Ports {
  readonly grpcPort: number;
  readonly httpPort: number;
}

export const MESSAGE = Buffer.from('a message');
const macAlgorithm = MacAlgorithm.HMAC_SHA_256;

/** Several connections of gRPC, and a pool of HTTP connections, which end with the test. */
export function connectTo(name: string, { grpcPort, httpPort }: Ports, grpcConnections = 2): MacConnection[] {
  const overGrpc = Array.from({ length: grpcConnections }, (_, index) => {
    const baseUrl = `http://127.0.0.1:${grpcPort}`;
    const sessionManager = new Http2SessionManager(baseUrl);
    onTestFinished(() => sessionManager.abort());
    const transport = createGrpcTransport({ baseUrl, sessionManager });
    return { name: `${name} gRPC ${index}`, mac: createClient(MacService, transport) };
  });
  const transport = createConnectTransport({ baseUrl: `http://127.0.0.1:${httpPort}`, httpVersion: '1.1' });
  return [...overGrpc, { name: `${name} Connect`, mac: createClient(MacService, transport) }];
}

/** A GenerateMac of each name of a key, over each connection. */
export function generateMacs(connections: readonly MacConnection[], ...keyIds: string[]): MacCall[] {
  return connections.flatMap(({ name, mac }) =>
    keyIds.map((keyId) => ({
      name: `${name} GenerateMac ${keyId}`,
      make: () => mac.generateMac({ keyId, macAlgorithm, message: MESSAGE }),
    })),
  );
}

/** A VerifyMac of each name of a key, over each connection. */
export function verifyMacs(connections: readonly MacConnection[], value: Uint8Array, ...keyIds: string[]): MacCall[] {
  return connections.flatMap(({ name, mac }) =>
    keyIds.map((keyId) => ({
      name: `${name} VerifyMac ${keyId}`,
      make: () => mac.verifyMac({ keyId, macAlgorithm, message: MESSAGE, mac: value }),
    })),
  );
}
