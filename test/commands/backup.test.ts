import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { makeRootKey } from '../../src/records/root-keys.ts';
import { makeKey } from '../keys/fixture.ts';
import { sqliteDeployment, temporaryFolder } from '../support/deployment.ts';
import { runHmacd } from '../support/hmacd-process.ts';
import { startService } from '../support/running-service.ts';

type Settings = Readonly<Record<string, string>>;

const run = async (settings: Settings, ...args: string[]) =>
  await runHmacd(args, Object.fromEntries(Object.entries(settings).map(([name, value]) => [`HMACD_${name}`, value])));

/** A stopped deployment with keys, and a backup of it. */
async function backedUp() {
  const { settings, folder } = sqliteDeployment();
  {
    await using running = await startService(settings);
    for (let n = 0; n < 3; n++) await makeKey(running.clients.gRPC);
  }
  const path = join(temporaryFolder(), 'a.backup');
  expect(await run(settings, 'backup', path)).toMatchObject({ code: 0, stderr: '' });
  return { settings, folder, path };
}

/** Another deployment with the same root key. */
const emptyBeside = ({ ROOT_KEY_FILE }: Settings): ReturnType<typeof sqliteDeployment> =>
  sqliteDeployment({ ROOT_KEY_FILE: ROOT_KEY_FILE! });

describe('backup', () => {
  it('makes a file for its owner alone, and none in the place of another', async () => {
    const { settings, path } = await backedUp();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const { size } = statSync(path);
    expect(await run(settings, 'backup', path)).toEqual({
      code: 1,
      stdout: '',
      stderr: `hmacd: ${path} exists; a backup takes the place of no other file\n`,
    });
    expect(statSync(path).size).toBe(size);
    expect(readdirSync(join(path, '..'))).toEqual(['a.backup']);
  });

  it.each([[[]], [['--store', 'sqlite:x']]])('with %j instead of a file says how it is used', async (args) => {
    const usage = { code: 1, stdout: '', stderr: 'hmacd: usage: hmacd backup FILE\n' };
    expect(await run({}, 'backup', ...args)).toEqual(usage);
  });

  it('of a store that is not there makes none, and no root key', async () => {
    const { settings, folder } = sqliteDeployment();
    const path = join(folder, 'a.backup');
    const withoutKey = await run(settings, 'backup', path);
    expect(withoutKey.stderr).toMatch(/^hmacd: the root key file \S+ cannot be read: ENOENT\n$/);
    makeRootKey(settings['ROOT_KEY_FILE']!);
    expect(await run(settings, 'backup', path)).toMatchObject({
      code: 1,
      stderr: `hmacd: the SQLite store ${join(folder, 'hmacd.db')} does not exist\n`,
    });
    expect(readdirSync(folder)).toEqual(['root.key']);
  });

  it('of a store that is in use, or to where nothing can be written, says so', async () => {
    const { settings, path } = await backedUp();
    const nowhere = join(path, 'no', 'folder');
    expect(await run(settings, 'backup', nowhere)).toMatchObject({
      code: 1,
      stderr: `hmacd: ${nowhere} cannot be written: ENOTDIR\n`,
    });
    await using running = await startService(settings);
    expect(running.fatal).toEqual([]);
    const inUse = await run(settings, 'backup', `${path}.2`);
    expect(inUse).toMatchObject({ code: 1, stderr: expect.stringMatching(/ is in use by another process\n$/) });
    expect(existsSync(`${path}.2`)).toBe(false);
  });

  it('has damaged records too, and warns of them, as does their restore', async () => {
    const { settings, folder, path } = await backedUp();
    {
      using database = new DatabaseSync(join(folder, 'hmacd.db'));
      database.exec("UPDATE records SET value = x'00' WHERE path LIKE '%/key/%'");
    }
    const warning =
      /^hmacd: warning: 3 records do not open; the first: the record at \S+ does not open: it is not sealed\n$/;
    const made = await run(settings, 'backup', `${path}.2`);
    expect(made).toMatchObject({ code: 0, stderr: expect.stringMatching(warning) });
    const restored = await run(emptyBeside(settings).settings, 'restore', `${path}.2`);
    expect(restored).toMatchObject({ code: 0, stderr: expect.stringMatching(warning) });
  });
});

describe('restore', () => {
  it('refuses a store with records', async () => {
    const { settings, path } = await backedUp();
    expect(await run(settings, 'restore', path)).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/: it has records, and a backup is restored only into an empty store\n$/),
    });
    await using running = await startService(settings);
    expect((await running.clients.gRPC.keys.listKeys({})).keys).toHaveLength(3);
  });

  it.each([
    ['account', { ACCOUNT_ID: '111122223333' }, 'accountId 000000000000, and this is set to 111122223333'],
    ['Region', { REGION: 'eu-west-1' }, 'region us-east-1, and this is set to eu-west-1'],
    ['partition', { PARTITION: 'aws-cn' }, 'partition aws, and this is set to aws-cn'],
  ])('refuses a backup of another %s, and writes nothing', async (_, other, sentence) => {
    const { settings, path } = await backedUp();
    const empty = emptyBeside(settings);
    expect(await run({ ...empty.settings, ...other }, 'restore', path)).toEqual({
      code: 1,
      stdout: '',
      stderr: `hmacd: the backup ${path} was made for the ${sentence}\n`,
    });
    expect(readdirSync(empty.folder)).toEqual([]);
  });

  it('refuses what is no backup, under another root key, and into memory, and writes nothing', async () => {
    const { settings, path } = await backedUp();
    const empty = emptyBeside(settings);
    const other = join(temporaryFolder(), 'other.key');
    makeRootKey(other);
    const something = join(temporaryFolder(), 'something');
    writeFileSync(something, 'something else entirely');
    for (const [change, file, sentence] of [
      [{}, something, /is none that this hmacd can read\n$/],
      [{}, `${something}.no`, / cannot be read: ENOENT\n$/],
      [{}, join(something, '..'), / cannot be read: EISDIR\n$/],
      [
        { ROOT_KEY_FILE: other },
        path,
        / was made under the root key [0-9a-f]{16}, and HMACD_ROOT_KEY_FILE has [0-9a-f]{16}\n$/,
      ],
      [{ STORE: 'sqlite::memory:' }, path, /a store in memory would be gone at once/],
    ] as const) {
      const refused = await run({ ...empty.settings, ...change }, 'restore', file);
      expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(sentence) });
    }
    expect(readdirSync(empty.folder)).toEqual([]);
  });
});
