import type { Benchmark, Comparison } from './benchmarks.ts';
import type { ServerName } from './launches.ts';
import type { Turn } from './rounds.ts';
import { table } from './table.ts';

/** What a benchmark found. */
export type Report = {
  readonly text: string;
  /** Whether every ratio that has a floor reaches it. */
  readonly passed: boolean;
};

/** How to read the text. */
export const legend = `Rates and times are medians over the rounds. A ratio is of the rates: the median of the ratios of each round, beside the
least and the most of them; "by CPU" is the same of the processor time (all threads) that a call takes. Where ratios are
far apart, or the two kinds of them, something else ran on the machine: measure again.`;

export function reportOf(benchmark: Benchmark, turns: readonly Turn[]): Report {
  const { title, sizes, servers, comparisons } = benchmark;
  const rates = sizes.flatMap((size) => servers.map((server) => rateRow(server, size, turns)));
  const verdicts = sizes.flatMap((size) => comparisons.map((comparison) => judge(comparison, size, turns)));
  const text = [
    title,
    table([['', 'bytes', 'calls/s', 'p50 ms', 'p99 ms', 'CPU us'], ...rates]),
    table([['', 'bytes', 'ratio', 'least', 'most', 'by CPU', 'floor', ''], ...verdicts.map(({ row }) => row)]),
  ].join('\n\n');
  return { text, passed: verdicts.every(({ passed }) => passed) };
}

function rateRow(server: ServerName, size: number, turns: readonly Turn[]): string[] {
  const own = turns.filter((turn) => turn.server === server && turn.size === size);
  return [
    server,
    size.toLocaleString('en'),
    Math.round(median(own.map(({ callsPerSecond }) => callsPerSecond))).toLocaleString('en'),
    decimals(median(own.map(({ p50 }) => p50)), 2),
    decimals(median(own.map(({ p99 }) => p99)), 2),
    decimals(median(own.map(({ cpuPerCall }) => cpuPerCall)), 1),
  ];
}

type Verdict = { readonly row: string[]; readonly passed: boolean };

function judge(comparison: Comparison, size: number, turns: readonly Turn[]): Verdict {
  const ofSize = turns.filter((turn) => turn.size === size);
  const ratios = ratiosOf(comparison, ofSize, ({ callsPerSecond }) => callsPerSecond);
  const byCpu = ratiosOf(comparison, ofSize, ({ cpuPerCall }) => 1 / cpuPerCall);
  const ratio = median(ratios);
  const floor = comparison.floors?.[size];
  const passed = floor === undefined || ratio >= floor;
  const numbers = [ratio, Math.min(...ratios), Math.max(...ratios), median(byCpu)].map((value) => decimals(value, 3));
  const verdict = floor === undefined ? [] : [decimals(floor, 2), passed ? 'ok' : 'below'];
  const name = `${comparison.server} / ${comparison.beside}`;
  return { row: [name, size.toLocaleString('en'), ...numbers, ...verdict], passed };
}

/** One of each round: what slows the machine down for a round slows both servers, and leaves their ratio nearly as it is. */
function ratiosOf({ server, beside }: Comparison, turns: readonly Turn[], value: (turn: Turn) => number): number[] {
  const others = new Map(turns.filter((turn) => turn.server === beside).map((turn) => [turn.round, value(turn)]));
  const own = turns.filter((turn) => turn.server === server);
  return own.map((turn) => value(turn) / (others.get(turn.round) ?? Number.NaN));
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2;
}

function decimals(value: number, digits: number): string {
  return Number.isNaN(value) ? '-' : value.toFixed(digits);
}
