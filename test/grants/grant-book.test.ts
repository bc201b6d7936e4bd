import { expect, it } from 'vitest';
import { arnOf, World } from './world.ts';

it('A read that fails, of grants that a call did not need, ends no process', async () => {
  const world = await World.start();
  // The role's grant is at hand, the session's are not; both sessions are allowed by the role's.
  await world.grant({ granteePrincipal: arnOf('orders') });
  expect(await world.generate('session')).toBe('OK');
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => void unhandled.push(reason);
  process.on('unhandledRejection', note);
  try {
    world.store.before = (_, argument) => {
      if (String(argument).includes(arnOf('otherSession'))) throw new Error('the store broke');
    };
    expect(await world.generate('otherSession')).toBe('OK');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(unhandled).toEqual([]);
    expect(await world.generate('session')).toBe('OK');
  } finally {
    process.off('unhandledRejection', note);
  }
});
