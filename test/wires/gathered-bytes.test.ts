import { expect, it } from 'vitest';
import { GatheredBytes } from '../../src/wires/gathered-bytes.ts';

it('Gathered bytes are those of all chunks in their order, and stay as they were when more come', () => {
  const chunk = Buffer.from('of the caller');
  const gathered = new GatheredBytes();
  expect(gathered.bytes).toEqual(Buffer.alloc(0));
  gathered.add(chunk.subarray(0, 2));
  const first = gathered.bytes;
  gathered.add(Buffer.from(' a few'));
  gathered.add(Buffer.alloc(0));
  gathered.add(Buffer.from(' chunks'));
  expect(gathered.bytes.toString()).toBe('of a few chunks');
  expect(gathered.length).toBe(15);
  expect(first.toString()).toBe('of');
  expect(chunk.toString()).toBe('of the caller');
});

it('Chunks of a byte take at most twice as much memory as they are long', () => {
  const gathered = new GatheredBytes();
  const chunks = Array.from({ length: 100_000 }, (_, n) => Buffer.of(n % 256));
  for (const chunk of chunks) gathered.add(chunk);
  expect(gathered.bytes.equals(Buffer.concat(chunks))).toBe(true);
  expect(gathered.bytes.buffer.byteLength).toBeLessThanOrEqual(200_000);
});
