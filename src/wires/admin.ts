import type { Metrics } from '../calls/metrics.ts';
import { HttpListener, type HttpResponse, respond } from './http-listener.ts';
import type { Address, Listener } from './listener.ts';

/** The admin listener, for whoever runs the service: `/livez`, `/readyz`, `/metrics`. Always cleartext. */
export class AdminWire implements Listener {
  readonly #listener: HttpListener;

  /** @param ready whether calls would be served */
  constructor(metrics: Metrics, ready: () => boolean) {
    const answer = async (path: string | undefined, response: HttpResponse): Promise<void> => {
      if (path === '/livez') return send(response, 200, 'live\n');
      if (path === '/readyz') return ready() ? send(response, 200, 'ready\n') : send(response, 503, 'not ready\n');
      if (path === '/metrics') {
        const { body, contentType } = await metrics.text();
        return send(response, 200, body, contentType);
      }
      return send(response, 404, 'not found\n');
    };
    this.#listener = new HttpListener((request, response) => {
      answer(request.url?.split('?')[0], response).catch(() => response.destroy());
    });
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
}

function send(response: HttpResponse, status: number, body: string, contentType = 'text/plain'): void {
  respond(response, status, { 'content-type': contentType }, body);
}
