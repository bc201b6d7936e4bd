import { once } from 'node:events';
import { Client, credentials, status as codes } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StoreUnavailableError } from '../../src/records/record-store.ts';
import { openSqliteRecordStore } from '../../src/records/sqlite-record-store.ts';
import { alteredStore } from '../support/altered-store.ts';
import { readinessOf } from '../support/health.ts';
import { type RunningService, startService } from '../support/running-service.ts';

const SERVING = 1;
const NOT_SERVING = 2;
const SERVICES = ['', 'hmacd.v1.MacService', 'hmacd.v1.KeyService', 'hmacd.v1.AliasService', 'hmacd.v1.GrantService'];

let running: RunningService;
let client: Client;

async function start(replacements = {}): Promise<void> {
  running = await startService({}, replacements);
  client = new Client(`127.0.0.1:${running.grpcPort}`, credentials.createInsecure());
}

beforeEach(() => start());

afterEach(async () => {
  client.close();
  await running[Symbol.asyncDispose]();
});

const asIs = (bytes: Buffer) => bytes;

/** The request of grpc.health.v1: field 1 names the service. */
function requestFor(service: string): Buffer {
  return service === '' ? Buffer.alloc(0) : Buffer.concat([Buffer.of(0x0a, service.length), Buffer.from(service)]);
}

/** The status in a response of grpc.health.v1: field 1, of which 0 is left out. */
function statusIn(response: Buffer): number {
  return response[0] === 0x08 ? response[1]! : 0;
}

async function check(service: string): Promise<number> {
  return await new Promise((resolve, reject) => {
    client.makeUnaryRequest('/grpc.health.v1.Health/Check', asIs, asIs, requestFor(service), (error, response) =>
      error === null ? resolve(statusIn(response!)) : reject(error),
    );
  });
}

const checkAll = () => Promise.all(SERVICES.map(check));

describe('gRPC health', () => {
  it('says SERVING of the whole and of each service', async () => {
    expect(await checkAll()).toEqual(SERVICES.map(() => SERVING));
  });

  it('says NOT_SERVING of all of them when the service stops, before any call is refused', async () => {
    running.service.setServing(false);
    expect(await checkAll()).toEqual(SERVICES.map(() => NOT_SERVING));
    expect((await running.clients.gRPC.keys.listKeys({})).keys).toEqual([]);
    running.service.setServing(true);
    expect(await checkAll()).toEqual(SERVICES.map(() => SERVING));
  });

  it('says NOT_FOUND of a service that there is not', async () => {
    await expect(check('hmacd.v1.NoService')).rejects.toMatchObject({ code: codes.NOT_FOUND });
  });

  it('tells whoever watches of each change', async () => {
    for (const service of SERVICES) {
      const call = client.makeServerStreamRequest('/grpc.health.v1.Health/Watch', asIs, asIs, requestFor(service));
      call.on('error', () => {}); // That it was cancelled, at the end.
      const next = async () => statusIn(((await once(call, 'data')) as [Buffer])[0]);
      expect(await next()).toBe(SERVING);
      const stopped = next();
      running.service.setServing(false);
      expect(await stopped).toBe(NOT_SERVING);
      const resumed = next();
      running.service.setServing(true);
      expect(await resumed).toBe(SERVING);
      call.cancel();
    }
  });

  it('says NOT_SERVING, as /readyz does, while the store does not answer', async () => {
    const inner = openSqliteRecordStore(':memory:');
    let lost = false;
    const store = alteredStore(inner, {
      changes: async (since) => {
        if (lost) throw new StoreUnavailableError('it is lost');
        return await inner.changes(since);
      },
    });
    client.close();
    await running[Symbol.asyncDispose]();
    await start({ store });
    expect(await check('')).toBe(SERVING);
    lost = true;
    await expect.poll(checkAll, { timeout: 5_000 }).toEqual(SERVICES.map(() => NOT_SERVING));
    expect(await readinessOf(running.adminPort)).toBe(503);
    // What is not wanted does not come back by itself.
    running.service.setServing(false);
    lost = false;
    await expect
      .poll(() => running.logged.some((line) => line.includes('answers again')), { timeout: 5_000 })
      .toBe(true);
    expect(await check('')).toBe(NOT_SERVING);
    running.service.setServing(true);
    expect(await check('')).toBe(SERVING);
    expect(await readinessOf(running.adminPort)).toBe(200);
  });
});
