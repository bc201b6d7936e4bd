import { afterAll, describe, expect, it } from 'vitest';
import { ControlledStore } from '../records/controlled-store.ts';
import { failureOf } from '../support/clients.ts';
import { FakeClock, type RunningService, startService } from '../support/running-service.ts';
import { ARN, DAY, deletionOf, makeKey, openSealer, openSealerWithDamage, paths } from './fixture.ts';

interface World extends AsyncDisposable {
  readonly clock: FakeClock;
  readonly store: ControlledStore;
  readonly running: RunningService;
}

async function startWorld(sealer = openSealer): Promise<World> {
  const clock = new FakeClock();
  const store = new ControlledStore({ exclusive: true });
  const running = await startService({}, { clock, store, sealer });
  return {
    clock,
    store,
    running,
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

async function makeKeys({ running }: World, count: number): Promise<string[]> {
  const made = await Promise.all(Array.from({ length: count }, () => makeKey(running.clients.gRPC)));
  return made.map(({ keyId }) => keyId).toSorted();
}

/** The pages from the first to the last; `between` runs after each but the last. */
async function walk({ running }: World, limit: number | undefined, between = async () => {}): Promise<string[][]> {
  const pages: string[][] = [];
  for (let marker: string | undefined; ;) {
    const page = await running.clients.gRPC.keys.listKeys({
      ...(limit !== undefined && { limit }),
      ...(marker !== undefined && { marker }),
    });
    pages.push(page.keys.map(({ keyId }) => keyId));
    expect(page.truncated).toBe(page.nextMarker !== undefined);
    if (page.nextMarker === undefined) return pages;
    marker = page.nextMarker;
    await between();
  }
}

describe('ListKeys', async () => {
  const full = await startWorld();
  afterAll(() => full[Symbol.asyncDispose]());
  const all = await makeKeys(full, 1_001);

  it.each([
    [1_000, [1_000, 1]],
    [999, [999, 2]],
    [500, [500, 500, 1]],
    [77, Array.from({ length: 13 }, () => 77)],
    [undefined, [...Array.from({ length: 10 }, () => 100), 1]],
  ])('with the limit %s gives every key once, in order, and ends exactly', async (limit, lengths) => {
    const pages = await walk(full, limit);
    expect(pages.flat()).toEqual(all);
    expect(pages.map((page) => page.length)).toEqual(lengths);
  });

  it('with the limit 1 gives one key', async () => {
    const page = await full.running.clients.gRPC.keys.listKeys({ limit: 1 });
    expect(page).toMatchObject({ keys: [{ keyId: all[0], keyArn: `${ARN}key/${all[0]}` }], truncated: true });
  });

  it.each([
    [0, "Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"],
    [-1, "Value '-1' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"],
    [1_001, "Value '1001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 1000"],
  ])('refuses the limit %i', async (limit, sentence) => {
    expect(await failureOf(full.running.clients.gRPC.keys.listKeys({ limit }))).toMatchObject({
      exception: 'ValidationException',
      message: `1 validation error detected: ${sentence}`,
      violations: [`limit: ${sentence}`],
    });
  });

  const own = Buffer.from(all[5]!).toString('base64url');
  it.each([
    ['no base64', 'not a marker!'],
    ['a key ID', all[5]!],
    ['a marker of something else', Buffer.from('alias/orders').toString('base64url')],
    ['a marker with padding', `${own}=`],
    ['a marker that was cut', own.slice(0, -2)],
  ])('refuses a marker that is %s, without a text', async (_, marker) => {
    expect(await failureOf(full.running.clients.gRPC.keys.listKeys({ marker }))).toMatchObject({
      exception: 'InvalidMarkerException',
      code: 'InvalidArgument',
      message: '',
    });
  });

  it('of an account without keys is an empty page', async () => {
    await using world = await startWorld();
    expect(await walk(world, undefined)).toEqual([[]]);
  });

  it('gives every key that is there throughout once, while others are made and destroyed', async () => {
    await using world = await startWorld();
    const kept = await makeKeys(world, 30);
    const doomed = await makeKeys(world, 20);
    const { keys } = world.running.clients.gRPC;
    for (const keyId of doomed) await keys.scheduleKeyDeletion({ keyId, pendingWindowInDays: 7 });
    const pages = await walk(world, 5, async () => {
      await makeKeys(world, 2);
      world.clock.advance(7 * DAY);
      await deletionOf(world.store, world.clock).deletion.sweep();
    });
    const listed = pages.flat();
    expect(listed).toEqual(listed.toSorted());
    expect(listed.filter((keyId) => kept.includes(keyId))).toEqual(kept);
    expect(new Set(listed).size).toBe(listed.length);
    const gone = pages.slice(1).flat();
    expect(gone.filter((keyId) => doomed.includes(keyId))).toEqual([]);
  });

  it('gives a key that is pending deletion until its deletion date, and not from then on', async () => {
    await using world = await startWorld();
    const [keyId] = await makeKeys(world, 1);
    await world.running.clients.gRPC.keys.scheduleKeyDeletion({ keyId: keyId!, pendingWindowInDays: 7 });
    world.clock.advance(7 * DAY - 1);
    expect(await walk(world, undefined)).toEqual([[keyId]]);
    world.clock.advance(1);
    expect(await walk(world, undefined)).toEqual([[]]);
  });

  it('gives a key whose record is damaged', async () => {
    const damaged = new Set<string>();
    await using world = await startWorld(openSealerWithDamage(damaged));
    const made = await makeKeys(world, 3);
    damaged.add(paths.key(made[1]!));
    expect(await walk(world, undefined)).toEqual([made]);
  });
});
