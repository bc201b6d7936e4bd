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
import { connectionsOf, listenOn } from './tcp-server.ts';
import type { Tls } from './tls.ts';

/** A request of either version of HTTP. */
export type HttpRequest = IncomingMessage | Http2ServerRequest;
/** A response of either version of HTTP. */
export type HttpResponse = ServerResponse | Http2ServerResponse;

/** The longest headers of a request without TLS, in bytes. */
const MAX_HEADERS = 32 * 1_024;

/** Sends a whole response. */
export function respond(
  response: HttpResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body = '',
): void {
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  // Both versions have this method, with signatures that have nothing in common.
  (response as ServerResponse).end(body);
}

/** A listener for HTTP/1.1, and with TLS for HTTP/2 too. */
export class HttpListener implements Listener {
  readonly #server: Server | Http2SecureServer;
  readonly #sockets: ReadonlySet<Socket>;
  readonly #sessions = new Set<Http2Session>();

  constructor(handle: (request: HttpRequest, response: HttpResponse) => void, tls?: Tls) {
    if (tls === undefined) {
      this.#server = createServer({ maxHeaderSize: MAX_HEADERS }, handle);
    } else {
      const server = createSecureServer({ ...tls.options, allowHTTP1: true }, handle);
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
    const server = this.#server;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const session of this.#sessions) session.close();
    // A connection whose last call has just ended is kept for the next one, unless somebody looks.
    const looking = setInterval(() => 'closeIdleConnections' in server && server.closeIdleConnections(), 50);
    await closed.finally(() => clearInterval(looking));
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
