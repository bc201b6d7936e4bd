import type { Benchmark } from './benchmarks.ts';
import type { Call } from './calls.ts';
import type { ServerName } from './launches.ts';
import { type Measurement, load } from './load.ts';
import { type Server, startServer } from './servers.ts';

/** How a benchmark is run. */
export type Plan = {
  readonly rounds: number;
  /** Of each server and size in each round. */
  readonly calls: number;
  /** For all that is written meanwhile. */
  readonly folder: string;
  /** Stops everything when it aborts. */
  readonly signal: AbortSignal;
  progress(step: string): void;
};

type Cost = Measurement & {
  /** Microseconds of processor time; NaN where that is not to be had. */
  readonly cpuPerCall: number;
};

/** What one server did in one round with messages of one size. */
export type Turn = Cost & { readonly round: number; readonly server: ServerName; readonly size: number };

/**
 * Runs a benchmark: its servers stand side by side and take turns, so that what else the machine does meanwhile comes to
 * all of them. Those whose turn it is not are idle.
 *
 * @throws unless every answer was right, and every call is in the audit log where there is one
 */
export async function runRounds(benchmark: Benchmark, plan: Plan): Promise<Turn[]> {
  const { folder, signal } = plan;
  await using stack = new AsyncDisposableStack();
  const servers: Server[] = [];
  for (const name of benchmark.servers) {
    const server = await startServer(name, benchmark.listener, folder, signal);
    stack.defer(() => server.stop());
    servers.push(server);
  }
  const turns: Turn[] = [];
  // Round 0 warms up: it makes the engine compile what the others measure, and does not count.
  for (let round = 0; round <= plan.rounds; round += 1) {
    plan.progress(`${benchmark.title}: ${round === 0 ? 'warming up' : `round ${round} of ${plan.rounds}`}`);
    for (const size of benchmark.sizes) {
      for (const server of rotated(servers, round)) {
        const turn = await takeTurn(benchmark.call(size), server, plan);
        if (round > 0) turns.push({ round, server: server.name, size, ...turn });
      }
    }
  }
  const turnsOfEach = (plan.rounds + 1) * benchmark.sizes.length;
  for (const server of servers) await requireAudited(server, turnsOfEach * callsOf(server, plan));
  return turns;
}

async function takeTurn(call: Call, server: Server, plan: Plan): Promise<Cost> {
  const { folder, signal } = plan;
  const before = await server.cpuTime();
  try {
    const own = callsOf(server, plan);
    const measurement = await load(call, server, own, folder, signal);
    return { ...measurement, cpuPerCall: ((await server.cpuTime()) - before) / own };
  } catch (cause) {
    throw new Error(`${server.name}, a body of ${call.body.length} bytes: ${String(cause)}`, { cause });
  }
}

/** How many calls a server gets in one turn. */
function callsOf({ share }: Server, { calls }: Plan): number {
  return Math.max(100, Math.round(calls * share));
}

/** Nobody always goes first, or always after the same one. */
function rotated<T>(list: readonly T[], by: number): T[] {
  const start = by % list.length;
  return [...list.slice(start), ...list.slice(0, start)];
}

/** A server that has lost its audit log on the way is fast for nothing. */
async function requireAudited(server: Server, calls: number): Promise<void> {
  if (server.audited === undefined) return;
  await server.stop();
  const audited = await server.audited();
  if (audited < calls) throw new Error(`${server.name} has audited ${audited} of ${calls} calls`);
}
