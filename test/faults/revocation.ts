import { setTimeout as delay } from 'node:timers/promises';
import { KeySpec, KeyUsage } from '../../src/gen/hmacd/v1/key_pb.ts';
import { MacAlgorithm } from '../../src/gen/hmacd/v1/mac_pb.ts';
import type { Clients } from '../support/clients.ts';
import { connectTo, generateMacs, MESSAGE, type Ports, verifyMacs } from '../support/mac-connections.ts';
import { type Answer, MacLoad } from '../support/mac-load.ts';

/** A key with an alias and a MAC. */
export interface NamedKey {
  readonly keyId: string;
  readonly arn: string;
  readonly alias: string;
  readonly mac: Uint8Array;
}

export async function createNamedKey({ keys, aliases, mac }: Clients, alias: string): Promise<NamedKey> {
  const { keyMetadata } = await keys.createKey({ keySpec: KeySpec.HMAC_256, keyUsage: KeyUsage.GENERATE_VERIFY_MAC });
  const { keyId, arn } = keyMetadata!;
  await aliases.createAlias({ aliasName: alias, targetKeyId: keyId });
  const made = await mac.generateMac({ keyId, macAlgorithm: MacAlgorithm.HMAC_SHA_256, message: MESSAGE });
  return { keyId, arn, alias, mac: made.mac };
}

/** Uses a key by these names, all the time, over several connections to each of some services. */
export function useKey(services: readonly Ports[], names: readonly string[], ...macs: Uint8Array[]): MacLoad {
  const connections = services.flatMap((ports, index) => connectTo(`replica ${index}`, ports));
  return new MacLoad([
    ...generateMacs(connections, ...names),
    ...macs.flatMap((mac) => verifyMacs(connections, mac, ...names)),
  ]);
}

/**
 * Takes a key away from calls that go on all the time, at a moment that has nothing to do with when replicas look at the
 * log.
 *
 * @param watchMs how long to look on afterwards
 * @returns the calls that were sent after the answer to `takeAway`: all, and those that the key still answered
 */
export async function takeAwayUnderLoad(
  load: MacLoad,
  keyArn: string,
  takeAway: () => Promise<unknown>,
  watchMs: number,
): Promise<{ after: readonly Answer[]; late: readonly Answer[] }> {
  await delay(Math.random() * watchMs);
  load.clear();
  await takeAway();
  const answered = performance.now();
  await delay(watchMs);
  await load.until((answer) => answer.keyArn !== keyArn, 1_000).catch(() => {}); // Those of `late` tell it better.
  const after = load.sentAfter(answered);
  return { after, late: after.filter((answer) => answer.keyArn === keyArn) };
}
