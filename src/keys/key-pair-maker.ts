import { throttlingError } from '../errors.ts';
import { TurnQueue } from '../records/turn-queue.ts';
import { makeKeyPair, type WrappingKey } from './wrapping.ts';

/** How many may wait for their turn. */
const MOST_WAITING = 16;
/** After how long whoever finds no room may try again, in milliseconds. */
const RETRY_DELAY = 1_000;

/**
 * Makes key pairs, one at a time in this process: each takes up to seconds of one of the few threads that DNS and files
 * need, too.
 */
export class KeyPairMaker {
  readonly #make: typeof makeKeyPair;
  readonly #turns = new TurnQueue();
  /** Those that wait, and the one whose turn it is. */
  #count = 0;

  constructor(make = makeKeyPair) {
    this.#make = make;
  }

  /** @throws KmsError ThrottlingException when too many wait already */
  async make(wrappingKey: WrappingKey): ReturnType<typeof makeKeyPair> {
    if (this.#count > MOST_WAITING) throw throttlingError(RETRY_DELAY);
    this.#count++;
    try {
      return await this.#turns.run(() => this.#make(wrappingKey));
    } finally {
      this.#count--;
    }
  }
}
