import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError, type Transport } from '@connectrpc/connect';
import { type ChannelCredentials, Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { StatusSchema } from '../../src/gen/google/rpc/status_pb.ts';

/** Connect's clients over the gRPC client of grpc-js, so that one test runs on every wire. */
export function createGrpcJsTransport(
  address: string,
  channel: ChannelCredentials = credentials.createInsecure(),
): Transport & Disposable {
  const client = new Client(address, channel);
  return {
    async unary(method, _signal, timeoutMs, header, input) {
      const metadata = new Metadata();
      for (const [name, value] of new Headers(header)) metadata.set(name, value);
      const request = toBinary(method.input, create(method.input, input));
      const answer = await new Promise<Buffer>((resolve, reject) => {
        client.makeUnaryRequest(
          `/${method.parent.typeName}/${method.name}`,
          (bytes: Uint8Array) => Buffer.from(bytes),
          (bytes: Buffer) => bytes,
          request,
          metadata,
          timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs },
          (error: ServiceError | null, value?: Buffer) => (error === null ? resolve(value!) : reject(toConnect(error))),
        );
      });
      return {
        stream: false,
        service: method.parent,
        method,
        header: new Headers(),
        trailer: new Headers(),
        message: fromBinary(method.output, answer),
      };
    },
    stream() {
      throw new Error('there are no streams');
    },
    [Symbol.dispose]() {
      client.close();
    },
  };
}

function toConnect(error: ServiceError): ConnectError {
  const converted = new ConnectError(error.details, Code[Code[error.code] as keyof typeof Code]);
  const [bytes] = error.metadata.get('grpc-status-details-bin');
  if (bytes instanceof Buffer) {
    converted.details = fromBinary(StatusSchema, bytes).details.map(({ typeUrl, value }) => ({
      type: typeUrl.replace(/^type\.googleapis\.com\//, ''),
      value,
    }));
  }
  return converted;
}
