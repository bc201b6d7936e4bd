import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { writePrincipals } from '../grants/world.ts';
import { MacAlgorithm } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { StoreUnavailableError } from '../../src/records/record-store.ts';
import { openSqliteRecordStore } from '../../src/records/sqlite-record-store.ts';
import { makeKey } from '../macs/specs.ts';
import { alteredStore } from '../support/altered-store.ts';
import { failureOf, WIRES } from '../support/clients.ts';
import { readinessOf } from '../support/health.ts';
import { startService } from '../support/running-service.ts';
import { callsIn, scrape } from './scrape.ts';

const LABEL = { gRPC: 'grpc', 'Connect JSON': 'connect', 'Connect binary': 'connect', 'gRPC-Web': 'grpc-web' } as const;
const message = Buffer.from('m');
const macAlgorithm = MacAlgorithm.HMAC_SHA_256;

describe('the admin listener', () => {
  it('says at /livez that the process runs, whether or not it serves', async () => {
    await using running = await startService();
    for (const serving of [true, false]) {
      running.service.setServing(serving);
      const response = await fetch(`http://127.0.0.1:${running.adminPort}/livez`);
      expect([response.status, await response.text()]).toEqual([200, 'live\n']);
      expect(response.headers.get('content-length')).toBe('5');
    }
  });

  it('says at /readyz whether calls would be served', async () => {
    await using running = await startService();
    expect(await readinessOf(running.adminPort)).toBe(200);
    running.service.setServing(false);
    expect(await readinessOf(running.adminPort)).toBe(503);
    running.service.setServing(true);
    expect(await readinessOf(running.adminPort)).toBe(200);
  });

  it('has nothing elsewhere, the services neither', async () => {
    await using running = await startService();
    for (const path of ['/', '/metrics/x', '/hmacd.v1.KeyService/ListKeys', '//', '/%zz']) {
      const response = await fetch(`http://127.0.0.1:${running.adminPort}${path}`, { method: 'POST', body: '{}' });
      expect([path, response.status]).toEqual([path, 404]);
      await response.arrayBuffer();
    }
  });

  it('gives /metrics as Prometheus reads them, with the figures of the process', async () => {
    await using running = await startService();
    const response = await fetch(`http://127.0.0.1:${running.adminPort}/metrics?x=1`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=/);
    const body = await response.text();
    for (const name of ['hmacd_calls_total', 'hmacd_call_duration_seconds', 'hmacd_key_cache_lookups_total']) {
      expect(body).toMatch(new RegExp(`^# HELP ${name} .+\\n# TYPE ${name} \\w+$`, 'm'));
    }
    for (const name of ['process_cpu_seconds_total', 'process_resident_memory_bytes', 'nodejs_eventloop_lag_seconds']) {
      expect(body).toMatch(new RegExp(`^${name} `, 'm'));
    }
  });
});

describe('the metrics', () => {
  it.each(WIRES)(
    'count the calls over %s by operation and outcome, with a histogram of their durations',
    async (wire) => {
      await using running = await startService();
      const { mac } = running.clients[wire];
      const keyId = await makeKey(running.clients[wire]);
      for (let n = 0; n < 3; n++) await mac.generateMac({ keyId, message, macAlgorithm });
      await failureOf(mac.verifyMac({ keyId, message, macAlgorithm, mac: message }));
      await failureOf(mac.generateMac({}));
      const samples = await scrape(running.adminPort);
      const label = LABEL[wire];
      const counted = Object.fromEntries([...samples].filter(([name]) => name.startsWith('hmacd_calls_total')));
      expect(counted).toEqual({
        [`hmacd_calls_total{operation="CreateKey",outcome="OK",wire="${label}"}`]: 1,
        [`hmacd_calls_total{operation="GenerateMac",outcome="OK",wire="${label}"}`]: 3,
        [`hmacd_calls_total{operation="GenerateMac",outcome="ValidationException",wire="${label}"}`]: 1,
        [`hmacd_calls_total{operation="VerifyMac",outcome="KMSInvalidMacException",wire="${label}"}`]: 1,
      });
      const histogram = (suffix: string, le = '') =>
        samples.get(`hmacd_call_duration_seconds_${suffix}{${le}operation="GenerateMac",wire="${label}"}`);
      expect(histogram('count')).toBe(4);
      expect(histogram('bucket', 'le="+Inf",')).toBe(4);
      expect(histogram('sum')).toBeGreaterThan(0);
      expect(histogram('sum')).toBeLessThan(4);
    },
  );

  it('tell how long a call took', async () => {
    const inner = openSqliteRecordStore(':memory:');
    let slow = 0;
    const store = alteredStore(inner, {
      getMany: async (paths) => {
        await delay(slow);
        return await inner.getMany(paths);
      },
    });
    await using running = await startService({}, { store });
    const keyId = await makeKey(running.clients.gRPC);
    slow = 60;
    await running.clients.gRPC.mac.generateMac({ keyId, message, macAlgorithm });
    const samples = await scrape(running.adminPort);
    const bucket = (le: string) =>
      samples.get(`hmacd_call_duration_seconds_bucket{le="${le}",operation="GenerateMac",wire="grpc"}`);
    expect([bucket('0.05'), bucket('10')]).toEqual([0, 1]);
  });

  it('count the keys that were at hand, and those that were not', async () => {
    await using running = await startService();
    const { mac, aliases } = running.clients.gRPC;
    const keyId = await makeKey(running.clients.gRPC);
    await aliases.createAlias({ aliasName: 'alias/x', targetKeyId: keyId });
    for (let n = 0; n < 4; n++) await mac.generateMac({ keyId, message, macAlgorithm });
    await mac.generateMac({ keyId: 'alias/x', message, macAlgorithm });
    const lookups = async (result: string) =>
      (await scrape(running.adminPort)).get(`hmacd_key_cache_lookups_total{result="${result}"}`);
    expect([await lookups('hit'), await lookups('miss')]).toEqual([4, 1]);
    await mac.generateMac({ keyId, message, macAlgorithm });
    expect([await lookups('hit'), await lookups('miss')]).toEqual([5, 1]);
  });

  it('tell whether the store answers', async () => {
    const inner = openSqliteRecordStore(':memory:');
    let lost = false;
    const store = alteredStore(inner, {
      changes: async (since) => {
        if (lost) throw new StoreUnavailableError('it is lost');
        return await inner.changes(since);
      },
    });
    await using running = await startService({ KEY_CACHE_TTL: '300ms' }, { store });
    const available = async () => (await scrape(running.adminPort)).get('hmacd_store_available');
    expect(await available()).toBe(1);
    lost = true;
    await expect.poll(available).toBe(0);
    lost = false;
    await expect.poll(available).toBe(1);
  });

  it('tell whether the principals file is in force as it is now', async () => {
    const path = writePrincipals();
    const good = readFileSync(path);
    await using running = await startService({ PRINCIPALS_FILE: path });
    const inForce = async (content: string | Uint8Array) => {
      writeFileSync(path, content);
      running.service.principals!.reload();
      return (await scrape(running.adminPort)).get('hmacd_principals_file_in_force');
    };
    expect([await inForce(good), await inForce('principals: ['), await inForce(good)]).toEqual([1, 0, 1]);
  });

  it('start at nothing', async () => {
    await using running = await startService();
    const samples = await scrape(running.adminPort);
    expect(callsIn(samples, 'GenerateMac', 'grpc', 'OK')).toBe(0);
    expect(samples.get('hmacd_store_errors_total')).toBe(0);
    expect(samples.get('hmacd_damaged_records_total')).toBe(0);
  });
});
