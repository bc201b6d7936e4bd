import { performance } from 'node:perf_hooks';

/** The time, as an argument, so that tests can turn it. */
export interface Clock {
  /** The wall clock: milliseconds since 1970-01-01 UTC. */
  now(): number;
  /** A clock that nobody sets: milliseconds since some moment. It may stand still while the machine sleeps. */
  monotonic(): number;
}

/** The machine's clocks. */
export const systemClock: Clock = { now: () => Date.now(), monotonic: () => performance.now() };

/** Waits until at least `milliseconds` have passed by the clock that nobody sets: timers alone sometimes fire early. */
export async function elapse(clock: Clock, milliseconds: number): Promise<void> {
  const end = clock.monotonic() + milliseconds;
  for (let left = milliseconds; left > 0; left = end - clock.monotonic()) {
    await new Promise((resolve) => setTimeout(resolve, Math.ceil(left)));
  }
}
