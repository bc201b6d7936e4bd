// What node:http can do on this machine: `node bench/bare-http.ts 127.0.0.1:PORT` serves GenerateMac with one key as
// Connect's JSON, by JSON.parse and JSON.stringify alone.
import { createServer } from 'node:http';
import { benchKey, macOf } from './key.ts';

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const { message, macAlgorithm }: Record<string, string> = JSON.parse(Buffer.concat(chunks).toString());
    const mac = macOf(Buffer.from(message ?? '', 'base64')).toString('base64');
    const body = JSON.stringify({ mac, macAlgorithm, keyId: benchKey.arn });
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
    response.end(body);
  });
});

const { hostname, port } = new URL(`http://${process.argv[2] ?? '127.0.0.1:0'}`);
server.listen(Number(port), hostname);
