import type { Message } from '@bufbuild/protobuf';
import {
  ConnectError,
  type ConnectRouter,
  createConnectRouter,
  createContextKey,
  createContextValues,
} from '@connectrpc/connect';
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from '@connectrpc/connect-node';
import type { UniversalHandler } from '@connectrpc/connect/protocol';
import type { Wire } from '../access/call.ts';
import type { TlsIdentities } from '../access/tls-identity.ts';
import { type Arrival, CallFailure, type Codec, type Dispatcher } from '../calls/dispatcher.ts';
import { type Operation, toMessage } from '../calls/operation.ts';
import { HttpEvidence } from './http-evidence.ts';
import { type HttpRequest, type HttpResponse, respond, whenAllIsRead } from './http-listener.ts';
import { statusOf } from './statuses.ts';
import { type Withheld, withholdBody } from './withheld-body.ts';

/** The longest request, in bytes: more than the longest that AWS takes, in JSON. */
const MAX_REQUEST = 256 * 1_024;

/** What of a request the handlers of connect-node get to see. */
const exchangeKey = createContextKey<Exchange | undefined>(undefined);

/** A request under way. */
interface Exchange {
  readonly arrival: Arrival;
  withheld: Withheld | undefined;
  /** Whether the dispatcher has seen it; a body that does not decode never gets that far. */
  dispatched: boolean;
}

/** Connect (JSON and binary) and gRPC-Web; where there is HTTP/2, gRPC too. */
export class ConnectHandler {
  readonly #dispatcher: Dispatcher;
  readonly #operations: ReadonlyMap<string, Operation>;
  readonly #handlers: ReadonlyMap<string, UniversalHandler>;
  readonly #identities: TlsIdentities;

  constructor(operations: readonly Operation[], dispatcher: Dispatcher, identities: TlsIdentities, grpc: boolean) {
    this.#dispatcher = dispatcher;
    this.#identities = identities;
    this.#operations = new Map(
      operations.map((operation) => [`/${operation.method.parent.typeName}/${operation.method.name}`, operation]),
    );
    const router = createConnectRouter({
      connect: true,
      grpcWeb: true,
      grpc,
      readMaxBytes: MAX_REQUEST,
      // What is compressed has to be inflated before it is known who sent it; requests are small.
      acceptCompression: [],
    });
    this.#route(router);
    this.#handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  }

  handle(path: string, request: HttpRequest, response: HttpResponse): void {
    const handler = this.#handlers.get(path);
    if (handler === undefined) {
      respond(response, 404, {});
      return;
    }
    const arrival: Arrival = {
      wire: wireOf(request.headers['content-type'] ?? ''),
      sourceAddress: request.socket.remoteAddress ?? '',
      evidence: new HttpEvidence(request, this.#identities),
    };
    const exchange: Exchange = { arrival, withheld: undefined, dispatched: false };
    response.once('close', () => this.#closed(path, request, response, exchange));
    // What fails here is no call: the client went away, or sent what is no request. Calls tell their own failures.
    serve(handler, exchange, request, response).catch(() => response.destroy());
  }

  #route(router: ConnectRouter): void {
    for (const operation of this.#operations.values()) {
      // Bodies are decoded here; answers leave as messages.
      const codec: Codec<() => object, Message> = {
        decode: (body) => body(),
        encode: (answer) => toMessage(operation, answer),
      };
      router.rpc(operation.method, async (request, context) => {
        const exchange = context.values.get(exchangeKey)!;
        exchange.dispatched = true;
        const decode = exchange.withheld?.decode;
        const body = (): object => (decode === undefined ? request : decode(operation.method.input));
        try {
          return await this.#dispatcher.dispatch(operation, exchange.arrival, codec, body);
        } catch (failure) {
          throw toConnectError(failure);
        }
      });
    }
  }

  #closed(path: string, request: HttpRequest, response: HttpResponse, exchange: Exchange): void {
    const operation = this.#operations.get(path);
    if (operation === undefined || exchange.dispatched || request.method !== 'POST') return;
    if (response.statusCode !== 415) this.#dispatcher.undecoded(operation, exchange.arrival);
  }
}

async function serve(
  handler: UniversalHandler,
  exchange: Exchange,
  request: HttpRequest,
  response: HttpResponse,
): Promise<void> {
  const contextValues = createContextValues().set(exchangeKey, exchange);
  const universal = universalRequestFromNodeRequest(request, response, undefined, contextValues);
  exchange.withheld = await withholdBody(universal, MAX_REQUEST);
  await new Promise<void>(whenAllIsRead);
  await universalResponseToNodeResponse(await handler(exchange.withheld.request), response);
}

function wireOf(contentType: string): Wire {
  const type = contentType.toLowerCase();
  if (type.startsWith('application/grpc-web')) return 'grpc-web';
  return type.startsWith('application/grpc') ? 'grpc' : 'connect';
}

function toConnectError(failure: unknown): ConnectError {
  if (!(failure instanceof CallFailure)) throw failure;
  const { code, message, details } = statusOf(failure);
  const error = new ConnectError(message, code);
  error.details = details.map(({ desc, value }) => ({ desc, value }));
  return error;
}
