import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Metrics } from '../calls/metrics.ts';
import { drainServer, listenOn } from './http-server.ts';
import type { Address, Listener } from './listener.ts';

/** The admin listener, for whoever runs the service: `/livez`, `/readyz`, `/metrics`. Always cleartext. */
export class AdminWire implements Listener {
  readonly #server: Server;

  /** @param ready whether calls would be served */
  constructor(metrics: Metrics, ready: () => boolean) {
    const answer = async (path: string | undefined, response: ServerResponse): Promise<void> => {
      if (path === '/livez') return send(response, 200, 'live\n');
      if (path === '/readyz') return ready() ? send(response, 200, 'ready\n') : send(response, 503, 'not ready\n');
      if (path === '/metrics') {
        const { body, contentType } = await metrics.text();
        return send(response, 200, body, contentType);
      }
      return send(response, 404, 'not found\n');
    };
    this.#server = createServer((request, response) => {
      answer(request.url?.split('?')[0], response).catch((error: unknown) => response.destroy(error as Error));
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
}

function send(response: ServerResponse, status: number, body: string, contentType = 'text/plain'): void {
  response.writeHead(status, { 'content-type': contentType });
  response.end(body);
}
