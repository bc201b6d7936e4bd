import { type Client, Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { BadRequestSchema, ErrorInfoSchema } from '../../src/gen/google/rpc/error_details_pb.ts';
import { AliasService } from '../../src/gen/hmacd/v1/alias_pb.ts';
import { GrantService } from '../../src/gen/hmacd/v1/grant_pb.ts';
import { ImportService } from '../../src/gen/hmacd/v1/import_pb.ts';
import { KeyService } from '../../src/gen/hmacd/v1/key_pb.ts';
import { MacService } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { RotationService } from '../../src/gen/hmacd/v1/rotation_pb.ts';
import { createGrpcJsTransport } from './grpc-js-transport.ts';

/** The ways to call a service, as a test names them. */
export const WIRES = ['gRPC', 'Connect JSON', 'Connect binary', 'gRPC-Web'] as const;
export type WireName = (typeof WIRES)[number];

/** A client of each service. */
export interface Clients {
  readonly mac: Client<typeof MacService>;
  readonly keys: Client<typeof KeyService>;
  readonly aliases: Client<typeof AliasService>;
  readonly grants: Client<typeof GrantService>;
  readonly imports: Client<typeof ImportService>;
  readonly rotation: Client<typeof RotationService>;
}

/**
 * Clients by wire of the service at some ports of this machine; closing them closes their connections.
 *
 * @param token the bearer token by which they say who they are; by default they do not
 */
export function clientsOf(
  grpcPort: number,
  httpPort: number,
  token?: string,
): Readonly<Record<WireName, Clients>> & Disposable {
  const grpc = createGrpcJsTransport(`127.0.0.1:${grpcPort}`);
  const baseUrl = `http://127.0.0.1:${httpPort}`;
  return {
    gRPC: clientsOver(grpc, token),
    'Connect JSON': clientsOver(createConnectTransport({ baseUrl, httpVersion: '1.1' }), token),
    'Connect binary': clientsOver(
      createConnectTransport({ baseUrl, httpVersion: '1.1', useBinaryFormat: true }),
      token,
    ),
    'gRPC-Web': clientsOver(createGrpcWebTransport({ baseUrl, httpVersion: '1.1' }), token),
    [Symbol.dispose]: () => grpc[Symbol.dispose](),
  };
}

function clientsOver(wire: Transport, token: string | undefined): Clients {
  const transport = token === undefined ? wire : bearing(wire, token);
  return {
    mac: createClient(MacService, transport),
    keys: createClient(KeyService, transport),
    aliases: createClient(AliasService, transport),
    grants: createClient(GrantService, transport),
    imports: createClient(ImportService, transport),
    rotation: createClient(RotationService, transport),
  };
}

/** The same transport with a bearer token in every call. */
function bearing(transport: Transport, token: string): Transport {
  return {
    unary(method, signal, timeoutMs, header, input, contextValues) {
      const headers = new Headers(header);
      headers.set('authorization', `Bearer ${token}`);
      return transport.unary(method, signal, timeoutMs, headers, input, contextValues);
    },
    stream: (...call) => transport.stream(...call),
  };
}

/** What a client is told of a call that failed. */
export interface Failure {
  /** Such as `InvalidArgument`. */
  readonly code: string;
  readonly message: string;
  /** The reason of the ErrorInfo, such as `KMS_INVALID_MAC`. */
  readonly reason: string | undefined;
  readonly exception: string | undefined;
  readonly keyArn: string | undefined;
  /** Each as `field: description`. */
  readonly violations: readonly string[];
}

/** What a call that fails tells of what decided: a statement or a grant, if the caller may know. */
export async function decisionOf(call: Promise<unknown>): Promise<string | undefined> {
  const [info] = (await errorOf(call)).findDetails(ErrorInfoSchema);
  return info?.metadata['decidedBy'];
}

async function errorOf(call: Promise<unknown>): Promise<ConnectError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConnectError)) throw new Error(`the call did not fail as a call: ${String(error)}`);
  return error;
}

/** The failure that a call ends in; throws when it succeeds. */
export async function failureOf(call: Promise<unknown>): Promise<Failure> {
  const error = await errorOf(call);
  const [info] = error.findDetails(ErrorInfoSchema);
  const [bad] = error.findDetails(BadRequestSchema);
  return {
    code: Code[error.code] ?? String(error.code),
    message: error.rawMessage,
    reason: info?.reason,
    exception: info?.metadata['exception'],
    keyArn: info?.metadata['keyArn'],
    violations: (bad?.fieldViolations ?? []).map(({ field, description }) => `${field}: ${description}`),
  };
}
