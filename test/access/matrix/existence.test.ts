import { afterAll, describe, expect, it } from 'vitest';
import { CALLER_NAMES, type Cell, OPERATIONS } from './cells.ts';
import { CALLERS, FOREIGN } from './people.ts';
import { World } from './world.ts';

const world = await World.make();
afterAll(() => world[Symbol.asyncDispose]());
const wiring = world.wire();

const ABSENT = '99999999-9999-4999-8999-999999999999';

/** Calls by callers of another account whom the key admits to nothing. */
const calls = CALLER_NAMES.filter((caller) => CALLERS[caller].account === FOREIGN).flatMap((caller) =>
  OPERATIONS.flatMap((operation) =>
    (['none', 'malformed', ...(operation === 'RetireGrant' ? [] : ['other key' as const])] as const).flatMap((token) =>
      (['none', 'all', 'deny'] as const).map((identity): Cell => {
        const key = { keyPolicy: 'nobody of use', grant: 'none', state: 'Enabled' } as const;
        return { ...key, operation, caller, token, identity, algorithmFits: true };
      }),
    ),
  ),
);

/** What is answered about a key that is there, and about one that is not. */
async function answers(cell: Cell): Promise<[string, string]> {
  const there = world.subject(cell);
  const absent = { ...there, keyId: ABSENT, arn: there.arn.replace(there.keyId, ABSENT) };
  return [await world.outcome(wiring, cell, there), await world.outcome(wiring, cell, absent)];
}

describe('another account cannot tell a key that is there from one that is not', () => {
  it.each(calls)('$operation by the $caller, token: $token, identity policy: $identity', async (cell) => {
    const [there, absent] = await answers(cell);
    expect(there).toBe(absent);
  });
});
