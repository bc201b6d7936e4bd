import { fromBinary } from '@bufbuild/protobuf';
import { durationMs } from '@bufbuild/protobuf/wkt';
import type { ConnectError } from '@connectrpc/connect';
import { describe, expect, it, onTestFinished } from 'vitest';
import { RetryInfoSchema } from '../../src/gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../src/gen/google/rpc/status_pb.ts';
import { makeKey, macRequest } from '../keys/fixture.ts';
import { failureOf, WIRES } from '../support/clients.ts';
import { FakeClock } from '../support/running-service.ts';
import { startAuditedService } from './audited-service.ts';
import { callRaw, frameOf } from './raw-grpc.ts';
import { callsIn, scrape } from './scrape.ts';

const TEXT = 'You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.';

/** A service of some request rates, whose clock stands still, that ends with the test. */
async function start(rates: string) {
  const clock = new FakeClock();
  const service = await startAuditedService({ REQUEST_RATES: rates }, { clock });
  onTestFinished(() => service[Symbol.asyncDispose]());
  return { clock, service, running: service.running };
}

/** After how many milliseconds a call that failed is to be made again. */
async function retryDelayOf(call: Promise<unknown>): Promise<number | undefined> {
  const error = await call.catch((reason: unknown) => reason);
  const [info] = (error as ConnectError).findDetails(RetryInfoSchema);
  return info?.retryDelay && durationMs(info.retryDelay);
}

describe.each(WIRES)('a throttled call over %s', (wire) => {
  it('fails with the text of AWS, and tells when it will not', async () => {
    const { running, clock } = await start('ListKeys=2');
    const { keys } = running.clients[wire];
    await keys.listKeys({});
    await keys.listKeys({});
    expect(await failureOf(keys.listKeys({}))).toEqual({
      code: 'ResourceExhausted',
      exception: 'ThrottlingException',
      reason: 'THROTTLING',
      message: TEXT,
      keyArn: undefined,
      violations: [],
    });
    clock.advance(100);
    const delay = await retryDelayOf(keys.listKeys({}));
    expect(delay).toBe(400);
    clock.advance(delay! - 1);
    expect(await retryDelayOf(keys.listKeys({}))).toBe(1);
    clock.advance(1);
    await keys.listKeys({});
    expect(await retryDelayOf(keys.listKeys({}))).toBe(500);
  });

  it('is not carried out, and is refused before its request is looked at', async () => {
    const { running } = await start('CreateKey=1');
    const { keys } = running.clients[wire];
    await makeKey(running.clients[wire]);
    expect(await failureOf(keys.createKey({ description: 'x'.repeat(8_193) }))).toMatchObject({ message: TEXT });
    expect((await keys.listKeys({})).keys.length).toBe(1);
  });
});

describe('a throttled call', () => {
  it('is audited, with who made it, and counted', async () => {
    const { running, service } = await start('GenerateMac+VerifyMac=2');
    const { mac } = running.clients.gRPC;
    const { keyId, arn } = await makeKey(running.clients.gRPC);
    const answer = await mac.generateMac(macRequest(keyId));
    await mac.verifyMac({ ...macRequest(keyId), mac: answer.mac });
    await failureOf(mac.verifyMac({ ...macRequest(keyId), mac: answer.mac }));
    const audited = (await service.lines(4)).map(({ operation, outcome, principal, keyArn }) => [
      operation,
      outcome,
      principal,
      keyArn,
    ]);
    const root = 'arn:aws:iam::000000000000:root';
    expect(audited).toEqual([
      ['CreateKey', 'OK', root, arn],
      ['GenerateMac', 'OK', root, arn],
      ['VerifyMac', 'OK', root, arn],
      ['VerifyMac', 'ThrottlingException', root, undefined],
    ]);
    const samples = await scrape(running.adminPort);
    expect(callsIn(samples, 'VerifyMac', 'grpc', 'ThrottlingException')).toBe(1);
    expect(callsIn(samples, 'VerifyMac', 'grpc', 'OK')).toBe(1);
  });

  it('is counted together with those of every other wire', async () => {
    const { running } = await start('ListKeys=4');
    for (const wire of WIRES) await running.clients[wire].keys.listKeys({});
    for (const wire of WIRES) {
      expect(await failureOf(running.clients[wire].keys.listKeys({}))).toMatchObject({ message: TEXT });
    }
    await running.clients.gRPC.aliases.listAliases({});
  });

  it('over gRPC has the delay in its trailers', async () => {
    const { running } = await start('ListKeys=1');
    const call = async () =>
      await callRaw(running.grpcPort, { path: '/hmacd.v1.KeyService/ListKeys', body: frameOf(Buffer.alloc(0)) });
    expect((await call()).grpcStatus).toBe(0);
    const answer = await call();
    expect(answer.grpcStatus).toBe(8);
    const status = fromBinary(StatusSchema, answer.details!);
    expect(status.details.map(({ typeUrl }) => typeUrl)).toEqual([
      'type.googleapis.com/google.rpc.ErrorInfo',
      'type.googleapis.com/google.rpc.RequestInfo',
      'type.googleapis.com/google.rpc.RetryInfo',
    ]);
  });

  it('over Connect shows the delay as JSON', async () => {
    const { running } = await start('ListKeys=1');
    const post = async () =>
      await fetch(`http://127.0.0.1:${running.httpPort}/hmacd.v1.KeyService/ListKeys`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{}',
      });
    expect((await post()).status).toBe(200);
    const response = await post();
    expect(response.status).toBe(429);
    const body = (await response.json()) as { code: string; details: { type: string; debug: unknown }[] };
    expect(body.code).toBe('resource_exhausted');
    expect(body.details.at(-1)).toMatchObject({ type: 'google.rpc.RetryInfo', debug: { retryDelay: '1s' } });
  });
});

describe('without request rates', () => {
  it('calls come as they like', async () => {
    const { running } = await start('off');
    for (let n = 0; n < 200; n++) await running.clients.gRPC.keys.listKeys({});
    expect(callsIn(await scrape(running.adminPort), 'ListKeys', 'grpc', 'OK')).toBe(200);
  });
});
