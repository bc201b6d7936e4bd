import { setImmediate } from 'node:timers/promises';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import type { Clock } from '../clock.ts';
import { KeySchema } from '../gen/hmacd/store/v1/records_pb.ts';
import { type Change, type Found, removeRecord, type Records, replaceRecord } from '../records/records.ts';
import { Sweeper } from '../records/sweeper.ts';
import { withoutMaterial } from './key.ts';
import type { KeyPaths } from './key-paths.ts';

/** How many records are looked up, or removed, in one step. */
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
    await this.#inSteps(this.#paths.materialEnds, now, 1, ([end]) => this.#destruction(end!, now));
    await this.#inSteps(this.#paths.importParameters, now, BATCH, async (parameters) => parameters.map(removeRecord));
  }

  /** Commits, for every few records under a prefix that are of a date until a time, what is to be done about them. */
  async #inSteps(
    prefix: string,
    time: number,
    size: number,
    changes: (found: readonly Found[]) => Promise<Change[]>,
  ): Promise<void> {
    const last = `${prefix}${new Date(time).toISOString()}/~`;
    for (let after = ''; !this.closed;) {
      // Mostly none has ended, and no record need be read to see that.
      const paths = (await this.#records.pathsOf(prefix, after, BATCH)).filter((path) => path <= last);
      const found = paths.length === 0 ? [] : await this.#records.findPaths(paths);
      for (let from = 0; from < found.length && !this.closed; from += size) {
        try {
          const step = await changes(found.slice(from, from + size));
          if (step.length > 0) await this.#records.commit(step, 'adds');
        } catch (error) {
          this.partFailed(error);
        }
        // The embedded store works at once; calls shall have their turn in between.
        await setImmediate();
      }
      if (paths.length < BATCH) return;
      after = paths.at(-1)!;
    }
  }

  /** The end of material alone, when the key is gone, or its material was deleted, or imported anew. */
  async #destruction(end: Found, now: number): Promise<Change[]> {
    const [key] = await this.#records.find(KeySchema, [this.#paths.key(this.#paths.keyIdOfMaterialEnd(end.path))]);
    // A damaged one may be mended some day, and has to lose its material then.
    if (key !== undefined && key.message === undefined) return [];
    const validTo = key?.message.imported?.validTo;
    const hasEnded = validTo !== undefined && timestampMs(validTo) <= now;
    return [removeRecord(end), ...(hasEnded ? [replaceRecord(key!, KeySchema, withoutMaterial(key!.message))] : [])];
  }
}
