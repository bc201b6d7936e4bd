import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, onTestFinished, vi } from 'vitest';
import { KeyState } from '../../src/gen/hmacd/v1/key_pb.ts';
import { ControlledStore } from '../records/controlled-store.ts';
import { failureOf } from '../support/clients.ts';
import { createImportedKey } from '../support/imported-key.ts';
import { FakeClock, startService } from '../support/running-service.ts';
import { openSealer, storedKey } from './fixture.ts';

const HOUR = 60 * 60 * 1_000;
/** What a call that takes something away waits with a TTL of 1 s, in milliseconds. */
const WAIT = 1_050;

/** A key that waits for its material, on a replica that may have company, and whose leases last until the test turns the clock. */
async function start() {
  const clock = new FakeClock();
  const store = new ControlledStore();
  const running = await startService({ KEY_CACHE_TTL: '1s' }, { clock, store, sealer: openSealer });
  onTestFinished(async () => {
    clock.advance(WAIT);
    await running[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
  });
  const clients = running.clients.gRPC;
  const { keyId, importMaterial } = await createImportedKey(clients, randomBytes(32));
  const importFor = async (milliseconds: number): Promise<void> =>
    await importMaterial(clients, clock.now() + milliseconds);
  const stored = async () => (await storedKey(store, keyId))!;
  return { clock, ...clients, keyId, importFor, importForever: () => importMaterial(clients), stored };
}

/** Whether a call has ended, once it has had time to do all that it does but wait for leases. */
async function hasEnded(call: Promise<unknown>): Promise<boolean> {
  return await Promise.race([
    call.then(
      () => true,
      () => true,
    ),
    delay(300, false),
  ]);
}

it('Material that ends is imported at once into a key that never had any, and into one that has it only after a wait', async () => {
  const { clock, importFor } = await start();
  await importFor(2 * HOUR);
  const again = importFor(HOUR);
  expect(await hasEnded(again)).toBe(false);
  clock.advance(WAIT);
  await again;
});

it('Material that ends is imported only after a wait while another replica may hold what is being deleted', async () => {
  const { clock, imports, importFor, importForever, keyId, stored } = await start();
  await importForever();
  const deletion = imports.deleteImportedKeyMaterial({ keyId });
  await vi.waitFor(async () => expect((await stored()).keyState).toBe(KeyState.PENDING_IMPORT));
  const again = importFor(HOUR);
  expect(await hasEnded(again)).toBe(false);
  clock.advance(WAIT);
  await Promise.all([deletion, again]);
});

it('Material that ends is imported only after a wait while another replica may not know that it had ended', async () => {
  const { clock, importFor } = await start();
  await importFor(HOUR);
  clock.advance(HOUR);
  const again = importFor(HOUR);
  expect(await hasEnded(again)).toBe(false);
  clock.advance(WAIT);
  await again;
});

it('Material that does not end is imported at once', async () => {
  const { clock, importFor, importForever } = await start();
  await importFor(HOUR);
  expect(await hasEnded(importForever())).toBe(true);
  clock.advance(HOUR);
  expect(await hasEnded(importForever())).toBe(true);
});

it('That a key is pending import is said only after a wait to who would disable it, while its material is being deleted', async () => {
  const { clock, imports, keys, importForever, keyId, stored } = await start();
  await importForever();
  const deletion = imports.deleteImportedKeyMaterial({ keyId });
  await vi.waitFor(async () => expect((await stored()).keyState).toBe(KeyState.PENDING_IMPORT));
  const refusal = failureOf(keys.disableKey({ keyId }));
  expect(await hasEnded(refusal)).toBe(false);
  expect((await failureOf(keys.enableKey({ keyId }))).exception).toBe('KMSInvalidStateException');
  clock.advance(WAIT);
  expect((await refusal).exception).toBe('KMSInvalidStateException');
  await deletion;
});

it('A tag is given to a key that is pending import after one wait', async () => {
  const { clock, keys, keyId } = await start();
  const tagging = keys.tagResource({ keyId, tags: [{ tagKey: 'a', tagValue: 'b' }] });
  expect(await hasEnded(tagging)).toBe(false);
  clock.advance(WAIT);
  await tagging;
});
