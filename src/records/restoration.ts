import { randomUUID } from 'node:crypto';
import type { RecordStore } from './record-store.ts';

/**
 * An empty store that is being filled. Until it is complete it has a mark in the place of its ID, so that nobody serves
 * it; a restoration that begins on it anew takes it over, and removes what is there.
 */
export interface Restoration {
  /** Where to put the records. It fails once another restoration has taken over. */
  readonly store: RecordStore;

  /**
   * Gives the store its ID: from now on it can be opened.
   *
   * @throws StoreUnavailableError when it is not known whether it has it
   */
  complete(): Promise<void>;
}

/** What every mark begins with, and no ID. */
export const RESTORATION_MARK = 'restoration ';

/** What stands in the place of the ID of a store that is being restored; no two are the same. */
export function newRestorationMark(): string {
  return RESTORATION_MARK + randomUUID();
}

export function isRestorationMark(storeId: string): boolean {
  return storeId.startsWith(RESTORATION_MARK);
}

/** What an operator is told of a store that is not complete, behind its name. */
export const UNFINISHED_RESTORATION =
  'a restore into it has not ended; run "hmacd restore" again, which begins anew, or wait for the one that is running';

/** What an operator is told of a store that may not be filled, behind its name. */
export const NOT_EMPTY = 'it has records, and a backup is restored only into an empty store';
