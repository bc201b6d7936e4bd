import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

/**
 * A way to a server that loses what it is told to lose. A command is known by its name in a request, in the case in which
 * the client writes it.
 */
export interface TcpProxy {
  readonly host: string;
  readonly port: number;
  /** Lets the next such request through, and breaks its connection when the answer comes. */
  cutReplyTo(command: string): void;
  holdRequest(command: string): HeldRequest;
  stop(): Promise<void>;
}

/** The next such request, which does not go on to the server. */
export interface HeldRequest {
  /** Ends when there is one. */
  readonly held: Promise<unknown>;
  /** Breaks its connection, as the client sees it. */
  breakConnection(): Promise<void>;
  /** Lets it go on to the server after all, and ends when the server has answered it. */
  release(): Promise<void>;
}

export async function startTcpProxy(server: { host: string; port: number }): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let cutNext: string | undefined;
  let holdNext: { command: string; hold: (request: Buffer, client: Socket, upstream: Socket) => void } | undefined;

  const listener = createServer((client) => {
    const upstream = connect(server);
    let cut = false;
    let held = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => sockets.delete(socket));
    }
    client.on('data', (request) => {
      if (cutNext !== undefined && request.includes(cutNext)) {
        cutNext = undefined;
        cut = true;
      }
      if (holdNext !== undefined && request.includes(holdNext.command)) {
        holdNext.hold(request, client, upstream);
        holdNext = undefined;
        held = true;
        return;
      }
      upstream.write(request);
    });
    upstream.on('data', (reply) => {
      if (cut) client.destroy();
      else if (!client.destroyed) client.write(reply);
    });
    client.on('close', () => {
      if (!held) upstream.destroy();
    });
    upstream.on('close', () => client.destroy());
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');

  return {
    host: '127.0.0.1',
    port: (listener.address() as AddressInfo).port,
    cutReplyTo(command) {
      cutNext = command;
    },
    holdRequest(command) {
      const held = Promise.withResolvers<[request: Buffer, client: Socket, upstream: Socket]>();
      holdNext = { command, hold: (...parts) => held.resolve(parts) };
      return {
        held: held.promise,
        async breakConnection() {
          const [, client] = await held.promise;
          client.destroy();
        },
        async release() {
          const [request, , upstream] = await held.promise;
          upstream.write(request);
          await once(upstream, 'data');
          upstream.destroy();
        },
      };
    },
    async stop() {
      listener.close();
      for (const socket of sockets) socket.destroy();
      await once(listener, 'close');
    },
  };
}
