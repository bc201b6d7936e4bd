import { type Deployment, DeploymentSchema, RootKeyObjectionSchema } from '../gen/hmacd/store/v1/records_pb.ts';
import { type DeploymentEntry, deploymentPath, sealAsAgreed } from './deployment-record.ts';
import { rootKeyObjections } from './deployment-watch.ts';
import { ConflictError } from './record-store.ts';
import { type Effect, type Records, removeRecord, replaceRecord } from './records.ts';
import type { RootKeySealer } from './sealer.ts';

/** How many objections are read or removed at once. */
const PAGE = 200;

/** Somebody else changed the root key at the same time. */
export class RootKeyChangedError extends Error {
  override readonly name = 'RootKeyChangedError';

  constructor() {
    super('the root key was changed by somebody else meanwhile; keep all root keys, and run this again');
  }
}

/**
 * Makes another root key the one under which all replicas of a deployment seal, while they serve.
 *
 * No replica seals under it before every replica can open what is sealed so: first they agree that every replica must have
 * it, and one that lacks it objects. Where this ended before its end, it is gone on with the next time.
 */
export class RootKeyChange {
  readonly #records: Records;
  readonly #sealer: RootKeySealer;
  readonly #accountId: string;
  readonly #path: string;
  readonly #rootKeyId: string;

  /**
   * @param records whose commits that take away answer when every replica has followed them, or has no lease
   * @param sealer of these records; it seals as the replicas do from now on
   * @param rootKeyId of the root key that is to seal, one of the sealer's
   */
  constructor(records: Records, sealer: RootKeySealer, accountId: string, rootKeyId: string) {
    this.#records = records;
    this.#sealer = sealer;
    this.#accountId = accountId;
    this.#path = deploymentPath({ accountId });
    this.#rootKeyId = rootKeyId;
    sealer.renew = async () => void (await this.agreed());
  }

  /**
   * Answers when nothing is sealed but under the root key.
   *
   * @throws Error with one sentence for the operator, when there are replicas that lack the root key; they go on as before
   * @throws RootKeyChangedError
   * @throws StoreUnavailableError
   */
  async begin(): Promise<void> {
    const { rootKeyId: former, otherRootKeyIds } = (await this.agreed()).message;
    if (former === this.#rootKeyId) return;
    await this.#removeObjections();
    // Also where it was announced before: replicas have to object anew. It answers when every replica has followed, or
    // objected, or has no lease.
    await this.#agreeOn('takes away', former, (others) => ({
      rootKeyId: former,
      otherRootKeyIds: [...others, this.#rootKeyId],
    }));
    const objections = await this.#objections();
    if (objections.length > 0) {
      if (!otherRootKeyIds.includes(this.#rootKeyId)) {
        await this.#agreeOn('adds', former, (others) => ({
          rootKeyId: former,
          otherRootKeyIds: others.filter((id) => id !== this.#rootKeyId),
        }));
      }
      await this.#removeObjections();
      throw new Error(
        `the root key ${this.#rootKeyId} is not in HMACD_ROOT_KEY_FILE of ${objections.join(', ')}; add it there, start these replicas anew, and run this again: nothing was sealed under it`,
      );
    }
    await this.#agreeOn('adds', former, (others) => {
      this.#sealer.sealUnder(this.#rootKeyId, this.#sealer.demand);
      return {
        rootKeyId: this.#rootKeyId,
        otherRootKeyIds: [...others, former].filter((id) => id !== this.#rootKeyId),
      };
    });
    await this.agreed();
  }

  /** What is agreed on now; throws an Error with one sentence for the operator when the sealer lacks a root key of it. */
  async agreed(): Promise<DeploymentEntry> {
    const found = await this.#records.get(DeploymentSchema, this.#path);
    if (found === undefined) throw new Error('the store no longer says what it was made for: it is damaged');
    sealAsAgreed(found, this.#sealer);
    return found;
  }

  /**
   * Lets replicas do without the root keys that sealed before, when no record is left under them.
   *
   * @param agreed what was agreed on before the records were looked at
   * @returns the IDs of those root keys
   * @throws RootKeyChangedError when something else was agreed on since
   */
  async end(agreed: DeploymentEntry): Promise<readonly string[]> {
    const { otherRootKeyIds } = agreed.message;
    const init = { ...agreed.message, otherRootKeyIds: [] };
    if (otherRootKeyIds.length === 0) return [];
    await this.#records.commit([replaceRecord(agreed, DeploymentSchema, init)], 'adds').catch((error: unknown) => {
      throw error instanceof ConflictError ? new RootKeyChangedError() : error;
    });
    return otherRootKeyIds;
  }

  async #agreeOn(
    effect: Effect,
    formerRootKeyId: string,
    change: (otherRootKeyIds: readonly string[]) => Pick<Deployment, 'rootKeyId' | 'otherRootKeyIds'>,
  ): Promise<void> {
    await this.#records.untilUncontended(async () => {
      const found = await this.agreed();
      if (found.message.rootKeyId !== formerRootKeyId) throw new RootKeyChangedError();
      const { rootKeyId, otherRootKeyIds } = change(found.message.otherRootKeyIds);
      const init = { ...found.message, rootKeyId, otherRootKeyIds: [...new Set(otherRootKeyIds)].toSorted() };
      await this.#records.commit([replaceRecord(found, DeploymentSchema, init)], effect);
    });
  }

  /** The replicas that lack the root key, as an operator knows them. */
  async #objections(): Promise<string[]> {
    const found = await this.#records.list(RootKeyObjectionSchema, rootKeyObjections(this.#accountId), '', PAGE);
    return found.flatMap(({ path, message }) => {
      if (message === undefined) return [`an unknown replica (the record at ${path} is damaged)`];
      return message.rootKeyIds.includes(this.#rootKeyId) ? [`process ${message.pid} on ${message.host}`] : [];
    });
  }

  async #removeObjections(): Promise<void> {
    await this.#records.untilUncontended(async () => {
      for (;;) {
        const found = await this.#records.listPaths(rootKeyObjections(this.#accountId), '', PAGE);
        if (found.length === 0) return;
        await this.#records.commit(found.map(removeRecord), 'adds');
      }
    });
  }
}
