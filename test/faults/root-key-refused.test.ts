import { join } from 'node:path';
import { describe, expect, inject, it } from 'vitest';
import { makeRootKey, readRootKeys } from '../../src/records/root-keys.ts';
import { macRequest, makeKey } from '../keys/fixture.ts';
import { type Deployment, redisDeployment, sqliteDeployment, startReplica } from '../support/deployment.ts';
import { runHmacd } from '../support/hmacd-process.ts';

const idOf = (path: string): string => readRootKeys([path])[0].id.toString('hex');

/** A deployment that has the first root key, and a second one. */
function withNewKey(deployment: Deployment) {
  const [old, fresh] = [deployment.settings['ROOT_KEY_FILE']!, join(deployment.folder, 'new.key')];
  makeRootKey(fresh);
  const start = async (rootKeyFile: string) =>
    await startReplica({ ...deployment.settings, ROOT_KEY_FILE: rootKeyFile });
  const reseal = async (rootKeyFile: string) =>
    await runHmacd(
      ['reseal'],
      Object.fromEntries(
        Object.entries({ ...deployment.settings, ROOT_KEY_FILE: rootKeyFile }).map(([k, v]) => [`HMACD_${k}`, v]),
      ),
    );
  return { old, fresh, start, reseal };
}

describe('on SQLite, reseal', { timeout: 60_000 }, () => {
  it('is refused while the service runs, and lets the old root key go', async () => {
    const { old, fresh, start, reseal } = withNewKey(sqliteDeployment());
    const service = await start(old);
    const { keyId } = await makeKey(service.clients.gRPC);
    const { mac } = await service.clients.gRPC.mac.generateMac(macRequest(keyId));
    expect((await reseal(`${fresh},${old}`)).stderr).toMatch(/ is in use by another process\n$/);
    service.kill('SIGTERM');
    await service.ended;
    expect((await reseal(fresh)).stderr).toContain(`the store was sealed under the root key ${idOf(old)}, and`);
    expect(await reseal(`${fresh},${old}`)).toMatchObject({ code: 0, stderr: '' });
    expect(await reseal(fresh)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('0 records were sealed anew'),
    });
    await expect(start(old)).rejects.toThrow(`sealed under the root key ${idOf(fresh)}`);
    const again = await start(fresh);
    await again.clients.gRPC.mac.verifyMac({ ...macRequest(keyId), mac });
  });
});

describe.skipIf(inject('redis') === undefined)('on Redis, reseal', { timeout: 60_000 }, () => {
  it('names the replica that lacks the new root key, and changes nothing', async () => {
    const { old, fresh, start, reseal } = withNewKey(redisDeployment());
    const [without, both] = [await start(old), await start(`${fresh},${old}`)];
    const refused = await reseal(`${fresh},${old}`);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(
      new RegExp(
        `^hmacd: the root key ${idOf(fresh)} is not in HMACD_ROOT_KEY_FILE of process ${without.pid} on \\S+; `,
      ),
    );
    for (const [maker, user] of [
      [without, both],
      [both, without],
    ] as const) {
      const { keyId } = await makeKey(maker.clients.gRPC);
      expect((await user.clients.gRPC.mac.generateMac(macRequest(keyId))).mac.length).toBe(32);
    }
    without.kill('SIGTERM');
    expect(await without.ended).toBe(0);
    const later = await start(old);
    expect(await reseal(`${fresh},${old}`)).toMatchObject({ code: 1 });
    later.kill('SIGTERM');
    expect(await later.ended).toBe(0);
    expect(await reseal(`${fresh},${old}`)).toMatchObject({ code: 0, stderr: '' });
    await expect(start(old)).rejects.toThrow(`the store was sealed under the root key ${idOf(fresh)}`);
  });
});
