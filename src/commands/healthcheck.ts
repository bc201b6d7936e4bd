import { readConfig } from '../config.ts';
import { formatAddress } from '../wires/listener.ts';

/** How long the answer may take, in milliseconds. */
const PATIENCE = 2_000;

/** `healthcheck`: asks the service on this machine whether it is ready; answers the exit code. */
export async function healthcheck(args: readonly string[]): Promise<number> {
  const { adminAddress } = readConfig(process.env, args);
  if (adminAddress === undefined) throw new Error('the admin listener is off');
  const host = ['0.0.0.0', '::'].includes(adminAddress.host) ? 'localhost' : adminAddress.host;
  const url = `http://${formatAddress({ ...adminAddress, host })}/readyz`;
  const response = await fetch(url, { signal: AbortSignal.timeout(PATIENCE) }).catch((error: unknown) => {
    throw new Error(`${url} does not answer`, { cause: error });
  });
  if (!response.ok) throw new Error(`${url} says ${(await response.text()).trim()}`);
  return 0;
}
