import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { expect, it } from 'vitest';
import { GrantExpiry } from '../../src/grants/grant-expiry.ts';
import { GrantPaths } from '../../src/grants/grant-paths.ts';
import { GrantRecords } from '../../src/grants/grant-records.ts';
import { AWS_QUOTAS } from '../../src/keys/quotas.ts';
import { ACCOUNT, paths, recordsOf } from '../keys/fixture.ts';
import { arnOf, World } from './world.ts';

const grantPaths = new GrantPaths(paths, ACCOUNT);

it('Many grants that expire together leave calls their turn while they are swept away', async () => {
  const world = await World.start();
  const expiresAt = timestampFromMs(world.clock.now() + 1_000);
  for (let n = 0; n < 100; n++) await world.grant({ granteePrincipal: arnOf('billing'), expiresAt });
  await world.grant();
  world.clock.advance(1_000);
  expect(await world.listed()).toHaveLength(1);
  // What the embedded store does takes no turn of the event loop; a sweep of as much would be one long turn.
  const failures: unknown[] = [];
  const records = recordsOf(world.store, world.clock);
  const grants = new GrantRecords(records, grantPaths, 0, world.clock, AWS_QUOTAS.grantsPerKey);
  const expiry = new GrantExpiry(records, grants, grantPaths, world.clock, (error) => failures.push(error));
  let turns = 0;
  let swept = false;
  const count = (): void => {
    turns++;
    if (!swept) setImmediate(count);
  };
  setImmediate(count);
  await expiry.sweep();
  swept = true;
  expect(failures).toEqual([]);
  expect(turns).toBeGreaterThanOrEqual(100);
  expect((await world.store.paths()).filter((path) => path.includes('/expiry/'))).toEqual([]);
});
