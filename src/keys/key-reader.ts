import { aliasArn, type Deployment, keyArn } from '../arn.ts';
import { foreignAccountDenied } from '../access/authorizer.ts';
import type { Call } from '../access/call.ts';
import type { Clock } from '../clock.ts';
import { KmsError } from '../errors.ts';
import { AliasSchema, KeySchema } from '../gen/hmacd/store/v1/records_pb.ts';
import type { Entry, Records } from '../records/records.ts';
import { aliasIn } from './alias.ts';
import { isAliasName } from './alias-name.ts';
import { exists } from './key.ts';
import type { KeyPaths } from './key-paths.ts';
import { aliasNotFound, keyNotFound, parseKeyReference } from './key-reference.ts';

/** How many ended keys are looked up at once. */
const ENDED_PAGE = 50;

/** A key's record. */
export type KeyEntry = Entry<typeof KeySchema>;

/** Finds keys in the store, for the operations that manage them. */
export class KeyReader {
  readonly #records: Records;
  readonly #deployment: Deployment;
  readonly #paths: KeyPaths;
  readonly #clock: Clock;

  constructor(records: Records, deployment: Deployment, paths: KeyPaths, clock: Clock) {
    this.#records = records;
    this.#deployment = deployment;
    this.#paths = paths;
    this.#clock = clock;
  }

  /**
   * The key that a key ID or key ARN names; the call is about it from then on.
   *
   * @throws KmsError InvalidArnException for an alias, NotFoundException, AccessDeniedException for another account's
   */
  async byId(reference: string, call: Call): Promise<KeyEntry> {
    const parsed = parseKeyReference(reference, this.#deployment);
    if (parsed.kind === 'foreign') throw foreignAccountDenied(call);
    if (parsed.kind === 'alias') {
      throw new KmsError('InvalidArnException', 'Key Aliases are not supported for this operation.');
    }
    return await this.#read(parsed.keyId, call, () => keyNotFound(this.#deployment, parsed.keyId));
  }

  /** The key that a key ID, key ARN, alias name or alias ARN names; otherwise like `byId`. */
  async byAnyName(reference: string, call: Call): Promise<KeyEntry> {
    const parsed = parseKeyReference(reference, this.#deployment);
    if (parsed.kind !== 'alias') return await this.byId(reference, call);
    const notFound = () => aliasNotFound(aliasArn(this.#deployment, parsed.aliasName));
    if (!isAliasName(parsed.aliasName)) throw notFound();
    const alias = aliasIn(await this.#records.get(AliasSchema, this.#paths.alias(parsed.aliasName)));
    if (alias === undefined) throw notFound();
    return await this.#read(alias.message.targetKeyId, call, notFound);
  }

  /**
   * The key IDs of the keys that are no more, and whose records and aliases are still to be swept away: mostly none. A
   * list leaves them out.
   */
  async ended(): Promise<ReadonlySet<string>> {
    const keyIds = new Set<string>();
    const now = this.#paths.pendingDeletionsUntil(this.#clock.now());
    for (let after = ''; ;) {
      const found = await this.#records.listPaths(this.#paths.pendingDeletions, after, ENDED_PAGE);
      const ended = found.filter(({ path }) => path <= now);
      for (const { path } of ended) keyIds.add(this.#paths.keyIdOfPendingDeletion(path));
      if (ended.length < ENDED_PAGE) return keyIds;
      after = ended.at(-1)!.path;
    }
  }

  async #read(keyId: string, call: Call, notFound: () => Error): Promise<KeyEntry> {
    call.keyArn = keyArn(this.#deployment, keyId);
    const entry = await this.#records.get(KeySchema, this.#paths.key(keyId));
    if (entry !== undefined && exists(entry.message, this.#clock.now())) return entry;
    call.keyArn = undefined;
    throw notFound();
  }
}
