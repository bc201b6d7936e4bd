import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { StoreUnavailableError } from '../../src/records/record-store.ts';
import { openSqliteRecordStore } from '../../src/records/sqlite-record-store.ts';
import { commit, describeRecordStore, makeRecord } from './record-store-contract.ts';

const directory = mkdtempSync(join(tmpdir(), 'hmacd-sqlite-'));
let files = 0;
const modeOf = (path: string): number => statSync(path).mode & 0o777;
const newPath = (): string => join(directory, `${++files}`, 'data', 'hmacd.db');

afterAll(() => rmSync(directory, { recursive: true }));

const options = (logLength: number | undefined) => (logLength === undefined ? {} : { logLength });
describeRecordStore('SQLite in memory', async (logLength) => openSqliteRecordStore(':memory:', options(logLength)));
describeRecordStore('SQLite in a file', async (logLength) => openSqliteRecordStore(newPath(), options(logLength)));

/** A program that opens the store at its first argument as `store`, and then does what it is told. */
function programOf(body: string): string {
  const store = new URL('../../src/records/sqlite-record-store.ts', import.meta.url).href;
  return `
    const { openSqliteRecordStore } = await import('${store}');
    const store = openSqliteRecordStore(process.argv[1]);
    const put = (path, length) =>
      store.commit({ expect: [], put: [{ path, version: crypto.randomUUID(), value: Buffer.alloc(length, 'x') }], remove: [] });
    ${body}
  `;
}

const nodeArguments = (body: string, path: string): string[] => ['--input-type=module', '-e', programOf(body), path];

describe('a SQLite store in a file', () => {
  it('is this process’s alone', async () => {
    const path = newPath();
    const store = openSqliteRecordStore(path);
    expect(store.exclusive).toBe(true);
    const sentence = `the SQLite store ${path} is in use by another process`;
    await expect(promisify(execFile)(process.execPath, nodeArguments('', path))).rejects.toThrow(sentence);
    expect(() => openSqliteRecordStore(path)).toThrow(new Error(sentence));
    // Neither attempt took the lock away.
    await expect(promisify(execFile)(process.execPath, nodeArguments('', path))).rejects.toThrow(sentence);
    await store.close();
    await promisify(execFile)(process.execPath, nodeArguments('', path));
  });

  it('keeps its ID, its records and its log when it is opened again', async () => {
    const path = newPath();
    const store = openSqliteRecordStore(path);
    await commit(store, { put: [makeRecord('a', 'kept')] });
    const { cursor } = await store.changes(undefined);
    await commit(store, { put: [makeRecord('b')] });
    await store.close();
    const again = openSqliteRecordStore(path);
    expect(again.storeId).toBe(store.storeId);
    expect((await again.list('', '', 10)).map((record) => record.path)).toEqual(['a', 'b']);
    expect((await again.changes(cursor)).paths).toEqual(['b']);
    await again.close();
  });

  it('is readable by its owner only', async () => {
    const path = newPath();
    const store = openSqliteRecordStore(path);
    await commit(store, { put: [makeRecord('a')] });
    expect([modeOf(join(path, '..')), modeOf(path), modeOf(`${path}-wal`)]).toEqual([0o700, 0o600, 0o600]);
    expect(() => statSync(`${path}-shm`)).toThrow('ENOENT');
    await store.close();
    chmodSync(path, 0o644);
    await openSqliteRecordStore(path).close();
    expect(modeOf(path)).toBe(0o600);
  });

  it('refuses what a newer program wrote, and what is no database', async () => {
    const path = newPath();
    await openSqliteRecordStore(path).close();
    const database = new DatabaseSync(path);
    database.exec("UPDATE meta SET value = '2' WHERE name = 'schema_version'");
    database.close();
    expect(() => openSqliteRecordStore(path)).toThrow(/schema version 2, and this program knows only 1$/);
    const noDatabase = join(directory, 'no-database');
    writeFileSync(noDatabase, 'x'.repeat(8_192));
    expect(() => openSqliteRecordStore(noDatabase)).toThrow(`the SQLite store ${noDatabase} cannot be opened: `);
    const inFile = join(noDatabase, 'hmacd.db');
    expect(() => openSqliteRecordStore(inFile)).toThrow(`the SQLite store ${inFile} cannot be opened: `);
  });

  it('rolls a failed commit back', async () => {
    const store = openSqliteRecordStore(newPath());
    const damaged = { ...makeRecord('b'), value: 'not bytes' as unknown as Uint8Array };
    const failing = commit(store, { put: [makeRecord('a'), damaged] });
    await expect(failing).rejects.toThrow(StoreUnavailableError);
    await expect(failing).rejects.toHaveProperty('cause');
    expect(await store.list('', '', 10)).toEqual([]);
    await commit(store, { put: [makeRecord('c')] });
    expect((await store.list('', '', 10)).map((record) => record.path)).toEqual(['c']);
    await store.close();
  });

  it('says so when the disk is full, and goes on with what it has', async () => {
    const path = newPath();
    const body = `
      let written = 0, failure;
      while (failure === undefined) await put(String(written), 100_000).then(() => written++, (error) => (failure = error));
      const there = await store.list('', '', 1_001);
      console.log(failure.name, failure.cause !== undefined, there.length === written, written > 5);
    `;
    const limited = ['-c', 'ulimit -f 2048; exec "$0" "$@"', process.execPath, ...nodeArguments(body, path)];
    const { stdout } = await promisify(execFile)('bash', limited);
    expect(stdout.trim()).toBe('StoreUnavailableError true true true');
  });

  it('loses nothing that it acknowledged when its process is killed', async () => {
    const path = newPath();
    for (let round = 1; round <= 3; round++) {
      const body = `for (let n = 0; ; n++) { await put(\`${round}/\${n}\`, 100); console.log(\`${round}/\${n}\`); }`;
      const child = spawn(process.execPath, nodeArguments(body, path), { stdio: ['ignore', 'pipe', 'inherit'] });
      const acknowledged: string[] = [];
      for await (const line of createInterface(child.stdout)) {
        acknowledged.push(line);
        if (acknowledged.length === 300) child.kill('SIGKILL');
      }
      if (child.signalCode === null) await once(child, 'exit');
      const store = openSqliteRecordStore(path);
      const found = await store.getMany(acknowledged);
      expect(found.filter((record) => record === undefined)).toEqual([]);
      expect(acknowledged.length).toBeGreaterThanOrEqual(300);
      await store.close();
    }
  });
});
