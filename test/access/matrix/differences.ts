import { type Cell, expectedOutcomes } from './cells.ts';
import type { Sabotage } from './wiring.ts';
import type { World } from './world.ts';

/** How many differences are told. */
const MOST = 20;

interface Options {
  readonly sabotage?: Sabotage;
  readonly most?: number;
  /** Whether texts may differ. */
  readonly ofExceptions?: boolean;
}

/** The first differences between what comes of some cells, one after the other, and what AWS's rules admit; readably. */
export async function differences(
  world: World,
  cells: readonly Cell[],
  { sabotage = {}, most = MOST, ofExceptions = false }: Options = {},
): Promise<string[]> {
  const wiring = world.wire(sabotage);
  const found: string[] = [];
  for (const cell of cells) {
    const { arn } = world.subject(cell);
    const expected = expectedOutcomes(cell, arn);
    const actual = await world.outcome(wiring, cell);
    if (ofExceptions ? !isAsNamed(expected, actual) : !expected.includes(actual))
      found.push(told(cell, expected, actual));
    if (found.length >= most) break;
  }
  return found;
}

/** Whether the exceptions are the same; a call that never ends because of a sabotage tells nothing of access. */
function isAsNamed(expected: readonly string[], actual: string): boolean {
  return actual === 'StoreUnavailableError' || expected.map(nameOf).includes(nameOf(actual));
}

function nameOf(outcome: string): string {
  return outcome.split(':', 1)[0]!;
}

function told(cell: Cell, expected: readonly string[], actual: string): string {
  const { operation, caller, state, keyPolicy, identity, grant, token, algorithmFits } = cell;
  return [
    `${operation} by the ${caller} on a key that is ${state}`,
    `key policy: ${keyPolicy}; identity policy: ${identity}; grant: ${grant}; token: ${token}; algorithm fits: ${algorithmFits}`,
    `expected: ${expected.join('\n      or: ')}`,
    `actual:   ${actual}`,
  ].join('\n');
}
