import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type Http2Session,
} from 'node:http2';
import type { Socket } from 'node:net';
import type { Address, Listener } from './listener.ts';
import { connectionsOf, drainConnections, listenOn } from './tcp-server.ts';
import type { Tls } from './tls.ts';

/** A request of either version of HTTP. */
export type HttpRequest = IncomingMessage | Http2ServerRequest;
/** A response of either version of HTTP. */
export type HttpResponse = ServerResponse | Http2ServerResponse;

/** The longest headers of a request, in bytes. */
const MAX_HEADERS = 32 * 1_024;
/** The most requests at a time on one connection: each may hold a body that is not complete. */
const MAX_STREAMS = 100;
/** How long a request may take to arrive over HTTP/1.1, in milliseconds. */
const REQUEST_TIMEOUT = 60_000;
/** How long nothing may happen to a request over HTTP/2, in milliseconds: longer than the longest wait for a lease. */
const STREAM_TIMEOUT = 6 * 60_000;
/** How long nothing may happen on a connection of HTTP/2, in milliseconds. */
const IDLE_TIMEOUT = 30 * 60_000;

/** How many requests wait at most until others are read. */
const MOST_WAITING = 256;
let waiting = 0;

/**
 * Serves a request when all that has arrived by now is read. Served at once, each would let the next one arrive alone, and
 * cost a turn of the event loop. When many wait already it does not wait: what a connection sends without reading answers
 * has to be held up by them.
 */
export function whenAllIsRead(serve: () => void): void {
  if (waiting >= MOST_WAITING) return serve();
  waiting++;
  setImmediate(() => {
    waiting--;
    serve();
  });
}

/** Sends a whole response. */
export function respond(
  response: HttpResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body = '',
): void {
  const length = status === 204 ? {} : { 'content-length': Buffer.byteLength(body) };
  // Both versions of HTTP have these methods, with signatures that have nothing in common.
  (response as ServerResponse).writeHead(status, { ...headers, ...length }).end(body);
}

/** A listener for HTTP/1.1, and with TLS for HTTP/2 too. */
export class HttpListener implements Listener {
  readonly #server: Server | Http2SecureServer;
  readonly #sockets: ReadonlySet<Socket>;
  readonly #sessions = new Set<Http2Session>();
  #underWay = 0;

  constructor(handle: (request: HttpRequest, response: HttpResponse) => void, tls?: Tls) {
    const count = (request: HttpRequest, response: HttpResponse): void => {
      this.#underWay++;
      response.once('close', () => this.#underWay--);
      if ('stream' in request) joinDuplicates(request);
      handle(request, response);
    };
    const options = { maxHeaderSize: MAX_HEADERS, requestTimeout: REQUEST_TIMEOUT, joinDuplicateHeaders: true };
    if (tls === undefined) {
      this.#server = createServer(options, count);
    } else {
      const settings = { maxConcurrentStreams: MAX_STREAMS, maxHeaderListSize: MAX_HEADERS };
      const server = createSecureServer({ ...options, ...tls.options, allowHTTP1: true, settings }, count);
      server.on('stream', (stream) => stream.setTimeout(STREAM_TIMEOUT, () => stream.close()));
      server.on('session', (session) => session.setTimeout(IDLE_TIMEOUT, () => session.close()));
      tls.addIdentityCertificateListener(() => server.setSecureContext(tls.options));
      tls.addCaCertificateListener(() => server.setSecureContext(tls.options));
      server.on('session', (session) => {
        this.#sessions.add(session);
        session.once('close', () => this.#sessions.delete(session));
      });
      this.#server = server;
    }
    this.#sockets = connectionsOf(this.#server);
  }

  async listen(address: Address): Promise<number> {
    return await listenOn(this.#server, address);
  }

  async drain(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const session of this.#sessions) session.close();
    await drainConnections(closed, this.#sockets, () => this.#underWay);
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

/**
 * Does over HTTP/2, which keeps the first of several, what `joinDuplicateHeaders` does over HTTP/1.1. Of two credentials or
 * hosts none counts: what is in front of this service may have looked at the other.
 */
function joinDuplicates({ headers, rawHeaders }: Http2ServerRequest): void {
  for (const name of ['authorization', 'host']) {
    const values = rawHeaders.filter((_, n) => n % 2 === 1 && rawHeaders[n - 1] === name);
    if (values.length > 1) headers[name] = values.join(', ');
  }
}
