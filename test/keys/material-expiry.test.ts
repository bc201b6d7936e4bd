import { randomBytes } from 'node:crypto';
import { expect, it, onTestFinished } from 'vitest';
import { KeyState } from '../../src/gen/hmacd/v1/key_pb.ts';
import { MaterialExpiry } from '../../src/keys/material-expiry.ts';
import { ControlledStore } from '../records/controlled-store.ts';
import { createImportedKey } from '../support/imported-key.ts';
import { FakeClock, startService } from '../support/running-service.ts';
import {
  DAY,
  deletionOf,
  macRequest,
  openSealer,
  openSealerWithDamage,
  paths,
  recordsOf,
  storedKey,
  turnsDuring,
} from './fixture.ts';

const HOUR = 60 * 60 * 1_000;

/** A key with imported material, in a store that seals nothing; material ends only when the test says so. */
async function start() {
  const clock = new FakeClock();
  const store = new ControlledStore({ exclusive: true });
  const running = await startService({}, { clock, store, sealer: openSealer });
  onTestFinished(async () => {
    await running[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
  });
  const damaged = new Set<string>();
  const { keys, imports, mac } = running.clients.gRPC;
  const { keyId, importMaterial } = await createImportedKey(running.clients.gRPC, randomBytes(32));
  /** @param hours from now on */
  const importFor = async (hours: number): Promise<void> =>
    await importMaterial(running.clients.gRPC, clock.now() + hours * HOUR);
  const importForever = async (): Promise<void> => await importMaterial(running.clients.gRPC);
  const failures: unknown[] = [];
  const sweep = async (): Promise<void> => {
    const records = recordsOf(store, clock, openSealerWithDamage(damaged));
    await new MaterialExpiry(records, paths, clock, (error) => failures.push(error)).sweep();
  };
  const stored = async () => {
    const { keyState, material } = (await storedKey(store, keyId))!;
    return { keyState, length: material.length };
  };
  const left = async (prefix: string): Promise<number> => (await store.list(prefix, '', 100)).length;
  /** Puts a few hundred empty records at some paths. */
  const fill = async (pathOf: (n: number) => string): Promise<void> => {
    const put = Array.from({ length: 450 }, (_, n) => ({
      path: pathOf(n),
      version: crypto.randomUUID(),
      value: Buffer.alloc(0),
    }));
    await store.commit({ expect: [], put, remove: [] });
  };
  return {
    damaged,
    fill,
    clock,
    store,
    keyId,
    keys,
    imports,
    mac,
    importFor,
    importForever,
    sweep,
    stored,
    left,
    failures,
  };
}

const GONE = { keyState: KeyState.PENDING_IMPORT, length: 0 };
const THERE = { keyState: KeyState.ENABLED, length: 32 };

it('Material that has ended is destroyed, and not before', async () => {
  const { clock, importFor, sweep, stored, left } = await start();
  await importFor(2);
  await importFor(1);
  clock.advance(HOUR - 1);
  await sweep();
  expect(await stored()).toEqual(THERE);
  clock.advance(1);
  expect(await stored()).toEqual(THERE);
  await sweep();
  expect(await stored()).toEqual(GONE);
  clock.advance(HOUR);
  await sweep();
  expect(await left(paths.materialEnds)).toBe(0);
});

it('Material that was imported anew stays until its new end', async () => {
  const { clock, importFor, sweep, stored, mac, keyId } = await start();
  await importFor(1);
  await importFor(3);
  clock.advance(HOUR);
  await sweep();
  expect(await stored()).toEqual(THERE);
  await mac.generateMac(macRequest(keyId));
  clock.advance(2 * HOUR);
  await sweep();
  expect(await stored()).toEqual(GONE);
});

it('Material that has ended is destroyed by whoever deletes it, too', async () => {
  const { clock, importFor, stored, imports, keyId } = await start();
  await importFor(1);
  clock.advance(HOUR);
  expect(await stored()).toEqual(THERE);
  await imports.deleteImportedKeyMaterial({ keyId });
  expect(await stored()).toEqual(GONE);
});

it('A key that was deleted meanwhile, or that is pending deletion, keeps nothing from being swept', async () => {
  const { clock, importFor, sweep, stored, left, keys, imports, keyId, failures } = await start();
  await importFor(1);
  await imports.deleteImportedKeyMaterial({ keyId });
  clock.advance(HOUR);
  await sweep();
  expect(await left(paths.materialEnds)).toBe(0);
  await importFor(1);
  await keys.scheduleKeyDeletion({ keyId });
  clock.advance(HOUR);
  await sweep();
  expect(await stored()).toEqual({ keyState: KeyState.PENDING_DELETION, length: 0 });
  await keys.cancelKeyDeletion({ keyId });
  expect(await stored()).toEqual(GONE);
  expect(failures).toEqual([]);
});

it('When material would have ended is known no longer when it ends at another time, never, or is gone', async () => {
  const { clock, keyId, imports, importFor, importForever, left, keys, store, failures } = await start();
  for (const hours of [3, 1, 2, 2]) {
    await importFor(hours);
    expect(await left(paths.materialEnds)).toBe(1);
  }
  await importForever();
  expect(await left(paths.materialEnds)).toBe(0);
  await importFor(1);
  await imports.deleteImportedKeyMaterial({ keyId });
  expect(await left(paths.materialEnds)).toBe(0);
  await importFor(30 * 24);
  await keys.scheduleKeyDeletion({ keyId, pendingWindowInDays: 7 });
  expect(await left(paths.materialEnds)).toBe(1);
  clock.advance(7 * DAY);
  expect(await deletionOf(store, clock).deletion.sweep()).toBe(1);
  expect(await left(paths.materialEnds)).toBe(0);
  expect(failures).toEqual([]);
});

it('What can be used to import is destroyed when it has ended', async () => {
  const { clock, sweep, left } = await start();
  clock.advance(DAY - 1);
  await sweep();
  expect(await left(paths.importParameters)).toBe(1);
  clock.advance(1);
  await sweep();
  expect(await left(paths.importParameters)).toBe(0);
});

it('What can be used to import goes a few hundred at a time, unless it has not ended', async () => {
  const { clock, store, sweep, left, fill } = await start();
  await fill((n) => paths.importParametersOf(new Date(clock.now() + n), 'key', 'digest'));
  clock.advance(439);
  const { commit } = store.counts;
  await sweep();
  expect(store.counts.commit - commit).toBe(3);
  // Those of the ten last, and that of the key.
  expect(await left(paths.importParameters)).toBe(11);
});

it('A sweep lets calls have their turn', async () => {
  const { clock, sweep, left, fill } = await start();
  await fill((n) => paths.materialEnd(new Date(clock.now()), `key-${n}`));
  expect(await turnsDuring(sweep)).toBeGreaterThanOrEqual(450);
  expect(await left(paths.materialEnds)).toBe(0);
  await fill((n) => paths.importParametersOf(new Date(clock.now()), `key-${n}`, 'digest'));
  expect(await turnsDuring(sweep)).toBeGreaterThanOrEqual(3);
  expect(await left(paths.importParameters)).toBe(1);
});

it('The material of a damaged key is destroyed when that is mended', async () => {
  const { clock, importFor, sweep, left, keyId, failures, damaged, stored } = await start();
  await importFor(1);
  damaged.add(paths.key(keyId));
  clock.advance(HOUR);
  await sweep();
  expect(await stored()).toEqual(THERE);
  expect(await left(paths.materialEnds)).toBe(1);
  damaged.clear();
  await sweep();
  expect(await stored()).toEqual(GONE);
  expect(await left(paths.materialEnds)).toBe(0);
  expect(failures).toEqual([]);
});
