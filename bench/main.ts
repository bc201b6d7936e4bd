#!/usr/bin/env node
// Measures hmacd beside the barest servers that answer the same on the same machine: `npm run bench`.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pinning } from './cores.ts';
import { inFlight, requireH2load } from './load.ts';
import { type Options, readOptions } from './options.ts';
import { legend, reportOf } from './report.ts';
import { runRounds } from './rounds.ts';

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => stop.abort(name));

try {
  const options = readOptions(process.argv.slice(2));
  requireH2load();
  process.exitCode = (await bench(options)) ? 0 : 1;
} catch (error) {
  console.error(
    stop.signal.aborted ? `stopped by ${stop.signal.reason}` : error instanceof Error ? error.message : error,
  );
  process.exitCode = 1;
}

/** @returns whether every ratio reaches its floor */
async function bench({ rounds, calls, benchmarks }: Options): Promise<boolean> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'hmacd-bench-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  console.log(`${rounds} rounds of ${calls} calls for each server and size, ${inFlight} in flight; ${pinning}`);
  let passed = true;
  for (const benchmark of benchmarks) {
    const plan = { rounds, calls, folder, signal: stop.signal, progress: (step: string) => console.error(step) };
    const report = reportOf(benchmark, await runRounds(benchmark, plan));
    console.log(`\n${report.text}`);
    passed &&= report.passed;
  }
  console.log(`\n${legend}`);
  return passed;
}
