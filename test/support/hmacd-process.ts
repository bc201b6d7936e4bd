import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { clientsOf, type Clients, type WireName } from './clients.ts';

/** The service as a process of its own, as users run it. */
export interface HmacdProcess extends AsyncDisposable {
  readonly pid: number;
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly adminPort: number;
  readonly clients: Readonly<Record<WireName, Clients>>;
  /** All that it has written so far. */
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Sends a signal. */
  kill(signal: NodeJS.Signals): void;
  /** Its exit code, once it has ended; the signal's name if that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** Runs a command of hmacd to its end. */
export async function runHmacd(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  cwd?: string,
): Promise<{ code: number | NodeJS.Signals; stdout: string; stderr: string }> {
  const { ended, stdout, stderr } = launch(args, env, cwd);
  const code = await ended;
  return { code, stdout: stdout(), stderr: stderr() };
}

/**
 * Starts the service and waits until it is ready; on free ports, with no seed, unless the settings say otherwise.
 *
 * @param settings variables by their names, without `HMACD_`
 * @throws Error with what it wrote when it ends before
 */
export async function startHmacd(settings: Readonly<Record<string, string>>, cwd?: string): Promise<HmacdProcess> {
  const defaults = {
    SEED_FILE: 'none',
    GRPC_ADDR: '127.0.0.1:0',
    HTTP_ADDR: '127.0.0.1:0',
    ADMIN_ADDR: '127.0.0.1:0',
  };
  const env = Object.fromEntries(Object.entries({ ...defaults, ...settings }).map(([k, v]) => [`HMACD_${k}`, v]));
  const { child, ended, stdout, stderr } = launch([], env, cwd);
  const ready = await readyLine(child, stderr, ended);
  const [grpcPort, httpPort, adminPort] = [ready.grpc, ready.http, ready.admin].map((address) =>
    Number(address?.split(':').at(-1)),
  ) as [number, number, number];
  const clients = clientsOf(grpcPort, httpPort);
  return {
    pid: child.pid!,
    grpcPort,
    httpPort,
    adminPort,
    clients,
    stdout,
    stderr,
    ended,
    kill: (signal) => void child.kill(signal),
    async [Symbol.asyncDispose]() {
      clients[Symbol.dispose]();
      child.kill('SIGKILL');
      await ended;
    },
  };
}

function launch(args: readonly string[], env: Readonly<Record<string, string>>, cwd: string | undefined) {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('HMACD_')));
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...inherited, ...env },
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals);
  return { child, ended, stdout, stderr };
}

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  return () => text;
}

async function readyLine(
  child: ChildProcess,
  stderr: () => string,
  ended: Promise<unknown>,
): Promise<{ grpc?: string; http?: string; admin?: string }> {
  const over = ended.then(() => 'ended' as const);
  for (;;) {
    const line = stderr()
      .split('\n')
      .find((text) => text.includes('"msg":"ready"'));
    if (line !== undefined) return JSON.parse(line) as { grpc?: string };
    const next = await Promise.race([once(child.stderr!, 'data'), over]);
    if (next === 'ended') throw new Error(`hmacd ended before it was ready: ${stderr()}`);
  }
}
