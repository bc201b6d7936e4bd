import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A way to a server that fails and recovers as a network does, at one port throughout. */
export interface Link extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** Breaks every connection, politely or by a reset, and every new one until it is mended. */
  cut(how?: 'end' | 'reset'): void;
  /** Delivers nothing any more, in either direction, and breaks nothing; what is on its way waits. */
  silence(): void;
  /** Delivers again, what has waited first. */
  mend(): void;
}

export async function startLink(server: { host: string; port: number }): Promise<Link> {
  const sockets = new Set<Socket>();
  let state: 'whole' | 'cut' | 'silent' = 'whole';

  const listener = createServer((client) => {
    if (state === 'cut') {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect(server);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('data', (chunk) => other.write(chunk));
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        if (state !== 'silent') other.destroy();
      });
      if (state === 'silent') socket.pause();
    }
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');

  return {
    host: '127.0.0.1',
    port: (listener.address() as AddressInfo).port,
    cut(how = 'end') {
      state = 'cut';
      for (const socket of sockets) {
        if (how === 'reset') socket.resetAndDestroy();
        else socket.destroy();
      }
    },
    silence() {
      state = 'silent';
      for (const socket of sockets) socket.pause();
    },
    mend() {
      state = 'whole';
      for (const socket of sockets) socket.resume();
    },
    async [Symbol.asyncDispose]() {
      state = 'cut';
      listener.close();
      for (const socket of sockets) socket.destroy();
      await once(listener, 'close');
    },
  };
}
