import { describe, expect, inject, it, onTestFinished } from 'vitest';
import {
  arnOf,
  clientsFor,
  DESCRIBE_KEY,
  GENERATE_MAC,
  macRequest,
  outcomeOf,
  writePrincipals,
} from '../grants/world.ts';
import { ACCOUNT, makeKey } from '../keys/fixture.ts';
import { redisDeployment, startReplica } from '../support/deployment.ts';
import { startRedisServer } from '../support/redis-server.ts';

const TIMES = 1_000;
const LANES = 10;

/** Two replicas that look at the log once a second, and on which a grant counts without a token only after the test. */
async function startTwo() {
  const server = await startRedisServer();
  onTestFinished(() => server.stop());
  const settings = {
    ACCOUNT_ID: ACCOUNT,
    PRINCIPALS_FILE: writePrincipals(),
    KEY_CACHE_TTL: '10s',
    GRANT_DELAY: '1h',
  };
  const deployment = redisDeployment(settings, server);
  const replicas = [await startReplica(deployment.settings), await startReplica(deployment.settings)];
  return replicas.map((replica) => ({
    root: clientsFor(replica, 'root').gRPC,
    orders: clientsFor(replica, 'orders').gRPC,
  }));
}

describe.skipIf(inject('redis') === undefined)('with two replicas on one Redis', { timeout: 120_000 }, () => {
  it('a grant token works at once on the one that has not seen the grant', async () => {
    const replicas = await startTwo();
    const operations = [GENERATE_MAC, DESCRIBE_KEY];
    const outcomes = new Map<string, number>();
    const lanes = Array.from({ length: LANES }, async (_, lane) => {
      const { keyId } = await makeKey(replicas[0]!.root);
      for (let n = 0; n < TIMES / LANES; n++) {
        const maker = replicas[(lane + n) % 2]!;
        const { mac, keys } = replicas[(lane + n + 1) % 2]!.orders;
        const { grantToken } = await maker.root.grants.createGrant({
          keyId,
          granteePrincipal: arnOf('orders'),
          operations,
        });
        const call = (grantTokens: string[]) =>
          n % 4 === 3
            ? keys.describeKey({ keyId, grantTokens })
            : mac.generateMac({ ...macRequest(keyId), grantTokens });
        const without = await outcomeOf(call([]));
        const outcome = `${without}, then ${await outcomeOf(call([grantToken]))}`;
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
    });
    await Promise.all(lanes);
    expect([...outcomes]).toEqual([['AccessDeniedException, then OK', TIMES]]);
  });
});
