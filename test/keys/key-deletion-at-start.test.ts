import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openSqliteRecordStore } from '../../src/records/sqlite-record-store.ts';
import type { Clients } from '../support/clients.ts';
import { FakeClock, startService } from '../support/running-service.ts';
import { DAY, makeKey, paths } from './fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'hmacd-deletion-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('a service that was stopped', () => {
  it.each([
    ['destroys at its start the keys whose window ended meanwhile', 7 * DAY, true],
    ['leaves the keys whose window has not ended', 7 * DAY - 1, false],
  ])('%s', async (name, elapsed, destroyed) => {
    const path = join(folder, name.replaceAll(' ', '-'), 'hmacd.db');
    const settings = { STORE: `sqlite:${path}`, ROOT_KEY_FILE: `${path}.key` };
    const clock = new FakeClock();
    const keyId = await inService(async (clients) => {
      const key = await makeKey(clients);
      await clients.keys.scheduleKeyDeletion({ keyId: key.keyId, pendingWindowInDays: 7 });
      return key.keyId;
    });
    clock.advance(elapsed);
    // The sweep begins with the service; closing waits for its end.
    await inService(async () => '');
    const store = openSqliteRecordStore(path);
    const [key, tombstone] = await store.getMany([paths.key(keyId), paths.destroyedKey(keyId)]);
    expect([key !== undefined, tombstone !== undefined]).toEqual([!destroyed, destroyed]);
    await store.close();

    async function inService(act: (clients: Clients) => Promise<string>): Promise<string> {
      await using running = await startService(settings, { clock });
      return await act(running.clients.gRPC);
    }
  });
});
