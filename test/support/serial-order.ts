/** A call on something that many call at the same time, as its caller saw it. */
export interface Observation<I, O> {
  readonly input: I;
  readonly output: O;
  /** When it was sent and when its answer was there, in milliseconds by one clock. */
  readonly begin: number;
  readonly end: number;
  /** When it took effect, as far as one can guess, where that is not at its end: the search tries this first. */
  readonly likely?: number;
}

/** What is called, as it behaves when one call comes after the other. A state is told from others by its JSON. */
export interface SerialObject<S, I, O> {
  readonly initial: S;
  /** The state after a call; `undefined` when this is not what it answers in this state. */
  readonly next: (state: S, input: I, output: O) => S | undefined;
  /** Whether a call with this answer can change a state, whichever: a read cannot, nor a refusal. */
  readonly changes: (input: I, output: O) => boolean;
}

/** What a search for a serial order came to. */
export interface SerialOrder<T> {
  /** One that explains all calls, or as many as could be at most. */
  readonly order: readonly T[];
  /** The calls that it does not explain. */
  readonly unexplained: readonly T[];
}

/** How many states are looked at before the search is given up: a history that can be explained needs few. */
const PATIENCE = 50_000;

/**
 * Looks for an order of calls, one after the other, that explains all their answers: each call takes effect at one moment
 * between its begin and its end. Where there is none, the calls were not atomic.
 *
 * It is the search of Wing and Gong, with the memory of Lowe: which calls have taken effect, and in what state that left
 * the object, is looked at once. Two rules keep it short, neither of which loses an order. A call that can change nothing
 * takes effect as soon as it may; and of calls that are alike in input and output, the one that ends first goes first.
 *
 * @throws Error when it gives up, which says nothing of the history
 * @see https://www.cs.cmu.edu/~wing/publications/WingGong93.pdf
 */
export function findSerialOrder<S, I, O>(
  history: readonly Observation<I, O>[],
  object: SerialObject<S, I, O>,
): SerialOrder<Observation<I, O>> {
  const calls = history.toSorted((a, b) => a.end - b.end);
  const kinds = calls.map(({ input, output }) => JSON.stringify([input, output]));
  const changing = calls.map(({ input, output }) => object.changes(input, output));
  const taken = new Uint8Array(calls.length);
  const order: number[] = [];
  const seen = new Set<string>();
  let longest: number[] = [];

  const take = (index: number): void => {
    taken[index] = 1;
    order.push(index);
  };
  const giveBack = (length: number): void => {
    for (const index of order.splice(length)) taken[index] = 0;
  };
  /** The calls that may be next, by their ends: all that began before the first of those left ended. */
  const open = (): number[] => {
    const first = taken.indexOf(0);
    if (first === -1) return [];
    const { end } = calls[first]!;
    return [...calls.keys()].filter((index) => taken[index] === 0 && calls[index]!.begin <= end);
  };
  const after = (state: S, index: number): S | undefined => {
    const { input, output } = calls[index]!;
    return object.next(state, input, output);
  };

  const likelyTime = (index: number): number => calls[index]!.likely ?? calls[index]!.end;
  /** The first of the calls that are alike. */
  const oneOfEachKind = (indexes: readonly number[]): number[] => {
    const byKind = new Map<string, number>();
    for (const index of indexes) if (!byKind.has(kinds[index]!)) byKind.set(kinds[index]!, index);
    return [...byKind.values()];
  };

  const search = (state: S): boolean => {
    const length = order.length;
    for (let idle = [0]; idle.length > 0;) {
      idle = open().filter((index) => !changing[index] && after(state, index) !== undefined);
      idle.forEach(take);
    }
    if (order.length > longest.length) longest = [...order];
    if (order.length === calls.length) return true;
    const situation = `${JSON.stringify(state)} ${Buffer.from(taken).toString('latin1')}`;
    if (!seen.has(situation)) {
      seen.add(situation);
      if (seen.size > PATIENCE) throw new Error('no serial order was found in time');
      for (const index of oneOfEachKind(open()).toSorted((a, b) => likelyTime(a) - likelyTime(b))) {
        const next = after(state, index);
        if (next === undefined) continue;
        const before = order.length;
        take(index);
        if (search(next)) return true;
        giveBack(before);
      }
    }
    giveBack(length);
    return false;
  };

  const explained = search(object.initial) ? order : longest;
  const placed = new Set(explained);
  return {
    order: explained.map((index) => calls[index]!),
    unexplained: calls.filter((_call, index) => !placed.has(index)),
  };
}
