import { GrantOperation } from '../../src/gen/hmacd/v1/grant_pb.ts';
import { KeySpec, KeyUsage } from '../../src/gen/hmacd/v1/key_pb.ts';
import { MacAlgorithm } from '../../src/gen/hmacd/v1/mac_pb.ts';
import type { Clients } from './clients.ts';

const message = Buffer.from('a message');
const macAlgorithm = MacAlgorithm.HMAC_SHA_256;

/** A MAC that was made before a backup. */
export interface MadeMac {
  readonly keyId: string;
  readonly mac: Uint8Array;
}

/** Makes keys with all that keys have, and a MAC with each that can make one. */
export async function makeEverything({ keys, aliases, grants, mac }: Clients, accountId: string): Promise<MadeMac[]> {
  const made: MadeMac[] = [];
  for (let n = 0; n < 6; n++) {
    const { keyMetadata } = await keys.createKey({
      keySpec: KeySpec.HMAC_256,
      keyUsage: KeyUsage.GENERATE_VERIFY_MAC,
      description: `key ${n}`,
      tags: [{ tagKey: 'number', tagValue: String(n) }],
    });
    const { keyId } = keyMetadata!;
    made.push({ keyId, mac: (await mac.generateMac({ keyId, message, macAlgorithm })).mac });
    await aliases.createAlias({ aliasName: `alias/number-${n}`, targetKeyId: keyId });
    const Principal = { AWS: `arn:aws:iam::${accountId}:root` };
    const Statement = [{ Sid: `s${n}`, Effect: 'Allow', Principal, Action: 'kms:*', Resource: '*' }];
    await keys.putKeyPolicy({ keyId, policy: JSON.stringify({ Version: '2012-10-17', Statement }) });
    await grants.createGrant({
      keyId,
      granteePrincipal: `arn:aws:iam::${accountId}:role/number-${n}`,
      retiringPrincipal: `arn:aws:iam::${accountId}:role/retiring`,
      operations: [GrantOperation.VERIFY_MAC],
      name: `grant-${n}`,
    });
  }
  await keys.disableKey({ keyId: made[4]!.keyId });
  await keys.scheduleKeyDeletion({ keyId: made[5]!.keyId, pendingWindowInDays: 7 });
  return made.slice(0, 4);
}

/** All that the service tells of its keys. */
export async function tellEverything({ keys, aliases, grants }: Clients): Promise<unknown[]> {
  const { keys: listed } = await keys.listKeys({ limit: 1_000 });
  const everything: unknown[] = [(await aliases.listAliases({ limit: 100 })).aliases];
  for (const { keyId } of listed) {
    everything.push(
      (await keys.describeKey({ keyId })).keyMetadata,
      (await keys.getKeyPolicy({ keyId })).policy,
      (await keys.listResourceTags({ keyId })).tags,
      (await grants.listGrants({ keyId, limit: 100 })).grants,
    );
  }
  return everything;
}

/** Verifies MACs; throws where one is not right. */
export async function verifyAll({ mac }: Clients, made: readonly MadeMac[]): Promise<void> {
  for (const one of made) await mac.verifyMac({ ...one, message, macAlgorithm });
}
