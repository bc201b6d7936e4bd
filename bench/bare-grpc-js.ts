// What grpc-js can do on this machine: `node bench/bare-grpc-js.ts 127.0.0.1:PORT` serves GenerateMac with one key.
import { Server, ServerCredentials, type handleUnaryCall } from '@grpc/grpc-js';
import type { GenerateMacRequest } from '../src/gen/hmacd/v1/mac_pb.ts';
import { decodeRequest, encodedAnswer } from './bare-answer.ts';

const generateMac = {
  path: '/hmacd.v1.MacService/GenerateMac',
  requestStream: false,
  responseStream: false,
  requestSerialize: notAClient,
  requestDeserialize: decodeRequest,
  responseSerialize: (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
  responseDeserialize: notAClient,
};

const handle: handleUnaryCall<GenerateMacRequest, Uint8Array> = (call, answer) => {
  answer(null, encodedAnswer(call.request));
};

const server = new Server({ 'grpc.enable_channelz': 0 });
server.addService({ generateMac }, { generateMac: handle });
server.bindAsync(process.argv[2] ?? '127.0.0.1:0', ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error;
});

function notAClient(): never {
  throw new Error('this definition is for a server');
}
