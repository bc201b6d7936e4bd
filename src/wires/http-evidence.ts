import { TLSSocket } from 'node:tls';
import type { Evidence } from '../access/authenticator.ts';
import type { SignedRequest } from '../access/canonical-request.ts';
import type { TlsIdentities } from '../access/tls-identity.ts';
import type { HttpRequest } from './http-listener.ts';

/** What the caller of an HTTP request shows of who it is, looked for when it is asked for. */
export class HttpEvidence implements Evidence {
  readonly signedRequest: SignedRequest | undefined;
  readonly #request: HttpRequest;
  readonly #identities: TlsIdentities;

  /** @param body of a request that may be signed as AWS's are */
  constructor(request: HttpRequest, identities: TlsIdentities, body?: Uint8Array) {
    this.#request = request;
    this.#identities = identities;
    this.signedRequest = body && {
      method: request.method ?? '',
      target: request.url ?? '',
      headers: request.headers,
      body,
    };
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
