import { randomBytes } from 'node:crypto';
import { describe, expect, inject, it } from 'vitest';
import type { Clients } from '../support/clients.ts';
import { redisDeployment, startReplica } from '../support/deployment.ts';
import { createImportedKey, type ImportedKey } from '../support/imported-key.ts';
import type { Answer, MacLoad } from '../support/mac-load.ts';
import { createNamedKey, type NamedKey, takeAwayUnderLoad, useKey } from './revocation.ts';

const TTL = 300;
const ROUNDS = 5;

const answeredBy =
  ({ arn }: Pick<NamedKey, 'arn'>) =>
  ({ keyArn }: Answer): boolean =>
    keyArn === arn;

async function startTwo() {
  const { settings } = redisDeployment({ KEY_CACHE_TTL: `${TTL}ms` });
  const one = await startReplica(settings);
  const other = await startReplica(settings);
  return { replicas: [one, other], clients: [one, other].map((replica) => replica.clients.gRPC) as [Clients, Clients] };
}

/**
 * Takes a key away, through one replica and the other in turn, and gives it back, again and again.
 *
 * @returns what the calls ended in that were sent after the answer to `takeAway`: exceptions, and the key's ARN if it
 *   still answered
 */
async function takeAwayAgainAndAgain(
  load: MacLoad,
  [one, other]: readonly [Clients, Clients],
  key: Pick<NamedKey, 'arn'>,
  takeAway: (clients: Clients) => Promise<unknown>,
  giveBack: (clients: Clients) => Promise<unknown>,
): Promise<unknown[]> {
  const outcomes = new Set<unknown>();
  for (let n = 0; n < ROUNDS; n++) {
    await load.until(answeredBy(key));
    const [first, second] = n % 2 === 0 ? [one, other] : [other, one];
    const { after } = await takeAwayUnderLoad(load, key.arn, () => takeAway(first), TTL);
    if (after.length < 20) throw new Error('there was no load to speak of');
    for (const { keyArn, exception } of after) outcomes.add(keyArn ?? exception);
    await giveBack(second);
  }
  return [...outcomes];
}

describe.skipIf(inject('redis') === undefined)('with two replicas on one Redis', { timeout: 60_000 }, () => {
  it('no MAC follows the answer to DisableKey', async () => {
    const { replicas, clients } = await startTwo();
    const key = await createNamedKey(clients[0], 'alias/used');
    await using load = useKey(replicas, [key.keyId, key.alias], key.mac);
    const outcomes = await takeAwayAgainAndAgain(
      load,
      clients,
      key,
      ({ keys }) => keys.disableKey({ keyId: key.keyId }),
      ({ keys }) => keys.enableKey({ keyId: key.keyId }),
    );
    expect(outcomes).toEqual(['DisabledException']);
  });

  it('no MAC follows the answer to ScheduleKeyDeletion', async () => {
    const { replicas, clients } = await startTwo();
    const key = await createNamedKey(clients[0], 'alias/used');
    await using load = useKey(replicas, [key.keyId, key.alias], key.mac);
    const outcomes = await takeAwayAgainAndAgain(
      load,
      clients,
      key,
      ({ keys }) => keys.scheduleKeyDeletion({ keyId: key.keyId, pendingWindowInDays: 7 }),
      async ({ keys }) => {
        await keys.cancelKeyDeletion({ keyId: key.keyId });
        await keys.enableKey({ keyId: key.keyId });
      },
    );
    expect(outcomes).toEqual(['KMSInvalidStateException']);
  });

  it.each<[string, (key: ImportedKey) => (clients: Clients) => Promise<unknown>]>([
    [
      'DeleteImportedKeyMaterial',
      ({ keyId }) =>
        ({ imports }) =>
          imports.deleteImportedKeyMaterial({ keyId }),
    ],
    ['ImportKeyMaterial that lets it end sooner', (key) => (clients) => key.importMaterial(clients, Date.now() + 50)],
  ])('no MAC with imported material follows the answer to %s', async (_operation, takeAway) => {
    const { replicas, clients } = await startTwo();
    const key = await createImportedKey(clients[0], randomBytes(32));
    await key.importMaterial(clients[0]);
    await using load = useKey(replicas, [key.keyId]);
    const outcomes = await takeAwayAgainAndAgain(load, clients, key, takeAway(key), key.importMaterial);
    expect(outcomes).toEqual(['KMSInvalidStateException']);
  });

  it('no MAC by an alias follows the answer to DeleteAlias', async () => {
    const { replicas, clients } = await startTwo();
    const key = await createNamedKey(clients[0], 'alias/used');
    await using load = useKey(replicas, [key.alias], key.mac);
    const outcomes = await takeAwayAgainAndAgain(
      load,
      clients,
      key,
      ({ aliases }) => aliases.deleteAlias({ aliasName: key.alias }),
      ({ aliases }) => aliases.createAlias({ aliasName: key.alias, targetKeyId: key.keyId }),
    );
    expect(outcomes).toEqual(['NotFoundException']);
  });

  it('no MAC of the old key by an alias follows the answer to UpdateAlias', async () => {
    const { replicas, clients } = await startTwo();
    const left = await createNamedKey(clients[0], 'alias/moved');
    const right = await createNamedKey(clients[0], 'alias/stays');
    await using load = useKey(replicas, [left.alias], left.mac, right.mac);
    for (let n = 0; n < ROUNDS; n++) {
      const [from, to] = n % 2 === 0 ? [left, right] : [right, left];
      // Of the two MACs that are verified, one is always the other key's.
      await load.until((answer) => answeredBy(from)(answer) || answer.exception === 'KMSInvalidMacException');
      const { aliases } = clients[(n >> 1) % 2]!;
      const move = () => aliases.updateAlias({ aliasName: left.alias, targetKeyId: to.keyId });
      const { after, late } = await takeAwayUnderLoad(load, from.arn, move, TTL);
      expect(late).toEqual([]);
      expect(after.filter(answeredBy(to)).length).toBeGreaterThan(20);
      expect(new Set(after.map(({ exception }) => exception))).toEqual(new Set([undefined, 'KMSInvalidMacException']));
    }
  });
});
