import { spawnSync } from 'node:child_process';

/** Load and server on cores of their own, so that neither takes time from the other. */
const cores = { server: 0, load: 1 };

const canPin = Object.values(cores).every((core) => spawnSync('taskset', ['-c', String(core), 'true']).status === 0);

/** Said in the report, since a ratio is worth less without. */
export const pinning = canPin
  ? `server on core ${cores.server}, load on core ${cores.load}`
  : 'not pinned to cores (no taskset, or fewer than two cores)';

/** The command line that runs a command on its core. `taskset` becomes the command, which so keeps its process ID. */
export function pinned(role: keyof typeof cores, command: string, args: readonly string[]): [string, string[]] {
  return canPin ? ['taskset', ['-c', String(cores[role]), command, ...args]] : [command, [...args]];
}
