import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pinned } from './cores.ts';
import { cpuTimeOf } from './cpu-time.ts';
import { type Launch, type Listener, type ServerName, launches } from './launches.ts';

/** A server that runs, in a process of its own. */
export type Server = {
  readonly name: ServerName;
  readonly listener: Listener;
  readonly address: string;
  /** Ends the process, if it has not ended yet, and waits for its end. */
  stop(): Promise<void>;
  /** What the process has used so far, in microseconds; NaN where that is not to be had. */
  cpuTime(): Promise<number>;
  readonly audited: Launch['audited'];
  readonly share: number;
  readonly closesConnections: boolean;
};

const root = join(import.meta.dirname, '..');
const readyTimeout = 30_000;
/** Longer than hmacd's own grace for calls in flight, which is 10 seconds. */
const stopTimeout = 15_000;

/**
 * Starts a server and waits until it serves.
 *
 * @param folder where the server gets a folder of its own
 * @param signal ends the process when it aborts
 */
export async function startServer(
  name: ServerName,
  listener: Listener,
  folder: string,
  signal: AbortSignal,
): Promise<Server> {
  const own = await mkdtemp(join(folder, 'server-'));
  const launch = await launches[name](listener, own);
  const outputFile = join(own, 'output');
  await using output = await open(outputFile, 'w');
  const [command, args] = pinned('server', launch.program ?? process.execPath, launch.args);
  const env = { ...environment(), ...launch.env };
  const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', output.fd, output.fd], signal });
  child.on('error', () => {}); // By the signal, or there is no such command: then it is never ready either.
  process.once('exit', () => child.kill('SIGKILL')); // The last resort: nothing may outlive the benchmark.
  const stop = async () => {
    await stopChild(child);
    await launch.clear?.();
  };
  try {
    await ready(child, launch, signal);
    await launch.prepare?.();
  } catch (cause) {
    await stop();
    throw new Error(`${name} does not serve; it says:\n${await readFile(outputFile, 'utf8')}`, { cause });
  }
  const cpuTime = () => cpuTimeOf(child.pid ?? Number.NaN);
  const { address, audited, share = 1, closesConnections = false } = launch;
  return { name, listener, address, stop, cpuTime, audited, share, closesConnections };
}

/** What the servers inherit: settings of hmacd in the shell are not meant for the benchmark. */
function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('HMACD_')));
}

async function ready(child: ChildProcess, launch: Launch, signal: AbortSignal): Promise<void> {
  const end = performance.now() + readyTimeout;
  while (!(await launch.isReady().catch(() => false))) {
    if (hasEnded(child)) throw new Error('its process has ended');
    if (performance.now() > end) throw new Error(`it was not ready within ${readyTimeout} ms`);
    await sleep(50, undefined, { signal });
  }
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeout);
  await ended;
  clearTimeout(timer);
}

function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}
