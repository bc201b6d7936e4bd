import { afterAll, describe, expect, it } from 'vitest';
import { failureOf, WIRES } from '../support/clients.ts';
import { startService } from '../support/running-service.ts';

const running = await startService();
afterAll(() => running[Symbol.asyncDispose]());

describe.each(WIRES)('on %s, a value that an error repeats', (wire) => {
  const { keys } = running.clients[wire];

  it.each([
    ['in the middle of a character outside the Basic Multilingual Plane', `${'x'.repeat(255)}🔑`],
    ['behind one', `${'x'.repeat(254)}🔑`],
    ['where every character takes three bytes', 'ऀ'.repeat(256)],
  ])('arrives when it is cut %s', async (_, start) => {
    const call = keys.describeKey({ keyId: start.padEnd(2_049, 'y') }, { timeoutMs: 5_000 });
    expect(await failureOf(call)).toMatchObject({
      code: 'InvalidArgument',
      exception: 'ValidationException',
      message: expect.stringMatching(/^1 validation error detected: Value '[^']+…' at 'keyId' failed to satisfy/),
    });
  });
});
