import { expect } from 'vitest';
import { KeySpec, KeyState, KeyUsage } from '../../src/gen/hmacd/v1/key_pb.ts';
import { MacAlgorithm } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { type Clients, failureOf } from '../support/clients.ts';
import { MESSAGE } from '../support/mac-connections.ts';

/** What a service has acknowledged of a key. Whether it did what it was asked for and has not answered is not known. */
export interface KeptKey {
  readonly keyId: string;
  /** `undefined` before the key was used. */
  mac?: Uint8Array;
  alias?: string;
  /** `asked` when it was asked for, and not acknowledged. */
  disabled?: true | 'asked';
}

const macAlgorithm = MacAlgorithm.HMAC_SHA_256;

/** Makes keys with aliases, uses them and disables some, until the service fails or the moment comes. */
export async function createEndlessly(
  { keys, aliases, mac }: Clients,
  writer: number,
  moment: Promise<unknown>,
): Promise<KeptKey[]> {
  const kept: KeptKey[] = [];
  const over = new AbortController();
  void moment.then(() => over.abort());
  try {
    while (!over.signal.aborted) {
      const made = await keys.createKey({ keySpec: KeySpec.HMAC_256, keyUsage: KeyUsage.GENERATE_VERIFY_MAC });
      const key: KeptKey = { keyId: made.keyMetadata!.keyId };
      kept.push(key);
      key.mac = (await mac.generateMac({ keyId: key.keyId, macAlgorithm, message: MESSAGE })).mac;
      const aliasName = `alias/${writer}-${key.keyId}`;
      await aliases.createAlias({ aliasName, targetKeyId: key.keyId });
      key.alias = aliasName;
      if (kept.length % 2 === 0) continue;
      key.disabled = 'asked';
      await keys.disableKey({ keyId: key.keyId });
      key.disabled = true;
    }
  } catch (error) {
    // Whatever is under way fails when the service is killed, or its store.
    await failureOf(Promise.reject(error));
  }
  await moment;
  return kept;
}

/** Demands that a service knows all that was acknowledged, and makes the same MACs. */
export async function expectKept(clients: Clients, kept: readonly KeptKey[]): Promise<void> {
  for (let from = 0; from < kept.length; from += 20) {
    await Promise.all(kept.slice(from, from + 20).map((key) => expectKey(clients, key)));
  }
}

async function expectKey({ keys, mac }: Clients, key: KeptKey): Promise<void> {
  for (const name of [key.keyId, key.alias]) {
    if (name === undefined) continue;
    const { keyMetadata } = await keys.describeKey({ keyId: name });
    expect(keyMetadata!.keyId).toBe(key.keyId);
    if (key.disabled === true) expect(keyMetadata!.keyState).toBe(KeyState.DISABLED);
    if (key.disabled === undefined) expect(keyMetadata!.keyState).toBe(KeyState.ENABLED);
    const generated = mac.generateMac({ keyId: name, macAlgorithm, message: MESSAGE });
    if (keyMetadata!.keyState === KeyState.ENABLED) {
      if (key.mac !== undefined) expect((await generated).mac).toEqual(key.mac);
      else await generated;
    } else {
      expect(await failureOf(generated)).toMatchObject({ exception: 'DisabledException' });
    }
  }
}
