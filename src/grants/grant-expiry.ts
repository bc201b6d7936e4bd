import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import { type Found, type Records, removeRecord } from '../records/records.ts';
import { Sweeper } from '../records/sweeper.ts';
import { isThere } from './grant.ts';
import type { GrantPaths } from './grant-paths.ts';
import type { GrantRecords } from './grant-records.ts';

/** How many expired grants are looked up at once. */
const BATCH = 200;

/** Sweeps expired grants away, so that they do not count against the limit of their keys. */
export class GrantExpiry extends Sweeper {
  readonly #records: Records;
  readonly #grants: GrantRecords;
  readonly #paths: GrantPaths;
  readonly #clock: Clock;

  /** @param onFailure told when a grant could not be removed, or the whole sweep failed; the next sweep tries again */
  constructor(
    records: Records,
    grants: GrantRecords,
    paths: GrantPaths,
    clock: Clock,
    onFailure: (error: unknown) => void,
  ) {
    super(onFailure);
    this.#records = records;
    this.#grants = grants;
    this.#paths = paths;
    this.#clock = clock;
  }

  /** Removes every grant that has expired. One that cannot be removed does not keep the others. */
  async sweep(): Promise<void> {
    const expired = this.#paths.expiringUntil(this.#clock.now());
    for (let after = ''; !this.closed;) {
      const found = await this.#records.listPaths(this.#paths.expiring, after, BATCH);
      for (const index of found) {
        if (index.path > expired || this.closed) return;
        try {
          await this.#remove(index);
        } catch (error) {
          this.partFailed(error);
        }
        // The embedded store works at once; calls shall have their turn in between.
        await setImmediate();
      }
      if (found.length < BATCH) return;
      after = found.at(-1)!.path;
    }
  }

  async #remove(index: Found): Promise<void> {
    const { keyId, grantId } = this.#paths.ofExpiry(index.path);
    const grant = await this.#grants.stored(keyId, grantId);
    const expired = grant?.message !== undefined && !isThere(grant.message, this.#clock.now());
    // One that is damaged is left to whoever takes it back.
    const removals = expired ? await this.#grants.removals(grant) : [removeRecord(index)];
    // It only adds: nothing that goes was of any use to anybody since it expired.
    await this.#records.commit(removals, 'adds');
    if (expired) await this.#grants.removeTokens(keyId, grantId);
  }
}
