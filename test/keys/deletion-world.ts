import { ControlledStore } from '../records/controlled-store.ts';
import { FakeClock, type RunningService, startService } from '../support/running-service.ts';
import { ACCOUNT, deletionOf, makeKey, openSealerWithDamage, paths, storedKey } from './fixture.ts';

/** A service whose keys are destroyed only when the test says so, and its store, which seals nothing. */
export class DeletionWorld implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly store = new ControlledStore({ exclusive: true });
  readonly damaged = new Set<string>();
  readonly sealer = openSealerWithDamage(this.damaged);
  readonly failures: unknown[] = [];
  running!: RunningService;

  static async start(): Promise<DeletionWorld> {
    const world = new DeletionWorld();
    world.running = await startService({}, { clock: world.clock, store: world.store, sealer: world.sealer });
    return world;
  }

  get clients() {
    return this.running.clients.gRPC;
  }

  /** A key, pending deletion in 7 days, with two aliases, and as many more records under it. */
  async doomKey(more = 0): Promise<{ keyId: string; material: Uint8Array }> {
    const { keyId } = await makeKey(this.clients);
    for (const name of ['a', 'b']) {
      await this.clients.aliases.createAlias({ aliasName: `alias/${keyId}/${name}`, targetKeyId: keyId });
    }
    const put = Array.from({ length: more }, (_, index) => ({
      path: `${paths.under(keyId)}other/${index}`,
      version: crypto.randomUUID(),
      value: Buffer.from('of a kind that the worker does not know'),
    }));
    for (let at = 0; at < more; at += 500) {
      await this.store.commit({ expect: [], put: put.slice(at, at + 500), remove: [] });
    }
    const { material } = (await storedKey(this.store, keyId))!;
    await this.clients.keys.scheduleKeyDeletion({ keyId, pendingWindowInDays: 7 });
    return { keyId, material };
  }

  async sweep(): Promise<number> {
    const { deletion, failures } = deletionOf(this.store, this.clock, this.sealer);
    const destroyed = await deletion.sweep();
    this.failures.push(...failures);
    return destroyed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.running[Symbol.asyncDispose]();
    await this.store[Symbol.asyncDispose]();
  }
}

/** What is left when a key has been destroyed: its tombstone, and what is not its own. */
export const remains = (keyId: string): string[] => [
  `${ACCOUNT}/deployment`,
  paths.destroyedKey(keyId),
  `${ACCOUNT}/grant-token-key`,
];
