import type { Server } from 'node:http';
import type { Address } from './listener.ts';

/** Makes a server of Node.js take connections; throws the system's error when it cannot. Answers the port. */
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

/** Takes no more connections, lets go of idle ones, and ends when the others have ended. */
export async function drainServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  // A connection whose last call has just ended is kept for the next one, unless somebody looks.
  const looking = setInterval(() => server.closeIdleConnections(), 50);
  await closed.finally(() => clearInterval(looking));
}
