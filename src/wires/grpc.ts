import { X509Certificate } from 'node:crypto';
import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { create, type DescFile, fromBinary, toBinary } from '@bufbuild/protobuf';
import { anyPack, FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import {
  Metadata,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import type { Evidence } from '../access/authenticator.ts';
import { TlsIdentities } from '../access/tls-identity.ts';
import { type Arrival, CallFailure, type Codec, type Dispatcher } from '../calls/dispatcher.ts';
import { type Operation, toMessage } from '../calls/operation.ts';
import { file_google_rpc_error_details } from '../gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../gen/google/rpc/status_pb.ts';
import { file_health_v1_health } from '../gen/health/v1/health_pb.ts';
import type { Address, Listener } from './listener.ts';
import { statusOf } from './statuses.ts';
import { encoderOf } from './message-encoder.ts';
import { connectionsOf, drainConnections, listenOn } from './tcp-server.ts';
import type { Tls } from './tls.ts';

/** The longest request, in bytes: more than the longest that is within its limits. */
const MAX_REQUEST = 256 * 1_024;

const OPTIONS = {
  // Counting every call for a debugging service that nobody asked for costs a tenth of the throughput.
  'grpc.enable_channelz': 0,
  'grpc.max_receive_message_length': MAX_REQUEST,
  'grpc.max_concurrent_streams': 1_000,
  // A peer that vanished is noticed; a client that moved its DNS entry is made to look it up again.
  'grpc.keepalive_time_ms': 60_000,
  'grpc.keepalive_timeout_ms': 20_000,
  'grpc.max_connection_age_ms': 30 * 60_000,
  'grpc.max_connection_age_grace_ms': 60_000,
};

/** The gRPC listener: the operations, health, and reflection. */
export class GrpcWire implements Listener {
  readonly #server = new Server(OPTIONS);
  readonly #listener: NetServer;
  readonly #sockets: ReadonlySet<Socket>;
  readonly #identities = new TlsIdentities();
  #underWay = 0;
  readonly #services: readonly string[];
  readonly #health: HealthImplementation;

  constructor(
    operations: readonly Operation[],
    dispatcher: Dispatcher,
    { reflection }: { reflection: boolean },
    tls: Tls | undefined,
  ) {
    // Connections are taken here and handed on: grpc-js itself, with channelz off, could never break them off.
    const injector = this.#server.createConnectionInjector(tls?.grpcCredentials ?? ServerCredentials.createInsecure());
    this.#listener = createServer({ noDelay: true }, (socket) => injector.injectConnection(socket));
    this.#sockets = connectionsOf(this.#listener);
    const byService = Map.groupBy(operations, (operation) => operation.method.parent);
    for (const own of byService.values()) {
      this.#server.addService(definitionOf(own), this.#implementationOf(own, dispatcher));
    }
    this.#services = ['', ...[...byService.keys()].map((service) => service.typeName)];
    this.#health = new HealthImplementation(Object.fromEntries(this.#services.map((name) => [name, 'NOT_SERVING'])));
    this.#health.addToServer(this.#server);
    if (reflection) {
      const own = [...byService.keys()].map((service) => service.file);
      // With the messages of error details, so that a client that reflects can show them.
      const files = [...own, file_google_rpc_error_details, file_health_v1_health];
      new ReflectionService(packageOf(files)).addToServer(this.#server);
    }
  }

  /** Tells health checks whether calls would be served. */
  setServing(serving: boolean): void {
    for (const name of this.#services) this.#health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
  }

  async listen(address: Address): Promise<number> {
    return await listenOn(this.#listener, address);
  }

  async drain(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#listener.close(() => resolve()));
    const shut = new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
    await drainConnections(Promise.all([closed, shut]), this.#sockets, () => this.#underWay);
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #implementationOf(operations: readonly Operation[], dispatcher: Dispatcher): UntypedServiceImplementation {
    return Object.fromEntries(
      operations.map((operation) => {
        const encode = encoderOf(operation.method.output);
        const codec: Codec<Buffer, Buffer> = {
          decode: (body) => fromBinary(operation.method.input, body),
          encode: (answer) => asBuffer(encode(toMessage(operation, answer))),
        };
        const handle = (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>): void => {
          this.#underWay++;
          const succeed = (answer: Buffer): void => {
            this.#underWay--;
            callback(null, answer);
          };
          const fail = (failure: unknown): void => {
            this.#underWay--;
            callback(toServiceError(failure));
          };
          try {
            const evidence = new GrpcEvidence(call, this.#identities);
            const arrival: Arrival = { wire: 'grpc', sourceAddress: addressOfPeer(call.getPeer()), evidence };
            const answer = dispatcher.dispatch(operation, arrival, codec, call.request);
            if (answer instanceof Promise) answer.then(succeed, fail);
            else succeed(answer);
          } catch (failure) {
            fail(failure);
          }
        };
        return [operation.method.localName, handle];
      }),
    );
  }
}

/** What a caller shows, looked for when it is asked for. */
class GrpcEvidence implements Evidence {
  readonly #call: ServerUnaryCall<Buffer, Buffer>;
  readonly #identities: TlsIdentities;

  constructor(call: ServerUnaryCall<Buffer, Buffer>, identities: TlsIdentities) {
    this.#call = call;
    this.#identities = identities;
  }

  get authorization(): string | undefined {
    const values = this.#call.metadata.get('authorization');
    // Several make none that could be one.
    return values.length === 0 ? undefined : values.join(', ');
  }

  tlsIdentities(): readonly string[] {
    return this.#identities.of(connectionOf(this.#call), () => {
      // grpc-js answers with none when the chain was not verified.
      const raw = this.#call.getAuthContext().sslPeerCertificate?.raw;
      return raw && new X509Certificate(raw);
    });
  }
}

/** The HTTP/2 session of a call, which grpc-js does not tell; without it every call looks at the certificate itself. */
function connectionOf(call: object): object | undefined {
  return (call as { call?: { stream?: { session?: object } } }).call?.stream?.session;
}

/** The IP address in what grpc-js calls a peer, such as `127.0.0.1:50000` or `::1:50000`. */
function addressOfPeer(peer: string): string {
  return peer.slice(0, Math.max(0, peer.lastIndexOf(':')));
}

/** What grpc-js needs to know of a service: bodies pass as bytes, and are decoded where their errors can be told. */
function definitionOf(operations: readonly Operation[]): ServiceDefinition {
  return Object.fromEntries(
    operations.map(({ method }) => [
      method.localName,
      {
        path: `/${method.parent.typeName}/${method.name}`,
        originalName: method.localName,
        requestStream: false,
        responseStream: false,
        requestSerialize: asIs,
        requestDeserialize: asIs,
        responseSerialize: asIs,
        responseDeserialize: asIs,
      },
    ]),
  );
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}

function toServiceError(failure: unknown): { code: number; details: string; metadata: Metadata } {
  if (!(failure instanceof CallFailure)) throw failure;
  const { code, message, details } = statusOf(failure);
  const metadata = new Metadata();
  const status = create(StatusSchema, {
    code,
    message,
    details: details.map(({ desc, value }) => anyPack(desc, value)),
  });
  metadata.set('grpc-status-details-bin', asBuffer(toBinary(StatusSchema, status)));
  return { code, details: message, metadata };
}

/** The files with everything they import, in the form in which `@grpc/proto-loader` would have read them. */
function packageOf(files: readonly DescFile[]): ConstructorParameters<typeof ReflectionService>[0] {
  const all = new Set<DescFile>();
  const add = (file: DescFile): void => {
    if (all.has(file)) return;
    all.add(file);
    file.dependencies.forEach(add);
  };
  files.forEach(add);
  const fileDescriptorProtos = [...all].map((file) => asBuffer(toBinary(FileDescriptorProtoSchema, file.proto)));
  return { contract: { format: 'Protocol Buffer 3 DescriptorProto', type: {}, fileDescriptorProtos } };
}
