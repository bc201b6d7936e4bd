import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { KeySpec, KeyUsage } from '../../src/gen/hmacd/v1/key_pb.ts';
import { ControlledStore } from '../records/controlled-store.ts';
import { type Clients, failureOf } from '../support/clients.ts';
import { FakeClock, startService } from '../support/running-service.ts';
import { openSealer } from './fixture.ts';

/** What a call that takes something away waits with a TTL of 100 ms, in milliseconds. */
const WAIT = 105;

/** Something that is done to a key, or to its alias `alias/a`. */
type Act = (clients: Clients, keyId: string) => Promise<unknown>;

const disable: Act = ({ keys }, keyId) => keys.disableKey({ keyId });
const schedule: Act = ({ keys }, keyId) => keys.scheduleKeyDeletion({ keyId });
const cancel: Act = ({ keys }, keyId) => keys.cancelKeyDeletion({ keyId });
const deleteAlias: Act = ({ aliases }) => aliases.deleteAlias({ aliasName: 'alias/a' });
const createAlias: Act = ({ aliases }, targetKeyId) => aliases.createAlias({ aliasName: 'alias/b', targetKeyId });
const updateAlias: Act = ({ aliases }, targetKeyId) => aliases.updateAlias({ aliasName: 'alias/a', targetKeyId });
const retire: Act = ({ rotation }, keyId) => rotation.retireKeyVersion({ keyId, keyVersion: 1 });
const rotate: Act = ({ rotation }, keyId) => rotation.rotateKeyOnDemand({ keyId });
const putPolicy: Act = async ({ keys }, keyId) => {
  const { policy } = await keys.getKeyPolicy({ keyId });
  await keys.putKeyPolicy({ keyId, policy });
};
const tag: Act = ({ keys }, keyId) => keys.tagResource({ keyId, tags: [{ tagKey: 'a', tagValue: 'b' }] });
const untag: Act = ({ keys }, keyId) => keys.untagResource({ keyId, tagKeys: ['a'] });

/** A key with the alias `alias/a`, on a replica that may have company, and whose leases last until the test turns the clock. */
async function start() {
  const clock = new FakeClock();
  const store = new ControlledStore();
  let commits = 0;
  store.after = (method) => void (method === 'commit' && commits++);
  const running = await startService({ KEY_CACHE_TTL: '100ms' }, { clock, store, sealer: openSealer });
  onTestFinished(async () => {
    clock.advance(10 * WAIT);
    await running[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
  });
  const clients = running.clients.gRPC;
  const make = { keySpec: KeySpec.HMAC_256, keyUsage: KeyUsage.GENERATE_VERIFY_MAC, rotationEnabled: true };
  const keyId = (await clients.keys.createKey(make)).keyMetadata!.keyId;
  let ended: unknown[] = [];
  const ends = (outcome: unknown): void => void ended.push(outcome);
  /** Begins to act; what it ended in is told by `outcomes`. */
  const begin = (act: Act): void => {
    void act(clients, keyId).then(
      () => ends('OK'),
      async (error: unknown) => ends((await failureOf(Promise.reject(error as Error))).exception),
    );
  };
  /** Acts, however long that waits. */
  const done = async (act: Act): Promise<void> => {
    begin(act);
    await vi.waitFor(() => {
      clock.advance(WAIT);
      expect(ended).toEqual(['OK']);
    }, 5_000);
    ended = [];
  };
  await done(({ aliases }, targetKeyId) => aliases.createAlias({ aliasName: 'alias/a', targetKeyId }));
  /** What has ended by now, once it had time to do all but wait for leases. */
  const outcomes = async (): Promise<unknown[]> => {
    await new Promise((resolve) => setTimeout(resolve, 2 * WAIT));
    return ended;
  };
  return { clock, begin, done, outcomes, commits: () => commits };
}

const CALLS: readonly [what: string, before: readonly Act[], act: Act][] = [
  ['DisableKey', [], disable],
  ['ScheduleKeyDeletion', [], schedule],
  ['CancelKeyDeletion', [schedule], cancel],
  ['CreateAlias', [], createAlias],
  ['UpdateAlias', [], updateAlias],
  ['DeleteAlias', [], deleteAlias],
  ['PutKeyPolicy', [], putPolicy],
  ['TagResource', [], tag],
  ['UntagResource', [tag], untag],
  ['RetireKeyVersion', [rotate], retire],
];

describe('while replicas may act on what was before', () => {
  it.each(CALLS)('%s does not answer', async (_, before, act) => {
    const { clock, begin, done, outcomes, commits } = await start();
    for (const each of before) await done(each);
    const found = commits();
    begin(act);
    await vi.waitFor(() => expect(commits()).toBeGreaterThan(found), 5_000);
    expect(await outcomes()).toEqual([]);
    clock.advance(WAIT - 1);
    expect(await outcomes()).toEqual([]);
    clock.advance(1);
    await vi.waitFor(async () => expect(await outcomes()).toEqual(['OK']), 5_000);
  });

  it.each<[string, readonly Act[], Act, string]>([
    ['DisableKey', [], disable, 'OK'],
    ['ScheduleKeyDeletion', [], schedule, 'KMSInvalidStateException'],
    ['DeleteAlias', [], deleteAlias, 'NotFoundException'],
    ['PutKeyPolicy', [], putPolicy, 'OK'],
    ['TagResource', [], tag, 'OK'],
    ['UntagResource', [tag], untag, 'OK'],
    ['RetireKeyVersion', [rotate], retire, 'NotFoundException'],
  ])('%s does not answer the second time either', async (_, before, act, second) => {
    const { clock, begin, done, outcomes, commits } = await start();
    for (const each of before) await done(each);
    const found = commits();
    begin(act);
    await vi.waitFor(() => expect(commits()).toBeGreaterThan(found), 5_000);
    begin(act);
    expect(await outcomes()).toEqual([]);
    await vi.waitFor(async () => {
      clock.advance(WAIT);
      expect(await outcomes()).toHaveLength(2);
    }, 5_000);
    expect(await outcomes()).toEqual(expect.arrayContaining(['OK', second]));
  });
});
