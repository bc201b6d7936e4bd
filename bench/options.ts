import { parseArgs } from 'node:util';
import { type Benchmark, benchmarks } from './benchmarks.ts';

/** What to measure, from the command line. */
export type Options = {
  readonly rounds: number;
  /** Of each server and size in each round. */
  readonly calls: number;
  readonly benchmarks: readonly Benchmark[];
};

const names = benchmarks.map(({ name }) => name);

const usage = `usage: npm run bench -- [--rounds N] [--calls N] [--only ${names.join('|')}]`;

/** @throws Error with a sentence for the user */
export function readOptions(args: readonly string[]): Options {
  try {
    return optionsOf(args);
  } catch (cause) {
    throw new Error(`${cause instanceof Error ? cause.message : String(cause)}\n${usage}`, { cause });
  }
}

function optionsOf(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '7' },
      calls: { type: 'string', default: '40000' },
      only: { type: 'string' },
    },
  });
  return {
    rounds: count('rounds', values.rounds, 1),
    // Fewer say little: the first hundred or so start together, and the 99th percentile needs some above it.
    calls: count('calls', values.calls, 1_000),
    benchmarks: values.only === undefined ? benchmarks : [benchmarkNamed(values.only)],
  };
}

function count(flag: string, text: string, least: number): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least)
    throw new Error(`--${flag}: ${text} is no whole number from ${least}`);
  return value;
}

function benchmarkNamed(name: string): Benchmark {
  const benchmark = benchmarks.find((candidate) => candidate.name === name);
  if (benchmark === undefined) throw new Error(`--only: ${name} is none of ${names.join(', ')}`);
  return benchmark;
}
