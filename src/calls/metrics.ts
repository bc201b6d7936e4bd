import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from '@prometheus-io/client';
import type { Call } from '../access/call.ts';
import type { CacheObserver } from '../keys/key-cache.ts';
import type { Outcome } from './audit-log.ts';

/** Upper bounds of the latency histogram, in seconds. A MAC on a key at hand takes some 10 microseconds. */
const BUCKETS = [
  0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
  10,
];

/** What the service counts, for Prometheus. */
export class Metrics implements CacheObserver {
  readonly #registry = new Registry();
  /** Calls since the last scrape, by operation, wire and outcome: looking labels up for each would cost a third of a MAC. */
  readonly #calls = new Map<string, Map<string, Map<Outcome, number>>>();
  readonly #durations = new Histogram({
    name: 'hmacd_call_duration_seconds',
    help: 'How long calls took inside the service, by operation and wire.',
    labelNames: ['operation', 'wire'] as const,
    buckets: BUCKETS,
    registers: [this.#registry],
  });
  readonly #storeErrors = new Counter({
    name: 'hmacd_store_errors_total',
    help: 'Calls that failed because the store did not answer.',
    registers: [this.#registry],
  });
  readonly #damagedRecords = new Counter({
    name: 'hmacd_damaged_records_total',
    help: 'Reads of records that did not open.',
    registers: [this.#registry],
  });
  #cacheHits = 0;
  #cacheMisses = 0;

  /**
   * @param storeAvailable asked at each scrape
   * @param principalsInForce whether the principals file as it is now is in force; asked at each scrape
   */
  constructor(storeAvailable: () => boolean, principalsInForce: () => boolean) {
    const lookups: Counter<'result'> = new Counter({
      name: 'hmacd_key_cache_lookups_total',
      help: 'Keys looked up for MACs, by result: hit or miss.',
      labelNames: ['result'],
      registers: [this.#registry],
      collect: () => {
        lookups.inc({ result: 'hit' }, this.#cacheHits);
        lookups.inc({ result: 'miss' }, this.#cacheMisses);
        this.#cacheHits = 0;
        this.#cacheMisses = 0;
      },
    });
    const calls: Counter<'operation' | 'wire' | 'outcome'> = new Counter({
      name: 'hmacd_calls_total',
      help: 'Calls by operation, wire and outcome: OK or the name of the exception.',
      labelNames: ['operation', 'wire', 'outcome'],
      registers: [this.#registry],
      collect: () => {
        for (const [operation, byWire] of this.#calls)
          for (const [wire, byOutcome] of byWire)
            for (const [outcome, count] of byOutcome) calls.inc({ operation, wire, outcome }, count);
        this.#calls.clear();
      },
    });
    const available: Gauge = new Gauge({
      name: 'hmacd_store_available',
      help: 'Whether the store answered when it was last asked: 1 or 0.',
      registers: [this.#registry],
      collect(): void {
        available.set(storeAvailable() ? 1 : 0);
      },
    });
    const inForce: Gauge = new Gauge({
      name: 'hmacd_principals_file_in_force',
      help: 'Whether the principals file as it is now is in force, and not the one before: 1 or 0.',
      registers: [this.#registry],
      collect(): void {
        inForce.set(principalsInForce() ? 1 : 0);
      },
    });
    collectDefaultMetrics({ register: this.#registry });
  }

  /** Counts a call that has ended. */
  call({ operation, wire }: Call, outcome: Outcome, milliseconds: number): void {
    const byWire = getOrMake(this.#calls, operation, () => new Map<string, Map<Outcome, number>>());
    const byOutcome = getOrMake(byWire, wire, () => new Map<Outcome, number>());
    byOutcome.set(outcome, (byOutcome.get(outcome) ?? 0) + 1);
    this.#durations.observe({ operation, wire }, milliseconds / 1_000);
  }

  cacheHit(): void {
    this.#cacheHits++;
  }

  cacheMiss(): void {
    this.#cacheMisses++;
  }

  storeError(): void {
    this.#storeErrors.inc();
  }

  damagedRecord(): void {
    this.#damagedRecords.inc();
  }

  /** Everything, in Prometheus's text format, and its media type. */
  async text(): Promise<{ body: string; contentType: string }> {
    return { body: await this.#registry.metrics(), contentType: this.#registry.contentType };
  }
}

function getOrMake<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}
