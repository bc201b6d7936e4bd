import { execFile, spawnSync } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Call } from './calls.ts';
import { pinned } from './cores.ts';
import type { Server } from './servers.ts';

/** What one run of the load measured. */
export type Measurement = {
  readonly callsPerSecond: number;
  /** Milliseconds from a call to the end of its answer. */
  readonly p50: number;
  readonly p99: number;
};

/**
 * Calls under way at any time, of every server and every wire. They are four connections of 25 streams where there are
 * streams; HTTP/1.1 has one call on a connection.
 */
export const inFlight = 100;
/** Calls under way at a server that closes its connections: more would not be answered sooner. */
const FETCHES = 10;
const concurrency = {
  grpc: ['--clients=4', '--max-concurrent-streams=25'],
  http: ['--h1', `--clients=${inFlight}`],
};

/** @throws Error that says what is missing and how to get it */
export function requireH2load(): void {
  const { status, stdout } = spawnSync('h2load', ['--help'], { encoding: 'utf8' });
  const how = 'h2load makes the load (Debian and Ubuntu: apt-get install nghttp2-client)';
  if (status !== 0) throw new Error(`h2load is missing: ${how}`);
  if (!stdout.includes('--log-file')) throw new Error(`h2load is too old, it has no --log-file: ${how}`);
}

/**
 * Makes a call many times.
 *
 * @param folder for the body and the log of the run
 * @throws unless every call was answered rightly: just before, one is checked by a client, and then the bodies of all
 *   have to add up, since an error of gRPC is in the trailers, where h2load does not look, and has no body
 */
export async function load(
  call: Call,
  { listener, address, closesConnections }: Pick<Server, 'listener' | 'address' | 'closesConnections'>,
  calls: number,
  folder: string,
  signal: AbortSignal,
): Promise<Measurement> {
  const answerLength = await call.check(address);
  if (closesConnections) return await loadByFetch(call, address, calls, answerLength);
  const body = join(folder, 'body');
  const log = join(folder, 'log');
  await writeFile(body, call.body);
  await rm(log, { force: true }); // h2load would append.
  const headers = Object.entries(await call.headers(address)).map(([name, value]) => `--header=${name}: ${value}`);
  const [command, args] = pinned('load', 'h2load', [
    ...concurrency[listener],
    ...headers,
    `--requests=${calls}`,
    `--data=${body}`,
    `--log-file=${log}`,
    `http://${address}${call.path}`,
  ]);
  const { stdout } = await promisify(execFile)(command, args, { signal });
  requireSuccess(stdout, calls, answerLength);
  const callsPerSecond = numberIn(stdout, /finished in \S+, ([\d.]+) req\/s/);
  return { callsPerSecond, ...latencies(await readFile(log, 'utf8'), calls) };
}

/** For a server that closes its connection after each answer, which h2load takes for a failure. Such servers are slow. */
async function loadByFetch(call: Call, address: string, calls: number, answerLength: number): Promise<Measurement> {
  const headers = await call.headers(address);
  const durations: number[] = [];
  let left = calls;
  const callOnAndOn = async (): Promise<void> => {
    while (left-- > 0) {
      const started = performance.now();
      const response = await fetch(`http://${address}${call.path}`, {
        method: 'POST',
        headers,
        body: Buffer.from(call.body),
      });
      const { byteLength } = await response.arrayBuffer();
      durations.push(performance.now() - started);
      if (response.status !== 200 || byteLength !== answerLength)
        throw new Error(`an answer has status ${response.status}`);
    }
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: FETCHES }, callOnAndOn));
  const callsPerSecond = (calls * 1_000) / (performance.now() - started);
  return { callsPerSecond, ...percentiles(Float64Array.from(durations)) };
}

function requireSuccess(output: string, calls: number, answerLength: number): void {
  const succeeded = numberIn(output, /^requests: .* (\d+) succeeded,/m);
  const status2xx = numberIn(output, /^status codes: (\d+) 2xx,/m);
  const received = numberIn(output, /^traffic: .* \((\d+)\) data$/m);
  if (succeeded === calls && status2xx === calls && received === calls * answerLength) return;
  throw new Error(`not all of ${calls} answers are ${answerLength} bytes of success; h2load says:\n${output}`);
}

/** @param log lines of start, status and duration; times are in microseconds */
function latencies(log: string, calls: number): { p50: number; p99: number } {
  const durations = Float64Array.from(log.trimEnd().split('\n'), (line) => Number(line.split('\t')[2]) / 1_000);
  if (durations.length !== calls) throw new Error(`h2load logged ${durations.length} of ${calls} calls`);
  return percentiles(durations);
}

function percentiles(durations: Float64Array): { p50: number; p99: number } {
  const sorted = durations.toSorted();
  const percentile = (percent: number) => sorted[Math.ceil((percent / 100) * sorted.length) - 1] ?? Number.NaN;
  return { p50: percentile(50), p99: percentile(99) };
}

function numberIn(output: string, pattern: RegExp): number {
  const [, digits] = pattern.exec(output) ?? [];
  if (digits === undefined) throw new Error(`h2load said nothing like ${pattern}:\n${output}`);
  return Number(digits);
}
