import type { StoredRecord } from '../records/record-store.ts';
import { type Sealer, UnsealError } from '../records/sealer.ts';

/** Counts the records that do not open. */
export class UnopenedRecords {
  readonly #sealer: Sealer;
  #count = 0;
  #first: UnsealError | undefined;

  constructor(sealer: Sealer) {
    this.#sealer = sealer;
  }

  look(record: StoredRecord): void {
    try {
      this.#sealer.open(record);
    } catch (error) {
      if (!(error instanceof UnsealError)) throw error;
      this.#count++;
      this.#first ??= error;
    }
  }

  /** Tells the operator, if there are any. */
  warn(): void {
    if (this.#first === undefined) return;
    const these = this.#count === 1 ? '1 record does' : `${this.#count} records do`;
    process.stderr.write(
      `hmacd: warning: ${these} not open; ${this.#count === 1 ? '' : 'the first: '}${this.#first.message}\n`,
    );
  }
}
