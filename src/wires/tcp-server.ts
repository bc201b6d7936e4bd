import type { Server, Socket } from 'node:net';
import type { Address } from './listener.ts';

/** Makes a server of Node.js take connections, and answers its port; throws the system's error when it cannot. */
export async function listenOn(server: Server, { host, port }: Address): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}

/** How often a drain looks whether calls are still under way, in milliseconds. */
const LOOK = 50;

/**
 * Ends when a server that takes no more connections has none left. Those on which no call is under way (of clients that
 * wait, watch, or never say a word) are broken off.
 *
 * @param callsUnderWay how many there are
 */
export async function drainConnections(
  closed: Promise<unknown>,
  connections: ReadonlySet<Socket>,
  callsUnderWay: () => number,
): Promise<void> {
  let idle = 0;
  const looking = setInterval(() => {
    idle = callsUnderWay() === 0 ? idle + 1 : 0;
    // Not at the first look: the answer to a call that has just ended may be on its way to the socket.
    if (idle > 1) for (const socket of connections) socket.destroy();
  }, LOOK);
  await closed.finally(() => clearInterval(looking));
}

/** The open connections of a server, at any time. */
export function connectionsOf(server: Server): ReadonlySet<Socket> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  return sockets;
}
