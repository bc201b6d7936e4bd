import { afterAll, describe, expect, it } from 'vitest';
import { sampledCells } from './cells.ts';
import { differences } from './differences.ts';
import { switchedOff } from './switched-off.ts';
import { World } from './world.ts';

const world = await World.make();
afterAll(() => world[Symbol.asyncDispose]());
const cells = sampledCells();

describe(`the access control, in ${cells.length} cells`, () => {
  it('has at least 5,000 cells', () => expect(cells.length).toBeGreaterThanOrEqual(5_000));

  it('differs nowhere from what AWS documents', async () => {
    expect((await differences(world, cells)).join('\n\n')).toBe('');
  });
});

describe('the matrix notices it when a rule is switched off:', () => {
  const rules = Object.entries(switchedOff(world.other.keyId));
  it.each(rules)('%s', async (_rule, sabotage) => {
    // Of most rules it is not enough that the text of a refusal differs.
    const ofExceptions = sabotage.ofTextsOnly !== true;
    expect(await differences(world, cells, { sabotage, most: 1, ofExceptions })).toHaveLength(1);
  });
});
