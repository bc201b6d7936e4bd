import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { type Destination, LineWriter } from '../../src/calls/line-writer.ts';

/** A destination that keeps what it took, and can be slow, take little at a time, or refuse. */
class TestDestination implements Destination {
  text = '';
  writes = 0;
  closed = false;
  /** The most bytes of one write. */
  most = Infinity;
  /** What a write fails with. */
  refusal: string | undefined;
  /** Milliseconds until a write looks at its bytes. */
  latency = 0;

  async write(bytes: Uint8Array): Promise<number> {
    this.writes++;
    await delay(this.latency);
    if (this.closed) throw new Error('written to after it was closed');
    if (this.refusal !== undefined) throw Object.assign(new Error(this.refusal), { code: this.refusal });
    const taken = bytes.subarray(0, this.most);
    this.text += Buffer.from(taken).toString('latin1');
    return taken.length;
  }

  close(): void {
    this.closed = true;
  }
}

function start() {
  const destination = new TestDestination();
  const failures: string[] = [];
  const writer = new LineWriter(destination, (error) => failures.push(error.message));
  let next = 0;
  return {
    destination,
    failures,
    writer,
    write: (count: number): void => {
      for (let n = 0; n < count; n++) writer.write(`line ${next++}\n`);
    },
    /** Demands every line that was written, once and in order. */
    expectAll: (): void => {
      expect(destination.text).toBe(Array.from({ length: next }, (_, n) => `line ${n}\n`).join(''));
    },
  };
}

describe('a line writer', () => {
  it('writes everything, in order, to a destination that takes a few bytes at a time', async () => {
    const { destination, failures, writer, write, expectAll } = start();
    destination.most = 777;
    for (let burst = 0; burst < 20; burst++) {
      write(300);
      await delay(1);
    }
    await writer.close();
    expectAll();
    expect(failures).toEqual([]);
  });

  it('keeps what was refused, also half a line, and writes it before what came later', async () => {
    const { destination, failures, writer, write, expectAll } = start();
    destination.most = 1_001;
    write(300);
    await delay(5);
    destination.refusal = 'ENOSPC';
    write(300);
    await vi.waitFor(() => expect(failures).toEqual(['ENOSPC']));
    write(300);
    await delay(250);
    expect(failures).toEqual(['ENOSPC']);
    destination.refusal = undefined;
    await vi.waitFor(() => expectAll(), { timeout: 2_000 });
    await writer.close();
  });

  it('writes lines of any length', async () => {
    const { destination, writer } = start();
    const lines = ['short\n', `${'long'.repeat(200_000)}\n`, 'short\n', `${'longer'.repeat(200_000)}\n`, 'last\n'];
    for (const line of lines) writer.write(line);
    await writer.close();
    expect(destination.text).toBe(lines.join(''));
  });

  it('takes a slow reader for no outage', async () => {
    const { destination, failures, writer, write, expectAll } = start();
    destination.refusal = 'EAGAIN';
    write(300);
    await delay(150);
    destination.refusal = undefined;
    await writer.close();
    expectAll();
    expect(failures).toEqual([]);
  });

  it('writes what comes while it closes, once', async () => {
    const { destination, writer, write, expectAll } = start();
    destination.latency = 10;
    write(250);
    const closed = writer.close();
    for (let burst = 0; burst < 6; burst++) {
      write(300);
      await delay(3);
    }
    await closed;
    expectAll();
    expect(destination.closed).toBe(true);
  });

  it('writes nothing once it is closed, and says so', async () => {
    const { destination, failures, writer, write, expectAll } = start();
    write(300);
    await writer.close();
    expectAll();
    const { writes } = destination;
    write(600);
    await delay(200);
    expect(destination.writes).toBe(writes);
    expect(failures).toEqual(['the log is closed; later lines are lost']);
  });

  it('gives a destination up that takes nothing when it closes, and leaves it alone then', async () => {
    const { destination, failures, writer, write } = start();
    destination.refusal = 'ENOSPC';
    write(300);
    await writer.close();
    expect(failures).toEqual(['ENOSPC', 'the destination did not take the last lines']);
    await delay(150); // The attempt that was under way.
    const { writes } = destination;
    await delay(300);
    expect(destination.writes).toBe(writes);
    expect(destination.closed).toBe(false);
  });

  it('loses the newest lines when too many wait, and tells how many', async () => {
    const { destination, failures, writer } = start();
    destination.refusal = 'EAGAIN';
    const line = `${'x'.repeat(1_023)}\n`;
    for (let n = 0; n < 32 * 1_024 + 10; n++) writer.write(line);
    expect(failures).toEqual(['too many lines wait for the destination; the newest are lost']);
    destination.refusal = undefined;
    await vi.waitFor(() => expect(destination.text.length).toBe(32 * 1_024 * 1_024), { timeout: 5_000 });
    expect(failures.at(-1)).toBe('10 lines were lost');
    await writer.close();
  });
});
