import { connect } from 'node:net';

/** How long a server may leave a raw exchange without an end, in milliseconds. */
const PATIENCE = 5_000;

/**
 * Sends bytes to a port, whatever they are, and answers all that comes back until the server closes the connection.
 *
 * @throws Error when it does not within five seconds
 */
export async function exchange(port: number, bytes: string | Buffer): Promise<string> {
  return await new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let received = '';
    const late = setTimeout(() => socket.destroy(new Error(`no end after ${PATIENCE} ms: ${received}`)), PATIENCE);
    socket.setEncoding('latin1').on('data', (text: string) => (received += text));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(late);
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') resolve(received);
      else reject(error);
    });
    socket.on('close', () => {
      clearTimeout(late);
      resolve(received);
    });
    socket.write(bytes);
  });
}

/** The text of an HTTP/1.1 request, with a Host, unless the headers have one, and a Content-Length for its body. */
export function requestText(line: string, headers: Readonly<Record<string, string>> = {}, body = ''): string {
  const all = { Host: 'localhost', Connection: 'close', 'Content-Length': String(Buffer.byteLength(body)), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return [`${line} HTTP/1.1`, ...lines, '', body].join('\r\n');
}
