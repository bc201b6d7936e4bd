// What node:http2 can do on this machine: `node bench/bare-http2.ts 127.0.0.1:PORT` serves GenerateMac with one key over
// the least of gRPC that a client accepts (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
import { type ServerHttp2Stream, createServer } from 'node:http2';
import { decodeRequest, encodedAnswer } from './bare-answer.ts';

/** A message is led by a byte that says whether it is compressed, and four of its length. */
const prefixLength = 5;

const grpcStatus = { ok: '0', unimplemented: '12', internal: '13' };

const server = createServer();
server.on('stream', (stream, headers) => {
  if (headers[':path'] !== '/hmacd.v1.MacService/GenerateMac') return fail(stream, grpcStatus.unimplemented);
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => {
    const [first] = chunks;
    const body = chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks);
    const isOneMessage = body.length >= prefixLength && body.readUInt32BE(1) === body.length - prefixLength;
    if (!isOneMessage || body[0] !== 0) return fail(stream, grpcStatus.internal);
    const answer = encodedAnswer(decodeRequest(body.subarray(prefixLength)));
    const framed = Buffer.allocUnsafe(prefixLength + answer.length);
    framed[0] = 0;
    framed.writeUInt32BE(answer.length, 1);
    framed.set(answer, prefixLength);
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': grpcStatus.ok }));
    stream.end(framed);
  });
});

const { hostname, port } = new URL(`http://${process.argv[2] ?? '127.0.0.1:0'}`);
server.listen(Number(port), hostname);

function fail(stream: ServerHttp2Stream, status: string): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': status }, { endStream: true });
}
