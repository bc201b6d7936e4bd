import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Message } from '@bufbuild/protobuf';
import { ConnectError, type ConnectRouter, cors, createContextKey, createContextValues } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import type { Wire } from '../access/call.ts';
import { type Arrival, CallFailure, type Codec, type Dispatcher } from '../calls/dispatcher.ts';
import { type Operation, toMessage } from '../calls/operation.ts';
import { drainServer, listenOn } from './http-server.ts';
import type { Address, Listener } from './listener.ts';
import { statusOf } from './statuses.ts';

/** The longest request, in bytes: more than the longest that is within its limits, in JSON. */
const MAX_REQUEST = 256 * 1_024;

/** What of a request the handlers of connect-node get to see. */
const exchangeKey = createContextKey<Exchange | undefined>(undefined);

/** A request under way. */
interface Exchange {
  readonly arrival: Arrival;
  /** Whether the dispatcher has seen it; a body that does not decode never gets that far. */
  dispatched: boolean;
}

/** Which web pages and which names may reach the listener. */
export interface WebAccess {
  /** Origins that browsers may call from: `https://app.example.org`. */
  readonly corsOrigins: readonly string[];
  /** The only names (without port) that a request may be addressed to; `undefined` for any. */
  readonly allowedHosts: readonly string[] | undefined;
}

/** The HTTP listener: Connect (JSON and binary) and gRPC-Web. */
export class ConnectWire implements Listener {
  readonly #server: Server;
  readonly #dispatcher: Dispatcher;
  readonly #operations: ReadonlyMap<string, Operation>;
  readonly #access: WebAccess;

  constructor(operations: readonly Operation[], dispatcher: Dispatcher, access: WebAccess) {
    this.#dispatcher = dispatcher;
    this.#access = access;
    this.#operations = new Map(
      operations.map((operation) => [`/${operation.method.parent.typeName}/${operation.method.name}`, operation]),
    );
    const exchanges = new WeakMap<object, Exchange>();
    const serve = connectNodeAdapter({
      routes: (router) => this.#route(router),
      contextValues: (request) => createContextValues().set(exchangeKey, exchanges.get(request)),
      connect: true,
      grpcWeb: true,
      // Over cleartext HTTP/1.1 there is no gRPC; it has a listener of its own.
      grpc: false,
      readMaxBytes: MAX_REQUEST,
      // What is compressed has to be inflated before it is known who sent it; requests are small.
      acceptCompression: [],
    });
    this.#server = createServer({ maxHeaderSize: 32 * 1_024 }, (request, response) => {
      if (!this.#admits(request, response)) return;
      const exchange = { arrival: arrivalOf(request), dispatched: false };
      exchanges.set(request, exchange);
      response.once('close', () => this.#closed(request, response, exchange));
      serve(request, response);
    });
  }

  async listen(address: Address): Promise<number> {
    return await listenOn(this.#server, address);
  }

  async drain(): Promise<void> {
    await drainServer(this.#server);
  }

  close(): void {
    this.#server.closeAllConnections();
  }

  #route(router: ConnectRouter): void {
    for (const operation of this.#operations.values()) {
      // Bodies arrive decoded; answers leave as messages.
      const codec: Codec<object, Message> = {
        decode: (request) => request,
        encode: (answer) => toMessage(operation, answer),
      };
      router.rpc(operation.method, async (request, context) => {
        const exchange = context.values.get(exchangeKey)!;
        exchange.dispatched = true;
        try {
          return await this.#dispatcher.dispatch(operation, exchange.arrival, codec, request);
        } catch (failure) {
          throw toConnectError(failure);
        }
      });
    }
  }

  /** Answers what no handler should see: what comes by a name or from a page that it should not, and preflights. */
  #admits(request: IncomingMessage, response: ServerResponse): boolean {
    const { allowedHosts, corsOrigins } = this.#access;
    const host = hostOf(request);
    if (allowedHosts !== undefined && !allowedHosts.includes(host)) {
      response.writeHead(421, { 'content-type': 'text/plain' });
      response.end(`This service is not to be reached by the name ${JSON.stringify(host)}; see HMACD_ALLOWED_HOSTS.\n`);
      return false;
    }
    const { origin } = request.headers;
    if (origin === undefined || !corsOrigins.includes(origin)) return true;
    response.setHeader('access-control-allow-origin', origin);
    response.setHeader('vary', 'origin');
    response.setHeader('access-control-expose-headers', cors.exposedHeaders.join(', '));
    if (request.method !== 'OPTIONS') return true;
    response.writeHead(204, {
      'access-control-allow-methods': cors.allowedMethods.join(', '),
      'access-control-allow-headers': [...cors.allowedHeaders, 'authorization'].join(', '),
      'access-control-max-age': '7200',
    });
    response.end();
    return false;
  }

  #closed(request: IncomingMessage, response: ServerResponse, exchange: Exchange): void {
    const operation = this.#operations.get(new URL(request.url ?? '/', 'http://localhost').pathname);
    if (operation === undefined || exchange.dispatched || request.method !== 'POST') return;
    if (response.statusCode !== 415) this.#dispatcher.undecoded(operation, exchange.arrival);
  }
}

function arrivalOf(request: IncomingMessage): Arrival {
  const wire: Wire = request.headers['content-type']?.startsWith('application/grpc-web') ? 'grpc-web' : 'connect';
  return { wire, sourceAddress: request.socket.remoteAddress ?? '' };
}

/** The name that a request is addressed to, without the port. */
function hostOf(request: IncomingMessage): string {
  return (request.headers.host ?? '').replace(/:\d+$/, '').toLowerCase();
}

function toConnectError(failure: unknown): ConnectError {
  if (!(failure instanceof CallFailure)) throw failure;
  const { code, message, details } = statusOf(failure);
  const error = new ConnectError(message, code);
  error.details = details.map(({ desc, value }) => ({ desc, value }));
  return error;
}
