import { TLSSocket } from 'node:tls';
import type { Message } from '@bufbuild/protobuf';
import {
  ConnectError,
  type ConnectRouter,
  cors,
  createConnectRouter,
  createContextKey,
  createContextValues,
} from '@connectrpc/connect';
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from '@connectrpc/connect-node';
import type { UniversalHandler } from '@connectrpc/connect/protocol';
import type { Evidence } from '../access/authenticator.ts';
import type { Wire } from '../access/call.ts';
import { TlsIdentities } from '../access/tls-identity.ts';
import { type Arrival, CallFailure, type Codec, type Dispatcher } from '../calls/dispatcher.ts';
import { type Operation, toMessage } from '../calls/operation.ts';
import { HttpListener, type HttpRequest, type HttpResponse, respond } from './http-listener.ts';
import type { Address, Listener } from './listener.ts';
import { statusOf } from './statuses.ts';
import type { Tls } from './tls.ts';
import { type Withheld, withholdBody } from './withheld-body.ts';

/** The longest request, in bytes: more than the longest that is within its limits, in JSON. */
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

/** Which web pages and which names may reach the listener. */
export interface WebAccess {
  /** Origins that browsers may call from: `https://app.example.org`. */
  readonly corsOrigins: readonly string[];
  /** The only names, without port, that a request may be addressed to; `undefined` for any. */
  readonly allowedHosts: readonly string[] | undefined;
}

/** The HTTP listener: Connect (JSON and binary) and gRPC-Web; with TLS, and so HTTP/2, gRPC too. */
export class ConnectWire implements Listener {
  readonly #listener: HttpListener;
  readonly #dispatcher: Dispatcher;
  readonly #operations: ReadonlyMap<string, Operation>;
  readonly #access: WebAccess;
  readonly #identities = new TlsIdentities();

  constructor(operations: readonly Operation[], dispatcher: Dispatcher, access: WebAccess, tls: Tls | undefined) {
    this.#dispatcher = dispatcher;
    this.#access = access;
    this.#operations = new Map(
      operations.map((operation) => [`/${operation.method.parent.typeName}/${operation.method.name}`, operation]),
    );
    const router = createConnectRouter({
      connect: true,
      grpcWeb: true,
      grpc: tls !== undefined,
      readMaxBytes: MAX_REQUEST,
      // What is compressed has to be inflated before it is known who sent it; requests are small.
      acceptCompression: [],
    });
    this.#route(router);
    const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
    this.#listener = new HttpListener((request, response) => {
      if (!this.#admits(request, response)) return;
      const handler = handlers.get(request.url?.split('?')[0] ?? '');
      if (handler === undefined) {
        respond(response, 404, {});
        return;
      }
      const arrival = arrivalOf(request, this.#identities);
      const exchange: Exchange = { arrival, withheld: undefined, dispatched: false };
      response.once('close', () => this.#closed(request, response, exchange));
      // What fails here is no call: the client went away, or sent what is no request. Calls tell their own failures.
      serve(handler, exchange, request, response).catch(() => response.destroy());
    }, tls);
  }

  async listen(address: Address): Promise<number> {
    return await this.#listener.listen(address);
  }

  async drain(): Promise<void> {
    await this.#listener.drain();
  }

  close(): void {
    this.#listener.close();
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

  /** Answers what no handler should see: what comes by a name or from a page that it should not, and preflights. */
  #admits(request: HttpRequest, response: HttpResponse): boolean {
    const { allowedHosts, corsOrigins } = this.#access;
    const host = hostOf(request);
    if (host === undefined || allowedHosts?.includes(host) === false) {
      const reason = 'This service is not to be reached by this name; see HMACD_ALLOWED_HOSTS.\n';
      respond(response, 421, { 'content-type': 'text/plain' }, reason);
      return false;
    }
    const { origin } = request.headers;
    if (origin === undefined || !corsOrigins.includes(origin)) return true;
    response.setHeader('access-control-allow-origin', origin);
    response.setHeader('vary', 'origin');
    response.setHeader('access-control-expose-headers', cors.exposedHeaders.join(', '));
    if (request.method !== 'OPTIONS') return true;
    respond(response, 204, {
      'access-control-allow-methods': cors.allowedMethods.join(', '),
      'access-control-allow-headers': [...cors.allowedHeaders, 'authorization'].join(', '),
      'access-control-max-age': '7200',
    });
    return false;
  }

  #closed(request: HttpRequest, response: HttpResponse, exchange: Exchange): void {
    const operation = this.#operations.get(request.url?.split('?')[0] ?? '');
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
  await universalResponseToNodeResponse(await handler(exchange.withheld.request), response);
}

function arrivalOf(request: HttpRequest, identities: TlsIdentities): Arrival {
  return {
    wire: wireOf(request.headers['content-type'] ?? ''),
    sourceAddress: request.socket.remoteAddress ?? '',
    evidence: new HttpEvidence(request, identities),
  };
}

/** What a caller shows, looked for when it is asked for. */
class HttpEvidence implements Evidence {
  readonly #request: HttpRequest;
  readonly #identities: TlsIdentities;

  constructor(request: HttpRequest, identities: TlsIdentities) {
    this.#request = request;
    this.#identities = identities;
  }

  get authorization(): string | undefined {
    return this.#request.headers.authorization;
  }

  tlsIdentities(): readonly string[] {
    const request = this.#request;
    // Of HTTP/2, every request has a socket of its own that only stands for the connection's.
    const connection = 'stream' in request ? request.stream.session : request.socket;
    return this.#identities.of(connection, () => {
      const { socket } = request;
      return socket instanceof TLSSocket && socket.authorized ? socket.getPeerX509Certificate() : undefined;
    });
  }
}

function wireOf(contentType: string): Wire {
  const type = contentType.toLowerCase();
  if (type.startsWith('application/grpc-web')) return 'grpc-web';
  return type.startsWith('application/grpc') ? 'grpc' : 'connect';
}

/** The name that a request is addressed to, without the port; `undefined` when it is addressed to no possible one. */
function hostOf(request: HttpRequest): string | undefined {
  const authority = 'authority' in request ? request.authority : request.headers.host;
  const url = `http://${authority ?? ''}`;
  return URL.canParse(url) ? new URL(url).hostname : undefined;
}

function toConnectError(failure: unknown): ConnectError {
  if (!(failure instanceof CallFailure)) throw failure;
  const { code, message, details } = statusOf(failure);
  const error = new ConnectError(message, code);
  error.details = details.map(({ desc, value }) => ({ desc, value }));
  return error;
}
