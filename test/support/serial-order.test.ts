import { describe, expect, it } from 'vitest';
import { findSerialOrder, type Observation, type SerialObject } from './serial-order.ts';

type Input = 'add' | 'take' | 'read' | { readonly set: number };
type Output = number | 'done' | 'none';

/** A counter that cannot be taken below zero, and can be set. */
const COUNTER: SerialObject<number, Input, Output> = {
  initial: 0,
  next(state, input, output) {
    if (input === 'read') return output === state ? state : undefined;
    if (input === 'add') return output === 'done' ? state + 1 : undefined;
    if (input === 'take') return output === (state > 0 ? 'done' : 'none') ? Math.max(0, state - 1) : undefined;
    return output === 'done' ? input.set : undefined;
  },
  changes: (input, output) => input !== 'read' && output === 'done',
};

const call = (begin: number, end: number, input: Input, output: Output): Observation<Input, Output> => ({
  input,
  output,
  begin,
  end,
});

/** How many calls are left unexplained. */
const left = (...history: Observation<Input, Output>[]): number => findSerialOrder(history, COUNTER).unexplained.length;

describe('a history is explained', () => {
  it.each<[string, Observation<Input, Output>[]]>([
    ['that is empty', []],
    ['of calls one after the other', [call(0, 1, 'add', 'done'), call(2, 3, 'read', 1), call(4, 5, 'take', 'done')]],
    ['of a read that saw what was under way', [call(0, 9, 'add', 'done'), call(1, 2, 'read', 1)]],
    ['of a read that did not see what was under way', [call(0, 9, 'add', 'done'), call(1, 2, 'read', 0)]],
    [
      'of calls that took effect in another order than they ended',
      [call(0, 9, { set: 5 }, 'done'), call(0, 8, { set: 6 }, 'done'), call(10, 11, 'read', 6)],
    ],
    [
      'where a call that changes nothing has to come before its neighbours',
      [call(0, 9, 'take', 'none'), call(0, 9, 'add', 'done'), call(10, 11, 'read', 1)],
    ],
    [
      'where what ended last came first',
      [call(0, 1, 'read', 7), call(0, 2, 'read', 3), call(0, 5, { set: 3 }, 'done'), call(0, 6, { set: 7 }, 'done')],
    ],
    [
      'where a change that would change nothing at first has to wait',
      [call(0, 8, { set: 0 }, 'done'), call(0, 9, { set: 5 }, 'done'), call(10, 11, 'read', 0)],
    ],
    ['of two calls that touch', [call(0, 1, 'read', 1), call(1, 2, 'add', 'done')]],
  ])('%s', (_, history) => {
    expect(left(...history)).toBe(0);
  });

  it('with an order that its answers come from, within the times of its calls', () => {
    const history = [
      call(0, 9, { set: 5 }, 'done'),
      call(0, 8, { set: 6 }, 'done'),
      call(3, 4, 'read', 0),
      call(10, 11, 'read', 6),
    ];
    const { order } = findSerialOrder(history, COUNTER);
    let state = 0;
    for (const { input, output } of order) state = COUNTER.next(state, input, output)!;
    expect(state).toBe(6);
    expect(order.map(({ input }) => input)).toEqual(['read', { set: 5 }, { set: 6 }, 'read']);
  });

  it('of 1,000 calls at the same time', () => {
    const history = Array.from({ length: 250 }, (_, n) => [
      call(0, 1_000 + n, 'add', 'done'),
      call(0, 1_000 - n, 'take', 'done'),
      call(0, 500 + n, 'read', n % 3),
      call(n, 2_000, 'take', 'none'),
    ]).flat();
    expect(left(...history)).toBe(0);
  });
});

describe('a history is not explained', () => {
  it.each<[string, Observation<Input, Output>[]]>([
    ['of a read of what nobody wrote', [call(0, 1, 'read', 1)]],
    ['of a read that missed what was done before', [call(0, 1, 'add', 'done'), call(2, 3, 'read', 0)]],
    ['of a read of what comes after it', [call(0, 1, 'read', 1), call(2, 3, 'add', 'done')]],
    [
      'of an answer that was twice given',
      [call(0, 9, 'add', 'done'), call(0, 9, 'take', 'done'), call(0, 9, 'take', 'done')],
    ],
    [
      'of a refusal without a reason',
      [call(0, 1, 'add', 'done'), call(2, 9, 'take', 'none'), call(3, 8, 'add', 'done')],
    ],
    [
      'of two readers that saw two writes in either order',
      [
        call(0, 20, { set: 1 }, 'done'),
        call(0, 20, { set: 2 }, 'done'),
        call(1, 2, 'read', 1),
        call(3, 4, 'read', 2),
        call(5, 6, 'read', 1),
      ],
    ],
    [
      'of a change that is lost in the end',
      [call(0, 9, 'add', 'done'), call(1, 8, 'add', 'done'), call(10, 11, 'read', 1)],
    ],
  ])('%s', (_, history) => {
    expect(left(...history)).toBeGreaterThan(0);
  });

  it('which of 1,000 calls it was is told', () => {
    const history = Array.from({ length: 500 }, (_, n) => [
      call(n, n + 5, 'add', 'done'),
      call(n, n + 5, 'take', 'done'),
    ]).flat();
    const wrong = call(250, 255, 'read', 700);
    const { unexplained } = findSerialOrder([...history, wrong], COUNTER);
    expect(unexplained).toContainEqual(wrong);
  });
});
