import { type Deployment, DeploymentSchema, RootKeyObjectionSchema } from '../gen/hmacd/store/v1/records_pb.ts';
import { deploymentPath, sealAsAgreed } from './deployment-record.ts';
import { rootKeyObjections } from './deployment-watch.ts';
import { type Entry, type Records, removeRecord, replaceRecord } from './records.ts';
import type { RootKeySealer } from './sealer.ts';

/** How many objections are read or removed at once. */
const PAGE = 200;

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
  }

  /**
   * Answers when every replica seals under the root key.
   *
   * @param formerRootKeyId of the root key that seals where nothing was agreed on
   * @throws Error with one sentence for the operator, when there are replicas that lack the root key; they go on as before
   * @throws StoreUnavailableError
   */
  async begin(formerRootKeyId: string): Promise<void> {
    this.#sealer.sealUnder(formerRootKeyId);
    const { rootKeyId, otherRootKeyIds } = (await this.agreed()).message;
    if (rootKeyId === this.#rootKeyId) {
      // It may have become so only a moment ago.
      await this.#records.settled();
      return;
    }
    const former = rootKeyId === '' ? formerRootKeyId : rootKeyId;
    await this.#removeObjections();
    // Also where it was announced before: replicas have to object anew.
    await this.#agreeOn((others) => ({ rootKeyId: former, otherRootKeyIds: [...others, this.#rootKeyId] }));
    const objections = await this.#objections();
    if (objections.length > 0) {
      if (!otherRootKeyIds.includes(this.#rootKeyId)) {
        await this.#agreeOn((others) => ({
          rootKeyId: former,
          otherRootKeyIds: others.filter((id) => id !== this.#rootKeyId),
        }));
      }
      await this.#removeObjections();
      throw new Error(
        `the root key ${this.#rootKeyId} is not in HMACD_ROOT_KEY_FILE of ${objections.join(', ')}; add it there, start these replicas anew, and run this again: nothing was sealed under it`,
      );
    }
    await this.#agreeOn((others) => {
      this.#sealer.sealUnder(this.#rootKeyId);
      return {
        rootKeyId: this.#rootKeyId,
        otherRootKeyIds: [...others, former].filter((id) => id !== this.#rootKeyId),
      };
    });
  }

  /** What is agreed on now; throws an Error with one sentence for the operator when the sealer lacks a root key of it. */
  async agreed(): Promise<Entry<typeof DeploymentSchema>> {
    const found = await this.#records.get(DeploymentSchema, this.#path);
    if (found === undefined) throw new Error('the store no longer says what it was made for: it is damaged');
    sealAsAgreed(found.message, this.#sealer);
    return found;
  }

  /**
   * Lets replicas do without the root keys that sealed before, when no record is left under them.
   *
   * @param agreed what was agreed on before the records were looked at
   * @returns the IDs of those root keys
   * @throws ConflictError when something else was agreed on since
   */
  async end(agreed: Entry<typeof DeploymentSchema>): Promise<readonly string[]> {
    const { otherRootKeyIds } = agreed.message;
    const init = { ...agreed.message, otherRootKeyIds: [] };
    if (otherRootKeyIds.length > 0) await this.#records.commit([replaceRecord(agreed, DeploymentSchema, init)], 'adds');
    return otherRootKeyIds;
  }

  /** Answers when every replica has followed, or objected, or has no lease. */
  async #agreeOn(
    change: (otherRootKeyIds: readonly string[]) => Pick<Deployment, 'rootKeyId' | 'otherRootKeyIds'>,
  ): Promise<void> {
    await this.#records.untilUncontended(async () => {
      const found = await this.agreed();
      const { rootKeyId, otherRootKeyIds } = change(found.message.otherRootKeyIds);
      const init = { ...found.message, rootKeyId, otherRootKeyIds: [...new Set(otherRootKeyIds)].toSorted() };
      await this.#records.commit([replaceRecord(found, DeploymentSchema, init)], 'takes away');
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
