// What node:http can do on this machine: `node bench/bare-http.ts 127.0.0.1:PORT` serves GenerateMac with one key as
// the JSON of Connect and of AWS, by JSON.parse and JSON.stringify alone.
import { createServer } from 'node:http';
import { benchKey, macOf } from './key.ts';

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const { message, macAlgorithm, Message, MacAlgorithm }: Record<string, string> = JSON.parse(
      Buffer.concat(chunks).toString(),
    );
    const mac = macOf(Buffer.from(message ?? Message ?? '', 'base64')).toString('base64');
    const keyId = benchKey.arn;
    const body = JSON.stringify(
      request.url === '/' ? { Mac: mac, MacAlgorithm, KeyId: keyId } : { mac, macAlgorithm, keyId },
    );
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
    response.end(body);
  });
});

const { hostname, port } = new URL(`http://${process.argv[2] ?? '127.0.0.1:0'}`);
server.listen(Number(port), hostname);
