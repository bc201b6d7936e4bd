import { describe, expect, inject, it, onTestFinished } from 'vitest';
import type { Clock } from '../../src/clock.ts';
import { MacAlgorithm } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { KeyDeletion } from '../../src/keys/key-deletion.ts';
import type { Clients } from '../support/clients.ts';
import { redisDeployment, storeAt } from '../support/deployment.ts';
import { type MadeKey, makeManyKeys, MANY_TAGS, openRecords } from '../support/many-keys.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { startService } from '../support/running-service.ts';
import { makeKey } from './fixture.ts';

/** How many keys there are: enough for many pages, or what `HMACD_TEST_KEYS` says, such as AWS's quota of 100,000. */
const KEYS = Number(process.env['HMACD_TEST_KEYS'] ?? 3_000);
const PAGE = Math.max(30, Math.min(1_000, KEYS / 100));
/** How many keys end while a page is read. */
const ENDING = 3;
const HOUR = 3_600_000;
const SECOND = 1_000;

/** The machine's clock that nobody sets, and a wall clock that a test puts forward. */
class ForwardClock implements Clock {
  readonly start = Date.now();
  ahead = 0;

  now(): number {
    return this.start + this.ahead;
  }

  monotonic(): number {
    return performance.now();
  }
}

/** An account of that many keys on a Redis server of its own, all of which ends with the test. */
async function startWorld() {
  const server = await startRedisServer();
  onTestFinished(() => server.stop());
  const { settings, accountId } = redisDeployment({ QUOTA_KEYS: String(KEYS + 10_000) }, server);
  const clock = new ForwardClock();
  const running = await startService(settings, { clock });
  onTestFinished(() => running[Symbol.asyncDispose]());
  const opened = await openRecords(storeAt(server), accountId, settings['ROOT_KEY_FILE']!, clock);
  onTestFinished(() => opened[Symbol.asyncDispose]());
  const failures: unknown[] = [];
  const deletion = new KeyDeletion(
    opened.records,
    opened.paths,
    async () => {},
    clock,
    (error) => failures.push(error),
  );
  return { clock, opened, deletion, failures, clients: running.clients.gRPC };
}

/** The key IDs of the account, by pages; `meanwhile` begins before a page is asked for, and runs while it is read. */
async function walk({ keys }: Clients, meanwhile: (page: number) => Promise<void>): Promise<string[][]> {
  const pages: string[][] = [];
  for (let marker: string | undefined; ;) {
    const disturbance = meanwhile(pages.length);
    const answer = await keys.listKeys({ limit: PAGE, ...(marker !== undefined && { marker }) });
    await disturbance;
    pages.push(answer.keys.map(({ keyId }) => keyId));
    if (answer.nextMarker === undefined) return pages;
    marker = answer.nextMarker;
  }
}

async function aliasNamesOf({ aliases }: Clients): Promise<string[]> {
  const listed: string[] = [];
  for (let marker: string | undefined; ;) {
    const answer = await aliases.listAliases({ limit: 100, ...(marker !== undefined && { marker }) });
    listed.push(...answer.aliases.map(({ aliasName }) => aliasName));
    if (answer.nextMarker === undefined) return listed;
    marker = answer.nextMarker;
  }
}

const idsOf = (made: readonly MadeKey[]): string[] => made.map(({ keyId }) => keyId);

describe.skipIf(inject('redis') === undefined)(`an account of ${KEYS} keys on Redis`, () => {
  it(
    'lists every key that is there throughout once, while others are made and destroyed',
    { timeout: 300_000 },
    async () => {
      const { clock, opened, deletion, failures, clients } = await startWorld();
      // From an hour on, every second ends a key, anywhere in the list: ten before the walk begins.
      const ending = Math.min(Math.floor(KEYS / 4), 1_000);
      const endOf = (n: number) => clock.start + HOUR + n * SECOND;
      const doomed = await makeManyKeys(opened, ending, endOf);
      const lasting = await makeManyKeys(opened, KEYS - ending, () => undefined, ending);
      const begin = HOUR + 9 * SECOND;
      clock.ahead = begin;
      const made: string[] = [];
      let destroyed = 0;
      const pages = await walk(clients, async (page) => {
        clock.ahead = begin + (page + 1) * ENDING * SECOND;
        for (let n = 0; n < 2; n++) made.push((await makeKey(clients)).keyId);
        // Seldom enough that most pages are read while keys that have ended are still there.
        if (page % 10 === 9) destroyed += await deletion.sweep();
      });
      const listed = pages.flat();
      expect(failures).toEqual([]);
      expect(listed.length).toBeGreaterThanOrEqual(lasting.length);
      expect(new Set(listed).size).toBe(listed.length);
      expect(listed).toEqual(listed.toSorted());
      const found = new Set(listed);
      expect(idsOf(lasting).filter((keyId) => !found.has(keyId))).toEqual([]);
      const listedTooLate = pages.flatMap((page, n) => {
        const ended = new Set(idsOf(doomed.slice(0, 10 + (n + 1) * ENDING)));
        return page.filter((keyId) => ended.has(keyId));
      });
      expect(listedTooLate).toEqual([]);
      const known = new Set([...idsOf(lasting), ...idsOf(doomed), ...made]);
      expect(listed.filter((keyId) => !known.has(keyId))).toEqual([]);
      // Both has happened, before, behind and at the place that the walk had come to.
      expect(destroyed).toBeGreaterThan(50);
      expect(made.length).toBeGreaterThan(50);

      // What is left is listed, and what is not is not; it is there with its alias and its tags, and makes MACs.
      const swept = new Set((await walk(clients, async () => {})).flat().filter((keyId) => !made.includes(keyId)));
      const left = [...doomed, ...lasting].filter(({ keyId }) => swept.has(keyId));
      expect(left.length).toBe(swept.size);
      expect(await aliasNamesOf(clients)).toEqual(left.map(({ aliasName }) => aliasName));
      for (const { keyId, aliasName } of [lasting[0]!, lasting[Math.floor(lasting.length / 2)]!, lasting.at(-1)!]) {
        expect((await clients.keys.describeKey({ keyId: aliasName })).keyMetadata?.keyId).toBe(keyId);
        expect((await clients.keys.listResourceTags({ keyId })).tags).toEqual(MANY_TAGS);
        const request = { keyId: aliasName, macAlgorithm: MacAlgorithm.HMAC_SHA_256, message: Buffer.from('m') };
        expect((await clients.mac.generateMac(request)).keyId).toContain(keyId);
      }
    },
  );
});
