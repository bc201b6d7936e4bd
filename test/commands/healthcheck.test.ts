import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { runHmacd } from '../support/hmacd-process.ts';
import { startService } from '../support/running-service.ts';

const healthcheck = async (port: number, host = '127.0.0.1') =>
  await runHmacd(['healthcheck'], { HMACD_ADMIN_ADDR: `${host}:${port}` });

describe('healthcheck', () => {
  it('succeeds where the service is ready, and says nothing', async () => {
    await using running = await startService();
    expect(await healthcheck(running.adminPort)).toEqual({ code: 0, stdout: '', stderr: '' });
    const asFlag = await runHmacd(['healthcheck', '--admin-addr', `127.0.0.1:${running.adminPort}`]);
    expect(asFlag).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('asks this machine where the listener is on every address', async () => {
    await using running = await startService({ ADMIN_ADDR: '0.0.0.0:0' });
    expect(await healthcheck(running.adminPort, '0.0.0.0')).toMatchObject({ code: 0 });
  });

  it('fails where the service is not ready', async () => {
    await using running = await startService();
    running.service.setServing(false);
    expect(await healthcheck(running.adminPort)).toEqual({
      code: 1,
      stdout: '',
      stderr: `hmacd: http://127.0.0.1:${running.adminPort}/readyz says that the service is not ready\n`,
    });
  });

  it('fails where nobody listens', async () => {
    expect(await healthcheck(1)).toEqual({
      code: 1,
      stdout: '',
      stderr: 'hmacd: http://127.0.0.1:1/readyz does not answer: ECONNREFUSED\n',
    });
  });

  it('fails within seconds where somebody listens and says nothing', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    onTestFinished(() => silent.closeAllConnections());
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const start = performance.now();
    expect(await healthcheck(port)).toMatchObject({ code: 1, stderr: expect.stringMatching(/ does not answer: /) });
    expect(performance.now() - start).toBeLessThan(8_000);
    silent.close();
  });

  it('fails where there is no admin listener', async () => {
    const ended = await runHmacd(['healthcheck'], { HMACD_ADMIN_ADDR: 'off' });
    expect(ended).toEqual({ code: 1, stdout: '', stderr: 'hmacd: the admin listener is off\n' });
  });
});
