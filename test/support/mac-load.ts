import { setTimeout as delay } from 'node:timers/promises';
import { failureOf } from './clients.ts';

/** A GenerateMac or VerifyMac to be made again and again. */
export interface MacCall {
  /** For messages of tests. */
  readonly name: string;
  readonly make: () => Promise<{ readonly keyId: string }>;
}

/** A call that has ended. Times are by `performance.now()`. */
export interface Answer {
  readonly name: string;
  readonly sent: number;
  readonly answered: number;
  /** The ARN of the key that the MAC was made or verified with; `undefined` when the call failed. */
  readonly keyArn: string | undefined;
  /** What the call failed with: an exception's name, or the code of a failure that is none of the service's. */
  readonly exception: string | undefined;
}

/** Makes a call, and tells how it ended. */
export async function ask({ name, make }: MacCall): Promise<Answer> {
  const sent = performance.now();
  const call = make();
  try {
    const { keyId } = await call;
    return { name, sent, answered: performance.now(), keyArn: keyId, exception: undefined };
  } catch {
    const answered = performance.now();
    const { exception, code } = await failureOf(call);
    return { name, sent, answered, keyArn: undefined, exception: exception ?? code };
  }
}

/** Calls that go on without a pause that matters, each again as soon as it was answered, until the load is stopped. */
export class MacLoad implements AsyncDisposable {
  readonly #last = new Map<MacCall, Answer>();
  readonly #loops: Promise<void>[];
  #answers: Answer[] = [];
  #stopped = false;

  constructor(calls: readonly MacCall[], pause = 8) {
    this.#loops = calls.map(async (call) => {
      while (!this.#stopped) {
        const answer = await ask(call);
        this.#last.set(call, answer);
        this.#answers.push(answer);
        await delay(pause * (0.5 + Math.random()));
      }
    });
  }

  /** The calls that were sent after a moment and have been answered. */
  sentAfter(moment: number): readonly Answer[] {
    return this.#answers.filter(({ sent }) => sent > moment);
  }

  /** Forgets the answers so far. */
  clear(): void {
    this.#answers = [];
  }

  /** Waits until every one of the calls, sent from now on, was answered in this way. */
  async until(expected: (answer: Answer) => boolean, withinMs = 10_000): Promise<void> {
    const start = performance.now();
    for (;;) {
      const last = [...this.#last.values()];
      if (last.length === this.#loops.length && last.every((answer) => answer.sent > start && expected(answer))) return;
      if (performance.now() - start > withinMs) {
        throw new Error(`these were not answered as expected: ${JSON.stringify(last.filter((one) => !expected(one)))}`);
      }
      await delay(5);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }
}
