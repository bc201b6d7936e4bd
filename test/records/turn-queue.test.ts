import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { TurnQueue } from '../../src/records/turn-queue.ts';

/** A queue, and what happened in the works that had their turns. */
function start() {
  const queue = new TurnQueue();
  const events: string[] = [];
  const work = (name: string) => async () => {
    events.push(`${name} begins`);
    await setImmediate();
    events.push(`${name} ends`);
    return name;
  };
  return { queue, events, work };
}

describe('works in a queue', () => {
  it('have their turns one after the other, in the order in which they came', async () => {
    const { queue, events, work } = start();
    expect(await Promise.all(['a', 'b', 'c'].map((name) => queue.run(work(name))))).toEqual(['a', 'b', 'c']);
    expect(events).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
    expect(await queue.run(work('d'))).toBe('d');
  });

  it('go on after one that failed', async () => {
    const { queue, work } = start();
    const failing = queue.run(async () => {
      await setImmediate();
      throw new Error('the test says so');
    });
    const next = queue.run(work('next'));
    await expect(failing).rejects.toThrow('the test says so');
    expect(await next).toBe('next');
  });

  it('let the next one go on when they say so, once', async () => {
    const { queue, events, work } = start();
    const early = queue.run(async () => {
      queue.endTurn();
      queue.endTurn();
      await work('early')();
      await setImmediate();
      events.push('early returns');
    });
    await Promise.all([early, queue.run(work('next')), queue.run(work('last'))]);
    expect(events.indexOf('next begins')).toBeLessThan(events.indexOf('early ends'));
    expect(events.indexOf('last begins')).toBeGreaterThan(events.indexOf('next ends'));
  });

  it('know that they are, and nobody else does', async () => {
    const { queue } = start();
    expect(queue.isWithin).toBe(false);
    queue.endTurn();
    const seen = await queue.run(async () => {
      await setImmediate();
      return [queue.isWithin, new TurnQueue().isWithin];
    });
    expect(seen).toEqual([true, false]);
    expect(queue.isWithin).toBe(false);
  });
});
