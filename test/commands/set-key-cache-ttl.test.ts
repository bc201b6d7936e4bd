import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { makeRootKey } from '../../src/records/root-keys.ts';
import { macRequest, makeKey } from '../keys/fixture.ts';
import { runHmacd } from '../support/hmacd-process.ts';
import { startService } from '../support/running-service.ts';

const folder = mkdtempSync(join(tmpdir(), 'hmacd-set-ttl-'));
afterAll(() => rmSync(folder, { recursive: true }));
let stores = 0;

/** The settings of a SQLite store that is not there yet. */
function newStore(): Readonly<Record<'STORE' | 'ROOT_KEY_FILE', string>> {
  const place = join(folder, String(++stores));
  return { STORE: `sqlite:${join(place, 'hmacd.db')}`, ROOT_KEY_FILE: join(place, 'root.key') };
}

const setKeyCacheTtl = async (settings: Readonly<Record<string, string>>, ...args: string[]) =>
  await runHmacd(
    ['set-key-cache-ttl', ...args],
    Object.fromEntries(Object.entries(settings).map(([name, value]) => [`HMACD_${name}`, value])),
  );

describe('set-key-cache-ttl', () => {
  it('makes a stopped deployment start with the new TTL, with its keys, and refuse the old one', async () => {
    const settings = newStore();
    let keyId: string;
    {
      await using running = await startService(settings);
      ({ keyId } = await makeKey(running.clients.gRPC));
    }
    expect(await setKeyCacheTtl(settings, '2s')).toMatchObject({ code: 0, stderr: '' });
    await expect(startService(settings)).rejects.toThrow(
      `the store's key cache TTL is 2000ms, and HMACD_KEY_CACHE_TTL is 1000ms; to change it, stop every replica and run "hmacd set-key-cache-ttl 1000ms"`,
    );
    await using running = await startService({ ...settings, KEY_CACHE_TTL: '2s' });
    expect((await running.clients.gRPC.mac.generateMac(macRequest(keyId))).mac.length).toBe(32);
  });

  it('does what the sentence says that asks for it', async () => {
    const settings = newStore();
    await (await startService(settings))[Symbol.asyncDispose]();
    const refused: unknown = await startService({ ...settings, KEY_CACHE_TTL: '250ms' }).catch(
      (error: unknown) => error,
    );
    const [, told] = /run "hmacd (.*)"$/.exec((refused as Error).message)!;
    const args = told!.split(' ').slice(1);
    expect(await setKeyCacheTtl({ ...settings, KEY_CACHE_TTL: '250ms' }, ...args)).toMatchObject({ code: 0 });
    await using running = await startService({ ...settings, KEY_CACHE_TTL: '250ms' });
    expect(running.fatal).toEqual([]);
  });

  it.each([
    ['no duration', [], /^hmacd: usage: hmacd set-key-cache-ttl DURATION\n$/],
    ['no duration of the right length', ['50ms'], /^hmacd: --key-cache-ttl: "50ms" is not a duration of 100ms to 5m/],
    ['something else', ['soon'], /^hmacd: --key-cache-ttl: "soon" is not a duration/],
    ['an unknown flag', ['2s', '--now'], /^hmacd: Unknown option '--now'/],
  ])('refuses %s', async (_, args, stderr) => {
    const settings = newStore();
    expect(await setKeyCacheTtl(settings, ...args)).toMatchObject({ code: 1, stderr: expect.stringMatching(stderr) });
  });

  it('refuses a store that is not there, and makes none', async () => {
    const settings = newStore();
    makeRootKey(settings.ROOT_KEY_FILE);
    expect(await setKeyCacheTtl(settings, '2s')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^hmacd: the SQLite store \S+ does not exist\n$/),
    });
    expect(readdirSync(dirname(settings.ROOT_KEY_FILE))).toEqual(['root.key']);
  });

  it('seals under the root key that seals, whichever it is given first', async () => {
    const settings = newStore();
    await (await startService(settings))[Symbol.asyncDispose]();
    const next = `${settings.ROOT_KEY_FILE}.next`;
    makeRootKey(next);
    const [former, both] = [settings.ROOT_KEY_FILE, `${next},${settings.ROOT_KEY_FILE}`];
    const env = { HMACD_STORE: settings.STORE, HMACD_ROOT_KEY_FILE: both };
    expect((await runHmacd(['reseal'], env)).code).toBe(0);
    expect(await setKeyCacheTtl({ ...settings, ROOT_KEY_FILE: `${former},${next}` }, '2s')).toMatchObject({ code: 0 });
    await using running = await startService({ ...settings, ROOT_KEY_FILE: next, KEY_CACHE_TTL: '2s' });
    expect(running.fatal).toEqual([]);
  });

  it('refuses a store that a replica is running on, and one with another root key', async () => {
    const settings = newStore();
    {
      await using running = await startService(settings);
      expect(running.fatal).toEqual([]);
      const ended = await setKeyCacheTtl(settings, '2s');
      expect(ended).toMatchObject({ code: 1, stderr: expect.stringMatching(/ is in use by another process\n$/) });
    }
    const other = newStore();
    await (await startService(other))[Symbol.asyncDispose]();
    expect(await setKeyCacheTtl({ ...settings, ROOT_KEY_FILE: other.ROOT_KEY_FILE }, '2s')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^hmacd: the store was sealed under the root key [0-9a-f]{16}, and HMACD_ROOT_KEY_FILE has [0-9a-f]{16} /,
      ),
    });
    await using running = await startService(settings);
    expect(running.fatal).toEqual([]);
  });
});
