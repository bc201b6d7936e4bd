import { get } from 'node:http';
import { readConfig } from '../config.ts';
import { codeOf } from '../system-error.ts';
import { formatAddress } from '../wires/listener.ts';

/** How long the answer may take, in milliseconds. */
const PATIENCE = 2_000;

/** `healthcheck`: asks the service on this machine whether it is ready; answers the exit code. */
export async function healthcheck(args: readonly string[]): Promise<number> {
  const { adminAddress } = readConfig(process.env, args);
  if (adminAddress === undefined) throw new Error('the admin listener is off');
  const host = ['0.0.0.0', '::'].includes(adminAddress.host) ? 'localhost' : adminAddress.host;
  const url = `http://${formatAddress({ ...adminAddress, host })}/readyz`;
  const status = await statusOf(url).catch((error: unknown) => {
    throw new Error(`${url} does not answer: ${codeOf(error)}`, { cause: error });
  });
  if (status !== 200) throw new Error(`${url} says that the service is not ready`);
  return 0;
}

/** By the plainest client there is: this runs every few seconds. */
async function statusOf(url: string): Promise<number | undefined> {
  return await new Promise((resolve, reject) => {
    get(url, { signal: AbortSignal.timeout(PATIENCE) }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on('error', reject);
  });
}
