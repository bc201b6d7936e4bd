import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import type { Call } from '../../src/access/call.ts';
import { NOBODY, principalOf } from '../../src/access/principal.ts';
import { type AuditLog, noAuditLog, openAuditLog } from '../../src/calls/audit-log.ts';
import { FakeClock, startService } from '../support/running-service.ts';

const folder = mkdtempSync(join(tmpdir(), 'hmacd-audit-'));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
const newPath = (): string => join(folder, `${++files}`, 'deep', 'audit.log');

const NOW = Date.UTC(2026, 2, 4, 5, 6, 7, 8);
const CALL: Call = {
  requestId: '11111111-1111-4111-8111-111111111111',
  operation: 'GenerateMac',
  wire: 'grpc',
  sourceAddress: '::1',
  principal: principalOf('arn:aws:iam::000000000000:root', [], 'anonymous'),
  keyArn: 'arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab',
  macAlgorithm: 'HMAC_SHA_256',
  grantId: undefined,
  decidedBy: undefined,
};

const failures: Error[] = [];
const open = async (path: string, clock = new FakeClock(NOW)): Promise<AuditLog> =>
  await openAuditLog(path, clock, (error) => failures.push(error));

function linesOf(path: string): string[] {
  const text = readFileSync(path, 'utf8');
  expect(text === '' || text.endsWith('\n')).toBe(true);
  return text.split('\n').slice(0, -1);
}

describe('the audit log', () => {
  it('has a JSON object in a line for each call', async () => {
    const path = newPath();
    const clock = new FakeClock(NOW);
    const log = await open(path, clock);
    log.record(CALL, 'OK', 0.012_345);
    clock.advance(1);
    log.record(
      { ...CALL, keyArn: undefined, macAlgorithm: undefined, operation: 'ListKeys' },
      'ValidationException',
      1_234,
    );
    await log.close();
    expect(linesOf(path).map((line) => JSON.parse(line) as unknown)).toEqual([
      {
        time: '2026-03-04T05:06:07.008Z',
        requestId: CALL.requestId,
        wire: 'grpc',
        sourceAddress: '::1',
        principal: 'arn:aws:iam::000000000000:root',
        authentication: 'anonymous',
        operation: 'GenerateMac',
        keyArn: CALL.keyArn,
        macAlgorithm: 'HMAC_SHA_256',
        outcome: 'OK',
        milliseconds: 0.012,
      },
      {
        time: '2026-03-04T05:06:07.009Z',
        requestId: CALL.requestId,
        wire: 'grpc',
        sourceAddress: '::1',
        principal: 'arn:aws:iam::000000000000:root',
        authentication: 'anonymous',
        operation: 'ListKeys',
        outcome: 'ValidationException',
        milliseconds: 1_234,
      },
    ]);
  });

  it('has no principal of a caller who is nobody', async () => {
    const path = newPath();
    const log = await open(path);
    log.record({ ...CALL, principal: NOBODY }, 'MissingAuthenticationTokenException', 1);
    await log.close();
    expect(linesOf(path).map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { principal: '', authentication: 'none', outcome: 'MissingAuthenticationTokenException' },
    ]);
  });

  it('is written within 100 ms, without another call', async () => {
    const path = newPath();
    const log = await open(path);
    log.record(CALL, 'OK', 1);
    const start = performance.now();
    await vi.waitFor(() => expect(linesOf(path).length).toBe(1), { timeout: 2_000, interval: 5 });
    expect(performance.now() - start).toBeLessThan(1_000);
    log.record(CALL, 'OK', 2);
    await vi.waitFor(() => expect(linesOf(path).length).toBe(2), { timeout: 2_000, interval: 5 });
    await log.close();
    expect(linesOf(path).length).toBe(2);
  });

  it('is written in batches: a burst of calls is not a burst of writes', async () => {
    const path = newPath();
    const log = await open(path);
    for (let n = 0; n < 10; n++) log.record(CALL, 'OK', n);
    await new Promise((resolve) => setImmediate(resolve));
    expect(linesOf(path)).toEqual([]);
    await log.close();
    expect(linesOf(path).length).toBe(10);
  });

  it('has every line, in order, whole, when it is closed', async () => {
    const path = newPath();
    const log = await open(path);
    for (let n = 0; n < 10_001; n++) log.record(CALL, 'OK', n);
    await log.close();
    const numbers = linesOf(path).map((line) => (JSON.parse(line) as { milliseconds: number }).milliseconds);
    expect(numbers).toEqual(Array.from({ length: 10_001 }, (_, n) => n));
  });

  it('goes on behind what is in the file, which its owner alone can read when it is new', async () => {
    const path = newPath();
    for (let round = 1; round <= 2; round++) {
      const log = await open(path);
      log.record(CALL, 'OK', round);
      await log.close();
    }
    expect(linesOf(path).length).toBe(2);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    writeFileSync(path, 'before\n');
    const log = await open(path);
    log.record(CALL, 'OK', 3);
    await log.close();
    expect(linesOf(path)[0]).toBe('before');
    expect(linesOf(path).length).toBe(2);
  });

  it('that cannot be opened stops the start, with the reason', async () => {
    const path = newPath();
    mkdirSync(path, { recursive: true });
    await expect(open(path)).rejects.toThrow(new Error(`the audit log ${path} cannot be opened: EISDIR`));
    await expect(startService({ AUDIT_LOG: path })).rejects.toThrow(/^the audit log .* cannot be opened: EISDIR$/);
  });

  it.runIf(existsSync('/dev/full'))('that cannot be written is reported, and closes all the same', async () => {
    failures.length = 0;
    const log = await open('/dev/full');
    log.record(CALL, 'OK', 1);
    await vi.waitFor(() => expect(failures).toMatchObject([{ code: 'ENOSPC' }]), { timeout: 2_000 });
    await log.close();
  });

  it.runIf(existsSync('/dev/full'))('that cannot be written costs no call', async () => {
    await using running = await startService({ AUDIT_LOG: '/dev/full' });
    await running.clients.gRPC.keys.listKeys({});
    await vi.waitFor(() => expect(running.logged.join('')).toContain('the audit log is not written'));
    await running.clients.gRPC.keys.listKeys({});
  });

  it('that is off writes nothing', async () => {
    noAuditLog.record(CALL, 'OK', 1);
    await noAuditLog.close();
    await using running = await startService({ AUDIT_LOG: 'off' });
    await running.clients.gRPC.keys.listKeys({});
    expect(existsSync('off')).toBe(false);
  });
});
