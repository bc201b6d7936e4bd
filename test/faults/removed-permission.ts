import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { onTestFinished } from 'vitest';
import { allowTo, arnOf, clientsFor, GENERATE_MAC, LEFT_TO_ACCOUNT, macRequest, VERIFY_MAC } from '../grants/world.ts';
import { ACCOUNT, makeKey } from '../keys/fixture.ts';
import type { Clients } from '../support/clients.ts';
import type { Ports } from '../support/mac-connections.ts';
import { MacLoad } from '../support/mac-load.ts';

/** How many calls a caller has under way at each replica. */
const CALLS_AT_ONCE = 4;

/** A key, and a caller that may use it until that is taken away. */
export interface Permission {
  readonly keyId: string;
  readonly arn: string;
  /** Of the grant that allows it, if it is one. */
  readonly grantTokens: readonly string[];
  give(admin: Clients): Promise<unknown>;
  takeAway(admin: Clients): Promise<unknown>;
}

/** The ways in which a permission is taken away, by the rpc that does it. */
export const WAYS: Readonly<Record<string, (admin: Clients) => Promise<Permission>>> = {
  async RevokeGrant(first) {
    const { keyId, arn } = await makeKey(first);
    let grantId = '';
    const grantTokens: string[] = [];
    return {
      keyId,
      arn,
      grantTokens,
      async give({ grants }) {
        const made = await grants.createGrant({
          keyId,
          granteePrincipal: arnOf('orders'),
          operations: [GENERATE_MAC, VERIFY_MAC],
        });
        grantId = made.grantId;
        grantTokens.splice(0, 1, made.grantToken);
      },
      takeAway: ({ grants }) => grants.revokeGrant({ keyId, grantId }),
    };
  },
  async PutKeyPolicy(first) {
    const { keyId, arn } = await makeKey(first);
    const put = ({ keys }: Clients, ...Statement: object[]) =>
      keys.putKeyPolicy({ keyId, policy: JSON.stringify({ Version: '2012-10-17', Statement }) });
    return {
      keyId,
      arn,
      grantTokens: [],
      give: (admin) => put(admin, LEFT_TO_ACCOUNT, allowTo('orders', 'kms:*Mac')),
      takeAway: (admin) => put(admin, LEFT_TO_ACCOUNT),
    };
  },
  UntagResource: (first) => byTag(first, ({ keys }, keyId) => keys.untagResource({ keyId, tagKeys: ['use'] })),
  TagResource: (first) => byTag(first, ({ keys }, keyId) => keys.tagResource({ keyId, tags: [tag('none')] })),
  async DisableKey(first) {
    const { keyId, arn } = await makeKey(first);
    await first.grants.createGrant({
      keyId,
      granteePrincipal: arnOf('orders'),
      operations: [GENERATE_MAC, VERIFY_MAC],
    });
    return {
      keyId,
      arn,
      grantTokens: [],
      give: ({ keys }) => keys.enableKey({ keyId }),
      takeAway: ({ keys }) => keys.disableKey({ keyId }),
    };
  },
};

const tag = (tagValue: string) => ({ tagKey: 'use', tagValue });

/** A permission that a tag of the key gives, as the key policy has it. */
async function byTag(
  first: Clients,
  takeAway: (admin: Clients, keyId: string) => Promise<unknown>,
): Promise<Permission> {
  const { keyId, arn } = await makeKey(first);
  const Condition = { StringEquals: { 'aws:ResourceTag/Use': 'mac' } };
  const Statement = [LEFT_TO_ACCOUNT, { ...allowTo('orders', 'kms:*Mac'), Condition }];
  await first.keys.putKeyPolicy({ keyId, policy: JSON.stringify({ Version: '2012-10-17', Statement }) });
  return {
    keyId,
    arn,
    grantTokens: [],
    give: ({ keys }) => keys.tagResource({ keyId, tags: [tag('mac')] }),
    takeAway: (admin) => takeAway(admin, keyId),
  };
}

/** What was seen while permissions were taken away. */
export class Tally {
  calls = 0;
  rounds = 0;
  /** Calls that were allowed though they were sent after the answer, as sentences. */
  readonly late: string[] = [];
  /** What calls that were sent after the answer ended in, and how often. */
  readonly after = new Map<string, number>();
  /** From the commit to when the last call was sent that was allowed, in milliseconds. */
  readonly lags: number[] = [];

  /** The lag that a share of all are not above. */
  lag(share: number): number {
    const sorted = this.lags.toSorted((a, b) => a - b);
    return Math.round(sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0);
  }
}

/**
 * Gives a permission and takes it away, at least once, through each replica in turn from the first on, while its caller
 * makes calls to all of them all the time.
 *
 * @param store where the replicas' Redis is
 * @param ttl the key cache TTL of the replicas, in milliseconds
 * @param ended asked after each time
 */
export async function takeAwayAgainAndAgain(
  way: string,
  replicas: readonly Ports[],
  store: { host: string; port: number },
  ttl: number,
  tally: Tally,
  ended: () => boolean,
): Promise<void> {
  const redis = new Redis({ host: store.host, port: store.port });
  onTestFinished(() => redis.disconnect());
  const admins = replicas.map((replica) => clientsFor(replica, 'root').gRPC);
  const permission = await WAYS[way]!(admins[0]!);
  const { keyId, arn } = permission;
  const { mac } = await admins[0]!.mac.generateMac(macRequest(keyId));
  const calls = replicas.flatMap((replica, index) => {
    const caller = clientsFor(replica, 'orders').gRPC;
    return Array.from({ length: CALLS_AT_ONCE }, (_, n) => ({
      name: `${way}, replica ${index}, call ${n}`,
      make: () => {
        tally.calls++;
        const request = { ...macRequest(keyId), grantTokens: n % 2 === 0 ? [] : [...permission.grantTokens] };
        return n % 4 < 2 ? caller.mac.generateMac(request) : caller.mac.verifyMac({ ...request, mac });
      },
    }));
  });
  await permission.give(admins[0]!);
  await using load = new MacLoad(calls, 4);
  for (let round = 0; ; round++) {
    await load.until(({ keyArn }) => keyArn === arn);
    await delay((Math.random() * ttl) / 2);
    load.clear();
    await permission.takeAway(admins[round % admins.length]!);
    const answered = performance.now();
    await delay(ttl / 2);
    // Those of `late` tell it better.
    await load.until(({ keyArn }) => keyArn === undefined, 1_000).catch(() => {});
    const committed = await lastCommitOf(redis, keyId);
    const allowed = load.sentAfter(0).filter(({ keyArn }) => keyArn !== undefined);
    tally.rounds++;
    tally.lags.push(Math.max(0, ...allowed.map(({ sent }) => performance.timeOrigin + sent - committed)));
    for (const { name, sent, keyArn, exception } of load.sentAfter(answered)) {
      const outcome = exception ?? 'allowed';
      tally.after.set(outcome, (tally.after.get(outcome) ?? 0) + 1);
      if (keyArn !== undefined) tally.late.push(`${name}, sent ${(sent - answered).toFixed(1)} ms after the answer`);
    }
    if (ended()) return;
    await permission.give(admins[(round + 1) % admins.length]!);
  }
}

/** When something of a key was last changed, in milliseconds since 1970 by the clock of Redis, which is this machine's. */
async function lastCommitOf(redis: Redis, keyId: string): Promise<number> {
  const entries = await redis.xrevrange(`hmacd:{${ACCOUNT}}:log`, '+', '-', 'COUNT', 500);
  const [id] = entries.find(([, fields]) => fields.some((field) => field.includes(keyId)))!;
  return Number(id.split('-')[0]);
}
