import { setImmediate } from 'node:timers/promises';
import { timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import type { Call } from '../access/call.ts';
import type { Clock } from '../clock.ts';
import { type LastUsage, LastUsageSchema } from '../gen/hmacd/store/v1/records_pb.ts';
import type { LastUsageOperation } from '../gen/hmacd/v1/key_pb.ts';
import { StoreUnavailableError } from '../records/record-store.ts';
import { putRecord, type Records } from '../records/records.ts';
import { Sweeper } from '../records/sweeper.ts';
import type { KeyPaths } from './key-paths.ts';

/** How often what is known here is stored, in milliseconds: as much is lost when the process is killed. */
const INTERVAL = 60_000;
/** How many records are written in one commit. */
const BATCH = 200;

/** A use of a key. */
interface Usage {
  operation: LastUsageOperation;
  /** In milliseconds since 1970. */
  time: number;
  requestId: string;
}

/** When keys were last used for a MAC, and for which: noted here at each use, and stored once a minute. */
export class LastUsages extends Sweeper {
  readonly #records: Records;
  readonly #paths: KeyPaths;
  readonly #clock: Clock;
  /** By key ID. */
  #noted = new Map<string, Usage>();
  /** Those that are being stored. */
  #leaving: ReadonlyMap<string, Usage> = new Map();

  /** @param onFailure told when they could not be stored; the next sweep tries again */
  constructor(records: Records, paths: KeyPaths, clock: Clock, onFailure: (error: unknown) => void) {
    super(onFailure, INTERVAL);
    this.#records = records;
    this.#paths = paths;
    this.#clock = clock;
  }

  /** Notes that a key was used. */
  note(keyId: string, operation: LastUsageOperation, { requestId }: Call): void {
    const time = this.#clock.now();
    const usage = this.#noted.get(keyId);
    if (usage === undefined) {
      this.#noted.set(keyId, { operation, time, requestId });
    } else {
      usage.operation = operation;
      usage.time = time;
      usage.requestId = requestId;
    }
  }

  /** The last use of a key, as far as it is known here; `undefined` when there was none. */
  async of(keyId: string) {
    const [found] = await this.#records.find(LastUsageSchema, [this.#paths.lastUsage(keyId)]);
    const stored = found?.message;
    const own = this.#noted.get(keyId) ?? this.#leaving.get(keyId);
    if (own === undefined || isLater(stored, own)) return stored;
    return { operation: own.operation, timestamp: timestampFromMs(own.time), kmsRequestId: own.requestId };
  }

  /** Stores what was noted. */
  async sweep(): Promise<void> {
    const leaving = [...this.#noted];
    this.#leaving = this.#noted;
    this.#noted = new Map();
    for (let from = 0; from < leaving.length; from += BATCH) {
      const batch = leaving.slice(from, from + BATCH);
      try {
        await this.#records.untilUncontended(() => this.#store(batch));
      } catch (error) {
        this.onFailure(error);
        // While the store does not answer, every batch would wait for it, and be reported.
        const isOver = error instanceof StoreUnavailableError;
        this.#putBack(isOver ? leaving.slice(from) : batch);
        if (isOver) break;
      }
      // The embedded store works at once; calls shall have their turn in between.
      await setImmediate();
    }
    this.#leaving = new Map();
  }

  /** Stores what was noted, and ends. */
  override async close(): Promise<void> {
    await super.close();
    await this.sweep();
  }

  /** Notes again what was not stored. */
  #putBack(usages: readonly (readonly [keyId: string, usage: Usage])[]): void {
    // What was noted since is later.
    for (const [keyId, usage] of usages) if (!this.#noted.has(keyId)) this.#noted.set(keyId, usage);
  }

  async #store(batch: readonly (readonly [keyId: string, usage: Usage])[]): Promise<void> {
    const paths = batch.map(([keyId]) => this.#paths.lastUsage(keyId));
    const found = new Map((await this.#records.find(LastUsageSchema, paths)).map((entry) => [entry.path, entry]));
    const changes = batch.flatMap(([, { operation, time, requestId }], index) => {
      const path = paths[index]!;
      const stored = found.get(path);
      if (isLater(stored?.message, { time })) return [];
      const usage = { operation, timestamp: timestampFromMs(time), kmsRequestId: requestId };
      return [putRecord(path, stored, LastUsageSchema, usage)];
    });
    if (changes.length > 0) await this.#records.commit(changes, 'adds');
  }
}

function isLater(stored: LastUsage | undefined, { time }: Pick<Usage, 'time'>): boolean {
  return stored?.timestamp !== undefined && timestampMs(stored.timestamp) > time;
}
