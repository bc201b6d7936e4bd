import type { Clock } from '../clock.ts';
import { throttlingError } from '../errors.ts';
import type { RequestRate } from './request-rates.ts';

/**
 * Refuses calls that come faster than they may, by this process's own count: replicas do not tell each other.
 *
 * Whoever calls: AWS throttles the account, too.
 *
 * @see https://docs.aws.amazon.com/kms/latest/developerguide/throttling.html
 */
export class Throttle {
  readonly #buckets: ReadonlyMap<string, TokenBucket>;

  /** @param rates in none of which is an operation of another one */
  constructor(rates: readonly RequestRate[], clock: Clock) {
    this.#buckets = new Map(
      rates.flatMap(({ operations, perSecond }) => {
        const shared = new TokenBucket(perSecond, clock);
        return operations.map((operation) => [operation, shared] as const);
      }),
    );
  }

  /**
   * Demands that an operation may be called now, and counts the call.
   *
   * @param operation AWS's name; one that has no rate may be called at any time
   * @throws KmsError ThrottlingException, which tells when to call again
   */
  admit(operation: string): void {
    const delay = this.#buckets.get(operation)?.take() ?? 0;
    if (delay !== 0) throw throttlingError(delay);
  }
}

/** How exact times are, in milliseconds: sums of them are not. */
const TOLERANCE = 0.001;

/**
 * A bucket that holds the tokens of one second, and one at least; each call takes one, and they come back one by one.
 *
 * All that there is to remember is when it will be full again.
 */
class TokenBucket {
  readonly #clock: Clock;
  /** How long a token takes to come back, in milliseconds. */
  readonly #interval: number;
  /** How far away the moment may be at which it is full again, for one token to be in it. */
  readonly #patience: number;
  #fullAt = -Infinity;

  constructor(perSecond: number, clock: Clock) {
    this.#clock = clock;
    this.#interval = 1_000 / perSecond;
    this.#patience = (Math.max(1, perSecond) - 1) * this.#interval;
  }

  /** Takes a token, and answers 0; where there is none, after how many whole milliseconds there is one. */
  take(): number {
    const now = this.#clock.monotonic();
    const fullAt = Math.max(this.#fullAt, now);
    const delay = fullAt - now - this.#patience - TOLERANCE;
    if (delay > 0) return Math.ceil(delay);
    this.#fullAt = fullAt + this.#interval;
    return 0;
  }
}
