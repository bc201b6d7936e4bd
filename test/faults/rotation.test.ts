import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { KeySpec, KeyUsage } from '../../src/gen/hmacd/v1/key_pb.ts';
import { macRequest, openSealer } from '../keys/fixture.ts';
import { ControlledStore } from '../records/controlled-store.ts';
import { type Clients, failureOf } from '../support/clients.ts';
import { redisDeployment, startReplica } from '../support/deployment.ts';
import { startService } from '../support/running-service.ts';

interface Tag {
  readonly message: Buffer;
  readonly mac: Uint8Array;
  readonly version: number;
}

/** A key with versions and all MACs that were ever made by it, by any replica. */
class Rotated {
  readonly tags: Tag[] = [];
  readonly failures: string[] = [];
  verified = 0;
  #stopped = false;
  readonly #replicas: readonly Clients[];
  readonly #keyId: string;

  constructor(replicas: readonly Clients[], keyId: string) {
    this.#replicas = replicas;
    this.#keyId = keyId;
  }

  /** Makes MACs by one replica and verifies any of them by another, until it is stopped. */
  async load(): Promise<void> {
    while (!this.#stopped) {
      const message = Buffer.from(`message ${this.tags.length} ${Math.random()}`);
      try {
        const made = await this.#any().mac.generateMac({ ...macRequest(this.#keyId), message });
        this.tags.push({ message, mac: made.mac, version: made.keyVersion });
        for (const tag of [this.tags.at(-1)!, this.tags[Math.floor(Math.random() * this.tags.length)]!]) {
          const { keyVersion } = await this.verify(tag);
          if (keyVersion !== tag.version) this.failures.push(`a MAC of ${tag.version} is of ${keyVersion}`);
          this.verified++;
        }
      } catch (error) {
        this.failures.push(String(error));
      }
      await delay(20);
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  verify({ message, mac }: Tag) {
    return this.#any().mac.verifyMac({ ...macRequest(this.#keyId), message, mac });
  }

  #any(): Clients {
    return this.#replicas[Math.floor(Math.random() * this.#replicas.length)]!;
  }
}

/** Rotates a key under load, and retires versions of it; answers what failed of the load. */
async function rotateUnderLoad(replicas: readonly Clients[], rotations: number): Promise<readonly string[]> {
  const [first] = replicas as [Clients];
  const made = await first.keys.createKey({
    keySpec: KeySpec.HMAC_256,
    keyUsage: KeyUsage.GENERATE_VERIFY_MAC,
    rotationEnabled: true,
  });
  const { keyId } = made.keyMetadata!;
  const rotated = new Rotated(replicas, keyId);
  const load = Promise.all(Array.from({ length: 8 }, () => rotated.load()));
  for (let n = 1; n <= rotations; n++) {
    const rotator = replicas[n % replicas.length]!;
    expect((await rotator.rotation.rotateKeyOnDemand({ keyId })).keyVersion).toBe(n + 1);
    // What is made from now on is of the new version, by every replica.
    for (const { mac } of replicas) expect((await mac.generateMac(macRequest(keyId))).keyVersion).toBe(n + 1);
  }
  rotated.stop();
  await load;
  console.log(`${rotated.tags.length} MACs by ${rotations + 1} versions, verified ${rotated.verified} times`);
  expect(new Set(rotated.tags.map(({ version }) => version)).size).toBe(rotations + 1);
  for (const tag of rotated.tags) expect((await rotated.verify(tag)).keyVersion).toBe(tag.version);
  // Each version until it is retired, and never after.
  for (let version = 1; version <= rotations; version += 7) {
    const own = rotated.tags.filter((tag) => tag.version === version);
    for (const tag of own.slice(0, 20)) await rotated.verify(tag);
    await first.rotation.retireKeyVersion({ keyId, keyVersion: version });
    for (const tag of own) expect((await failureOf(rotated.verify(tag))).exception).toBe('KMSInvalidMacException');
    const others = rotated.tags.filter((tag) => tag.version > version);
    for (const tag of others.slice(-20)) await rotated.verify(tag);
  }
  return rotated.failures;
}

it('20 rotations under load fail no call, with two replicas on one SQLite store', { timeout: 120_000 }, async () => {
  const store = new ControlledStore();
  onTestFinished(() => store[Symbol.asyncDispose]());
  const start = () => startService({ KEY_CACHE_TTL: '100ms' }, { store, sealer: openSealer });
  const replicas = [await start(), await start()];
  for (const replica of replicas) onTestFinished(() => replica[Symbol.asyncDispose]());
  expect(
    await rotateUnderLoad(
      replicas.map(({ clients }) => clients.gRPC),
      20,
    ),
  ).toEqual([]);
});

describe.skipIf(inject('redis') === undefined)('on Redis', () => {
  it('50 rotations under load fail no call, with three replicas', { timeout: 120_000 }, async () => {
    const { settings } = redisDeployment({ KEY_CACHE_TTL: '250ms' });
    const replicas = [await startReplica(settings), await startReplica(settings), await startReplica(settings)];
    expect(
      await rotateUnderLoad(
        replicas.map(({ clients }) => clients.gRPC),
        50,
      ),
    ).toEqual([]);
  });
});
