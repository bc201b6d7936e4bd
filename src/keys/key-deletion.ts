import { setImmediate } from 'node:timers/promises';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import type { Clock } from '../clock.ts';
import { AliasSchema, DestroyedKeySchema, KeyAliasesSchema, KeySchema } from '../gen/hmacd/store/v1/records_pb.ts';
import { KeyState } from '../gen/hmacd/v1/key_pb.ts';
import { type Change, createRecord, type DamagedEntry, type Records, removeRecord } from '../records/records.ts';
import { Sweeper } from '../records/sweeper.ts';
import type { KeyAliasesEntry } from './key-aliases.ts';
import type { KeyPaths } from './key-paths.ts';
import { moveMaterialEnd } from './material-end.ts';

/** How many records are read or removed in one step. */
const BATCH = 200;

/**
 * Destroys the keys whose deletion window has ended: while the service runs, and at its start those whose window ended
 * before.
 *
 * One commit puts a tombstone in the place of the key, its material and its aliases; then whatever else is under the key
 * goes, in steps. What is left when the process ends is taken up at the next sweep, here or on another replica.
 */
export class KeyDeletion extends Sweeper {
  readonly #records: Records;
  readonly #paths: KeyPaths;
  readonly #removeBeside: (keyId: string) => Promise<void>;
  readonly #clock: Clock;

  /**
   * @param removeBeside removes what belongs to a key and is not under it
   * @param onFailure told when a key could not be destroyed, or the whole sweep failed; the next sweep tries again
   */
  constructor(
    records: Records,
    paths: KeyPaths,
    removeBeside: (keyId: string) => Promise<void>,
    clock: Clock,
    onFailure: (error: unknown) => void,
  ) {
    super(onFailure);
    this.#records = records;
    this.#paths = paths;
    this.#removeBeside = removeBeside;
    this.#clock = clock;
  }

  /**
   * Destroys every key whose window has ended. One that cannot be destroyed does not keep the others.
   *
   * @returns how many keys it destroyed
   */
  async sweep(): Promise<number> {
    const ended = this.#paths.pendingDeletionsUntil(this.#clock.now());
    let destroyed = 0;
    for (let after = ''; !this.closed;) {
      const found = await this.#records.listPaths(this.#paths.pendingDeletions, after, BATCH);
      for (const index of found) {
        if (index.path > ended || this.closed) return destroyed;
        try {
          const keyId = this.#paths.keyIdOfPendingDeletion(index.path);
          if (await this.destroyEnded(keyId)) destroyed++;
          await this.#removeRest(keyId);
          await this.#records.commit([removeRecord(index)], 'adds');
        } catch (error) {
          this.partFailed(error);
        }
        // The embedded store works at once; calls shall have their turn in between.
        await setImmediate();
      }
      if (found.length < BATCH) break;
      after = found.at(-1)!.path;
    }
    return destroyed;
  }

  /** Destroys a key, if its window has ended, and answers whether it has; what else is under it goes at the next sweep. */
  async destroyEnded(keyId: string): Promise<boolean> {
    return await this.#records.untilUncontended(() => this.#destroy(keyId));
  }

  /** It may have been cancelled and scheduled anew. */
  async #destroy(keyId: string): Promise<boolean> {
    const now = this.#clock.now();
    const key = await this.#records.get(KeySchema, this.#paths.key(keyId));
    const deletionDate = key?.message.deletionDate;
    if (key?.message.keyState !== KeyState.PENDING_DELETION || deletionDate === undefined) return false;
    if (timestampMs(deletionDate) > now) return false;
    const [aliases] = await this.#records.find(KeyAliasesSchema, [this.#paths.keyAliases(keyId)]);
    const changes: Change[] = [
      removeRecord(key),
      ...(await moveMaterialEnd(key.message, undefined, this.#records, this.#paths)),
      createRecord(this.#paths.destroyedKey(keyId), DestroyedKeySchema, { keyId, deletionDate }),
      ...(aliases === undefined ? [] : [removeRecord(aliases), ...(await this.#removeAliases(keyId, aliases))]),
    ];
    // It only adds: nothing that goes was of any use to anybody since the key was scheduled.
    await this.#records.commit(changes, 'adds');
    return true;
  }

  /** Removes the aliases of a key. Where the record of their names is damaged, those of all keys are looked through. */
  async #removeAliases(keyId: string, names: KeyAliasesEntry | DamagedEntry): Promise<Change[]> {
    if (names.message !== undefined) {
      const paths = names.message.aliasNames.map((name) => this.#paths.alias(name));
      const found = await this.#records.find(AliasSchema, paths);
      // A damaged alias is of no use to anybody; one that was given to another key since is.
      return found.filter(({ message }) => message === undefined || message.targetKeyId === keyId).map(removeRecord);
    }
    const removals: Change[] = [];
    for (let after = ''; ;) {
      const found = await this.#records.list(AliasSchema, this.#paths.aliases, after, BATCH);
      removals.push(...found.filter(({ message }) => message?.targetKeyId === keyId).map(removeRecord));
      if (found.length < BATCH) return removals;
      after = found.at(-1)!.path;
    }
  }

  async #removeRest(keyId: string): Promise<void> {
    if ((await this.#records.get(KeySchema, this.#paths.key(keyId))) !== undefined) return;
    await this.#removeBeside(keyId);
    for (;;) {
      const found = await this.#records.listPaths(this.#paths.under(keyId), '', BATCH);
      if (found.length === 0) return;
      await this.#records.commit(found.map(removeRecord), 'adds');
      // As above: there may be much under a key.
      await setImmediate();
    }
  }
}
