import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { RootKeyObjectionSchema } from '../gen/hmacd/store/v1/records_pb.ts';
import type { ChangeListener } from './change-follower.ts';
import {
  type Agreement,
  confirmDeployment,
  deploymentPath,
  type DeploymentEntry,
  lackingRootKeyIds,
  sealUnderItsRootKey,
} from './deployment-record.ts';
import { ConflictError, StoreUnavailableError } from './record-store.ts';
import { putRecord, type Records } from './records.ts';
import type { RootKeySealer } from './sealer.ts';

/** Where the replicas of an account object to a root key that they lack. */
export function rootKeyObjections(accountId: string): string {
  return `${accountId}/root-key-objection/`;
}

/**
 * Keeps a replica to what the deployment has agreed on, also when that is changed while the replica serves. A replica
 * has no new lease before it has followed the change, or has objected to a root key that it lacks: so whoever waits for
 * a lease's length after a change knows who does not follow.
 */
export class DeploymentWatch implements ChangeListener {
  readonly #records: Records;
  readonly #agreement: Agreement;
  readonly #sealer: RootKeySealer | undefined;
  readonly #onDisagreement: (sentence: string) => void;
  readonly #path: string;
  readonly #objectionPath: string;

  /**
   * @param sealer made to seal under the root key of the deployment; `undefined` where no root key seals
   * @param onDisagreement told that the replica must not go on, with a sentence for the operator
   */
  constructor(
    records: Records,
    agreement: Agreement,
    sealer: RootKeySealer | undefined,
    onDisagreement: (sentence: string) => void,
  ) {
    this.#records = records;
    this.#agreement = agreement;
    this.#sealer = sealer;
    this.#onDisagreement = onDisagreement;
    this.#path = deploymentPath(agreement.deployment);
    if (sealer !== undefined) sealer.renew = async () => void (await this.#confirm());
    this.#objectionPath = `${rootKeyObjections(agreement.deployment.accountId)}${randomUUID()}`;
  }

  forget(): void {
    // It remembers nothing.
  }

  async forgetAll(): Promise<void> {
    await this.#follow();
  }

  async confirm(paths: readonly string[]): Promise<void> {
    if (paths.includes(this.#path)) await this.#follow();
  }

  async #follow(): Promise<void> {
    const deployment = await this.#confirm();
    if (this.#sealer === undefined) return;
    const lacking = lackingRootKeyIds(deployment.message, this.#sealer.rootKeyIds);
    if (lacking.length > 0) await this.#object(lacking);
  }

  /** Reads what is agreed on, and seals so. */
  async #confirm(): Promise<DeploymentEntry> {
    try {
      const deployment = await confirmDeployment(this.#records, this.#agreement, this.#sealer?.rootKeyIds ?? []);
      if (this.#sealer !== undefined) sealUnderItsRootKey(deployment, this.#sealer);
      return deployment;
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) this.#onDisagreement((error as Error).message);
      throw error;
    }
  }

  async #object(rootKeyIds: readonly string[]): Promise<void> {
    const init = { host: hostname(), pid: process.pid, rootKeyIds: [...rootKeyIds] };
    const [found] = await this.#records.findPaths([this.#objectionPath]);
    try {
      await this.#records.commit([putRecord(this.#objectionPath, found, RootKeyObjectionSchema, init)], 'adds');
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
      // Whoever has the turn to try again may be waiting for this poll: the next one objects.
      throw new StoreUnavailableError('another root key was announced meanwhile', { cause: error });
    }
  }
}
