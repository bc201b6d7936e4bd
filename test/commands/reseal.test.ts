import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { DeploymentSchema } from '../../src/gen/hmacd/store/v1/records_pb.ts';
import { deploymentPath } from '../../src/records/deployment-record.ts';
import { replaceRecord } from '../../src/records/records.ts';
import { RootKeyChange } from '../../src/records/root-key-change.ts';
import { makeRootKey, readRootKeys } from '../../src/records/root-keys.ts';
import { RootKeySealer } from '../../src/records/sealer.ts';
import { openSqliteRecordStore } from '../../src/records/sqlite-record-store.ts';
import { makeKey, recordsOf } from '../keys/fixture.ts';
import { sqliteDeployment } from '../support/deployment.ts';
import { runHmacd } from '../support/hmacd-process.ts';
import { startService } from '../support/running-service.ts';

/** A stopped deployment with three keys, and a root key that it is to have. */
async function stopped() {
  const { settings, folder, accountId } = sqliteDeployment();
  {
    await using running = await startService(settings);
    for (let n = 0; n < 3; n++) await makeKey(running.clients.gRPC);
  }
  const [former, next] = [settings['ROOT_KEY_FILE']!, join(folder, 'next.key')];
  makeRootKey(next);
  const run = async (rootKeyFile: string, ...args: string[]) => await runIn(settings, rootKeyFile, ...args);
  return { settings, folder, accountId, former, next, both: `${next},${former}`, run };
}

const runIn = async (settings: Readonly<Record<string, string>>, rootKeyFile: string, ...args: string[]) => {
  const all = Object.entries({ ...settings, ROOT_KEY_FILE: rootKeyFile });
  return await runHmacd(args, Object.fromEntries(all.map(([name, value]) => [`HMACD_${name}`, value])));
};

const idOf = (path: string): string => readRootKeys([path])[0].id.toString('hex');

describe('reseal', () => {
  it('names every record that does not open, and seals all others', async () => {
    const { folder, former, next, both, run } = await stopped();
    using database = new DatabaseSync(join(folder, 'hmacd.db'));
    database.exec("UPDATE records SET value = x'00' WHERE path LIKE '%/key/%'");
    const paths = database.prepare("SELECT path FROM records WHERE path LIKE '%/key/%' ORDER BY path").all();
    database.close();
    const { code, stdout, stderr } = await run(both, 'reseal');
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: paths
        .map(
          ({ path }) =>
            `hmacd: warning: the record at ${String(path)} does not open: it is not sealed; it stays as it is\n`,
        )
        .join(''),
    });
    expect(stdout).toMatch(
      new RegExp(`\nall \\d+ records that open are sealed under it\nthe root key ${idOf(former)} `),
    );
    const again = await run(both, 'reseal');
    expect(again.stdout).toContain(`the root key ${idOf(former)} can go`);
    const alone = await run(`${next},${next}`, 'reseal');
    expect(alone).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/HMACD_ROOT_KEY_FILE has no other root key\n$/),
    });
  });

  it('is for a store that a replica has told its root key, which a backup from before is restored without', async () => {
    const { folder, accountId, former, both, run } = await stopped();
    const store = openSqliteRecordStore(join(folder, 'hmacd.db'));
    const records = recordsOf(store, systemClock, new RootKeySealer(store.storeId, readRootKeys([former])));
    const found = (await records.get(DeploymentSchema, deploymentPath({ accountId })))!;
    await records.commit([replaceRecord(found, DeploymentSchema, { ...found.message, rootKeyId: '' })], 'adds');
    await store.close();
    expect((await run(both, 'reseal')).stderr).toMatch(/: start a replica on it first\n$/);
    const backup = join(folder, 'a.backup');
    expect(await run(former, 'backup', backup)).toMatchObject({ code: 0, stderr: '' });
    const empty = sqliteDeployment();
    expect(await runIn(empty.settings, former, 'restore', backup)).toMatchObject({ code: 0, stderr: '' });
    {
      await using running = await startService({ ...empty.settings, ROOT_KEY_FILE: former });
      expect((await running.clients.gRPC.keys.listKeys({})).keys).toHaveLength(3);
    }
    expect(await runIn(empty.settings, both, 'reseal')).toMatchObject({ code: 0, stderr: '' });
  });

  it('that ended half-way leaves a store of which a backup is restored with both root keys only', async () => {
    const { folder, accountId, former, next, both, run } = await stopped();
    const store = openSqliteRecordStore(join(folder, 'hmacd.db'));
    const sealer = new RootKeySealer(store.storeId, readRootKeys([next, former]));
    await new RootKeyChange(recordsOf(store, systemClock, sealer), sealer, accountId, idOf(next)).begin();
    await store.close();
    const backup = join(folder, 'a.backup');
    expect(await run(both, 'backup', backup)).toMatchObject({ code: 0, stderr: '' });
    const empty = sqliteDeployment();
    const refused = await runIn(empty.settings, next, 'restore', backup);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toContain(
      `records of the store are sealed under the root key ${idOf(former)}, or are about`,
    );
    expect(readdirSync(empty.folder)).toEqual([]);
    expect(await runIn(empty.settings, both, 'restore', backup)).toMatchObject({ code: 0, stderr: '' });
    expect(await runIn(empty.settings, both, 'reseal')).toMatchObject({ code: 0, stderr: '' });
    await using running = await startService({ ...empty.settings, ROOT_KEY_FILE: next });
    expect((await running.clients.gRPC.keys.listKeys({})).keys).toHaveLength(3);
  });
});
