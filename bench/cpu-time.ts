import { readFile } from 'node:fs/promises';

/** Linux counts processor time in hundredths of a second, whatever the kernel's own tick is. */
const microsecondsPerTick = 10_000;

/**
 * The processor time that a process and all its threads have used so far, in microseconds; NaN where there is no /proc.
 * What else runs on the machine makes calls slower, but hardly adds to this.
 */
export async function cpuTimeOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // See proc(5): the second field is the command in parentheses, which may hold blanks; the 14th and 15th are the times.
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13);
  return (Number(user) + Number(system)) * microsecondsPerTick;
}
