// Signs a webhook and verifies it, as its sender and its receiver would.
//
//   npm start -- [URL]    # http://127.0.0.1:8080 when left out

import { createHash } from 'node:crypto';
import { type Client, ConnectError, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-web';
import { ErrorInfoSchema } from './gen/google/rpc/error_details_pb.ts';
import { MacAlgorithm, MacService } from './gen/hmacd/v1/mac_pb.ts';

type Macs = Client<typeof MacService>;

const KEY = { keyId: 'alias/demo', macAlgorithm: MacAlgorithm.HMAC_SHA_256 };

/** Milliseconds after which a webhook is taken for a replay. */
const MAX_AGE = 5 * 60_000;

async function sign(macs: Macs, at: Date, body: string): Promise<Uint8Array> {
  const { mac } = await macs.generateMac({ ...KEY, message: digest(at, body) });
  return mac;
}

/** Whether the MAC is genuine. If it throws, nobody knows: do not reject the webhook for it, let the sender try again. */
async function verify(macs: Macs, at: Date, body: string, mac: Uint8Array): Promise<boolean> {
  if (Math.abs(Date.now() - at.getTime()) > MAX_AGE) return false;
  try {
    const { macValid } = await macs.verifyMac({ ...KEY, message: digest(at, body), mac });
    return macValid;
  } catch (error) {
    const infos = ConnectError.from(error).findDetails(ErrorInfoSchema);
    if (infos.some(({ domain, reason }) => domain === 'hmacd' && reason === 'KMS_INVALID_MAC')) return false;
    throw error;
  }
}

/** What is signed: a message has at most 4,096 bytes, and a body may have more. The time in it stops replays. */
function digest(at: Date, body: string): Uint8Array {
  return createHash('sha256')
    .update(`${Math.trunc(at.getTime() / 1000)}.`)
    .update(body)
    .digest();
}

const baseUrl = process.argv[2] ?? 'http://127.0.0.1:8080';
// fetch and Connect's own protocol, over HTTP/1.1 or 2; without a timeout, a call waits for ever.
const macs = createClient(MacService, createConnectTransport({ baseUrl, defaultTimeoutMs: 5_000 }));
const body = '{"order":1234,"total":"56.78"}';
const now = new Date();
const mac = await sign(macs, now, body);
console.log('signed:', Buffer.from(mac).toString('hex'));
console.log('genuine:', await verify(macs, now, body, mac));
console.log('forged:', await verify(macs, now, body.replace('56.78', '0.01'), mac));
