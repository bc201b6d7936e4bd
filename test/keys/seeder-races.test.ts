import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ControlledStore } from '../records/controlled-store.ts';
import { startService } from '../support/running-service.ts';
import { macRequest, openSealer } from './fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'hmacd-seeder-races-'));
afterAll(() => rmSync(folder, { recursive: true }));

const named = { key_spec: 'HMAC_256', aliases: ['alias/a', 'alias/b'] };
const known = { ...named, key_id: '1234abcd-12ab-34cd-56ef-1234567890ab' };
const MATERIAL = Buffer.from('0123456789abcdefghijklmnopqrstuv').toString('base64');

describe('three replicas that plant the same seed at the same time', () => {
  it.each([
    ['known by its alias', named],
    ['known by its key ID', known],
    ['with material', { ...named, material_base64: MATERIAL }],
  ])('agree on one key %s', async (_, key) => {
    await using store = new ControlledStore();
    // Every answer takes a turn, so that they come between each other.
    store.after = () => new Promise((resolve) => setImmediate(resolve));
    const path = join(folder, 'seed.yaml');
    writeFileSync(path, JSON.stringify({ keys: [key, { key_spec: 'HMAC_512', aliases: ['alias/second'] }] }));
    const start = () => startService({ SEED_FILE: path, KEY_CACHE_TTL: '100ms' }, { store, sealer: openSealer });
    const started = await Promise.all([start(), start(), start()]);
    const answers = await Promise.all(
      started.map(({ clients }) => clients.gRPC.mac.generateMac(macRequest('alias/b'))),
    );
    expect(new Set(answers.map(({ keyId }) => keyId)).size).toBe(1);
    expect(new Set(answers.map(({ mac }) => Buffer.from(mac).toString('hex'))).size).toBe(1);
    expect((await started[0].clients.gRPC.keys.listKeys({})).keys.length).toBe(2);
    for (const running of started) await running[Symbol.asyncDispose]();
  });
});
