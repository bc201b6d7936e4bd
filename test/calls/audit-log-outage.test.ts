import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { startHmacd } from '../support/hmacd-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'hmacd-audit-outage-'));
afterAll(() => rmSync(folder, { recursive: true }));

const PRLIMIT = '/usr/bin/prlimit';

describe('an audit log', () => {
  it.runIf(existsSync(PRLIMIT))('that could not be written for a while is written again afterwards', async () => {
    const path = join(folder, 'audit.log');
    const lines = (): string[] => readFileSync(path, 'utf8').split('\n').slice(0, -1);
    await using hmacd = await startHmacd({ STORE: 'sqlite::memory:', AUDIT_LOG: path });
    const { keys } = hmacd.clients.gRPC;
    await keys.listKeys({});
    await vi.waitFor(() => expect(lines().length).toBe(1));
    // As on a full disk: no file of the process may grow.
    execFileSync(PRLIMIT, [`--pid=${hmacd.pid}`, '--fsize=0:']);
    await keys.listKeys({});
    await vi.waitFor(() => expect(hmacd.stderr()).toContain('the audit log is not written'));
    execFileSync(PRLIMIT, [`--pid=${hmacd.pid}`, '--fsize=1000000:']);
    // Also what could not be written then, without another call.
    await vi.waitFor(() => expect(lines().length).toBe(2), { timeout: 5_000 });
    await keys.listKeys({});
    await vi.waitFor(() => expect(lines().length).toBe(3));
  });
});
