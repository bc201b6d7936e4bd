import { AsyncLocalStorage } from 'node:async_hooks';

/** Lets one work go on at a time, in the order in which they came. */
export class TurnQueue {
  /** What ends the turn of the work at hand. */
  readonly #endTurn = new AsyncLocalStorage<() => void>();
  #last: Promise<void> = Promise.resolve();

  /** Whether the work at hand has, or had, a turn: it must not wait for another one, which would be after its own. */
  get isWithin(): boolean {
    return this.#endTurn.getStore() !== undefined;
  }

  /** Begins a work when its turn has come. The turn ends with the work, or when the work says so. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    await before;
    try {
      return await this.#endTurn.run(resolve, work);
    } finally {
      resolve();
    }
  }

  /** Says, in a work that has a turn, that what is left of it need not keep the others; nothing in any other. */
  endTurn(): void {
    this.#endTurn.getStore()?.();
  }
}
