import { timestampMs } from '@bufbuild/protobuf/wkt';
import type { Clock } from '../clock.ts';
import { KeySchema } from '../gen/hmacd/store/v1/records_pb.ts';
import { ConflictError } from '../records/record-store.ts';
import { type Change, type Found, removeRecord, type Records, replaceRecord } from '../records/records.ts';
import { Sweeper } from '../records/sweeper.ts';
import { withoutMaterial } from './key.ts';
import type { KeyPaths } from './key-paths.ts';

/** How many records are looked up at once. */
const BATCH = 200;

/** Destroys imported material that has ended, and what may no longer be used to import any. */
export class MaterialExpiry extends Sweeper {
  readonly #records: Records;
  readonly #paths: KeyPaths;
  readonly #clock: Clock;

  /** @param onFailure told when material could not be destroyed, or the whole sweep failed; the next sweep tries again */
  constructor(records: Records, paths: KeyPaths, clock: Clock, onFailure: (error: unknown) => void) {
    super(onFailure);
    this.#records = records;
    this.#paths = paths;
    this.#clock = clock;
  }

  async sweep(): Promise<void> {
    const now = this.#clock.now();
    await this.#eachUntil(this.#paths.materialEnds, now, async (end) => {
      await this.#records.commit([removeRecord(end), ...(await this.#destruction(end, now))], 'adds');
    });
    await this.#eachUntil(this.#paths.importParameters, now, async (parameters) => {
      await this.#records.commit([removeRecord(parameters)], 'adds');
    });
  }

  /** Does something with every record under a prefix that is of a date until a time. */
  async #eachUntil(prefix: string, time: number, act: (found: Found) => Promise<void>): Promise<void> {
    const last = `${prefix}${new Date(time).toISOString()}/~`;
    for (let after = ''; !this.closed;) {
      const found = await this.#records.listPaths(prefix, after, BATCH);
      for (const each of found) {
        if (each.path > last || this.closed) return;
        try {
          await act(each);
        } catch (error) {
          // Another replica may be at the same work.
          if (!(error instanceof ConflictError)) this.onFailure(error);
        }
      }
      if (found.length < BATCH) return;
      after = found.at(-1)!.path;
    }
  }

  /** Nothing, when the key is gone, or its material was deleted, or imported anew. */
  async #destruction({ path }: Found, now: number): Promise<Change[]> {
    const key = await this.#records.get(KeySchema, this.#paths.key(this.#paths.keyIdOfMaterialEnd(path)));
    const validTo = key?.message.imported?.validTo;
    if (key === undefined || validTo === undefined || timestampMs(validTo) > now) return [];
    return [replaceRecord(key, KeySchema, withoutMaterial(key.message))];
  }
}
