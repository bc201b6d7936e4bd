import { DeploymentSchema, RootKeyObjectionSchema } from '../gen/hmacd/store/v1/records_pb.ts';
import { type DeploymentEntry, deploymentPath, sealAsAgreed } from './deployment-record.ts';
import { rootKeyObjections } from './deployment-watch.ts';
import { ConflictError } from './record-store.ts';
import { type Change, type DamagedEntry, type Entry, type Records, removeRecord, replaceRecord } from './records.ts';
import type { RootKeySealer } from './sealer.ts';

/** How many replicas can object that are read at once, and removed in one commit. */
const MOST_OBJECTIONS = 200;

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
    const { message: before } = await this.agreed();
    if (before.rootKeyId === this.#rootKeyId) return;
    const announced = await this.#announce(before.rootKeyId);
    // Every replica has followed it then, or has objected, or has no lease.
    await this.#records.settled();
    const lacking = (await this.#objections()).flatMap((objection) => this.#lackingReplica(objection));
    if (lacking.length > 0) {
      const wasDemanded = before.otherRootKeyIds.includes(this.#rootKeyId);
      await this.#withdraw(announced, wasDemanded);
      const until = wasDemanded ? '; until this has ended, a replica without it does not start' : '';
      throw new Error(
        `the root key ${this.#rootKeyId} is not in HMACD_ROOT_KEY_FILE of ${lacking.join(', ')}; add it there, start these replicas anew, and run this again: nothing was sealed under it${until}`,
      );
    }
    this.#sealer.sealUnder(this.#rootKeyId, announced);
    const { rootKeyId, otherRootKeyIds } = announced.message;
    await this.#unlessChanged([
      this.#replacement(announced, this.#rootKeyId, [...this.#without(otherRootKeyIds), rootKeyId]),
    ]);
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
   * @throws RootKeyChangedError when something else was agreed on since
   */
  async end(agreed: DeploymentEntry): Promise<void> {
    await this.#unlessChanged([this.#replacement(agreed, this.#rootKeyId, [])]);
  }

  /**
   * Demands of every replica to have the root key. What replicas objected to before goes with it: they have to object anew,
   * and whoever else announces something at the same time makes it another announcement.
   */
  async #announce(formerRootKeyId: string): Promise<DeploymentEntry> {
    await this.#records.untilUncontended(async () => {
      const found = await this.agreed();
      const { rootKeyId, otherRootKeyIds } = found.message;
      if (rootKeyId !== formerRootKeyId) throw new RootKeyChangedError();
      const announcement = this.#replacement(found, rootKeyId, [...this.#without(otherRootKeyIds), this.#rootKeyId]);
      await this.#records.commit([announcement, ...(await this.#objections()).map(removeRecord)], 'adds');
    });
    const announced = await this.agreed();
    const { rootKeyId, otherRootKeyIds } = announced.message;
    if (rootKeyId !== formerRootKeyId || !otherRootKeyIds.includes(this.#rootKeyId)) throw new RootKeyChangedError();
    return announced;
  }

  /** Takes an announcement back, unless the root key was demanded before: there may be records under it. */
  async #withdraw(announced: DeploymentEntry, wasDemanded: boolean): Promise<void> {
    const { rootKeyId, otherRootKeyIds } = announced.message;
    const others = wasDemanded ? otherRootKeyIds : this.#without(otherRootKeyIds);
    await this.#records.untilUncontended(async () => {
      const objections = await this.#objections();
      await this.#unlessChanged([this.#replacement(announced, rootKeyId, others), ...objections.map(removeRecord)]);
    });
  }

  /** Commits changes, one of them of what is agreed on, as it was found. */
  async #unlessChanged(changes: readonly Change[]): Promise<void> {
    try {
      await this.#records.commit(changes, 'adds');
    } catch (error) {
      throw error instanceof ConflictError && error.path === this.#path ? new RootKeyChangedError() : error;
    }
  }

  #replacement(found: DeploymentEntry, rootKeyId: string, otherRootKeyIds: readonly string[]): Change {
    const init = { ...found.message, rootKeyId, otherRootKeyIds: otherRootKeyIds.toSorted() };
    return replaceRecord(found, DeploymentSchema, init);
  }

  #without(rootKeyIds: readonly string[]): string[] {
    return rootKeyIds.filter((id) => id !== this.#rootKeyId);
  }

  async #objections(): Promise<(Entry<typeof RootKeyObjectionSchema> | DamagedEntry)[]> {
    return await this.#records.list(RootKeyObjectionSchema, rootKeyObjections(this.#accountId), '', MOST_OBJECTIONS);
  }

  /** The replica that lacks the root key, as an operator knows it; none when it objects to another root key. */
  #lackingReplica({ path, message }: Entry<typeof RootKeyObjectionSchema> | DamagedEntry): string[] {
    if (message === undefined) return [`an unknown replica (the record at ${path} is damaged)`];
    return message.rootKeyIds.includes(this.#rootKeyId) ? [`process ${message.pid} on ${message.host}`] : [];
  }
}
