import { foreignAccountDenied } from '../access/access-denied.ts';
import type { Authorizer, ProtectedKey, Wish } from '../access/authorizer.ts';
import type { Call } from '../access/call.ts';
import { aliasArn, type Deployment, keyArn } from '../arn.ts';
import type { Clock } from '../clock.ts';
import { KmsError } from '../errors.ts';
import { AliasSchema, KeySchema } from '../gen/hmacd/store/v1/records_pb.ts';
import type { Origin } from '../gen/hmacd/v1/key_pb.ts';
import type { Entry, Found, Records } from '../records/records.ts';
import { aliasIn } from './alias.ts';
import { isAliasName } from './alias-name.ts';
import { readAliasNames } from './key-aliases.ts';
import { asOf, exists } from './key.ts';
import type { KeyPaths } from './key-paths.ts';
import { aliasNotFound, keyNotFound, parseKeyReference } from './key-reference.ts';
import type { KeyPolicies } from './protected-key.ts';

/** How many ended keys are looked up at once: mostly there is none, but a whole account may end in one moment. */
const ENDED_PAGE = 1_000;

/** A key's record. */
export type KeyEntry = Entry<typeof KeySchema>;

/** A key that was found, with what decides who may use it. */
export type FoundKey = KeyEntry & { readonly protection: ProtectedKey };

/** Finds keys in the store, for the operations that manage them, and asks whether the caller may. */
export class KeyReader {
  readonly #records: Records;
  readonly #authorizer: Authorizer;
  readonly #policies: KeyPolicies;
  readonly #deployment: Deployment;
  readonly #paths: KeyPaths;
  readonly #clock: Clock;

  constructor(
    records: Records,
    authorizer: Authorizer,
    policies: KeyPolicies,
    deployment: Deployment,
    paths: KeyPaths,
    clock: Clock,
  ) {
    this.#records = records;
    this.#authorizer = authorizer;
    this.#policies = policies;
    this.#deployment = deployment;
    this.#paths = paths;
    this.#clock = clock;
  }

  /**
   * The key that a key ID or key ARN names, if the caller may do with it what it calls for; the call is about it from
   * then on.
   *
   * @throws KmsError InvalidArnException for an alias, NotFoundException, AccessDeniedException,
   *   InvalidGrantTokenException
   */
  async byId(reference: string, call: Call, wish?: Wish): Promise<FoundKey> {
    this.#authorizer.screen(call, wish?.grantTokens);
    return await this.#allowed(() => this.find(reference, call), call, wish);
  }

  /** The key that a key ID, key ARN, alias name or alias ARN names; otherwise like `byId`. */
  async byAnyName(reference: string, call: Call, wish: Wish): Promise<FoundKey> {
    const parsed = parseKeyReference(reference, this.#deployment);
    if (parsed.kind !== 'alias') return await this.byId(reference, call, wish);
    this.#authorizer.screen(call, wish.grantTokens);
    const notFound = () => aliasNotFound(aliasArn(this.#deployment, parsed.aliasName));
    if (!isAliasName(parsed.aliasName)) throw this.#absence(call, notFound);
    const alias = aliasIn(await this.#records.get(AliasSchema, this.#paths.alias(parsed.aliasName)));
    if (alias === undefined) throw this.#absence(call, notFound);
    const read = (): Promise<FoundKey> => this.#read(alias.message.targetKeyId, call, notFound);
    return await this.#allowed(read, call, { ...wish, requestAlias: parsed.aliasName });
  }

  /** The key that a key ID or key ARN names, whatever the caller may do with it; throws what `byId` throws. */
  async find(reference: string, call: Call): Promise<FoundKey> {
    const parsed = parseKeyReference(reference, this.#deployment);
    if (parsed.kind === 'foreign') throw foreignAccountDenied(call);
    if (parsed.kind === 'alias') {
      throw new KmsError('InvalidArnException', 'Key Aliases are not supported for this operation.');
    }
    return await this.#read(parsed.keyId, call, () => keyNotFound(this.#deployment, parsed.keyId));
  }

  /**
   * Demands that the caller may do with a key what it calls for, also where the key's record is damaged: its policy is
   * lost with it then, and identity policies decide.
   *
   * @returns the record that decided
   * @throws KmsError AccessDeniedException
   */
  async requireAllowed(keyId: string, call: Call): Promise<Found> {
    const [key] = await this.#records.find(KeySchema, [this.#paths.key(keyId)]);
    if (key === undefined || key.message !== undefined) return await this.byId(keyId, call);
    call.keyArn = keyArn(this.#deployment, keyId);
    this.#authorizer.authorizeByIdentity(call, call.keyArn);
    return key;
  }

  /**
   * The key IDs of the keys that are no more, and whose records and aliases are still to be swept away: mostly none. A
   * list leaves them out.
   */
  async ended(): Promise<ReadonlySet<string>> {
    const keyIds = new Set<string>();
    const now = this.#paths.pendingDeletionsUntil(this.#clock.now());
    for (let after = ''; ;) {
      const found = await this.#records.pathsOf(this.#paths.pendingDeletions, after, ENDED_PAGE);
      const ended = found.filter((path) => path <= now);
      for (const path of ended) keyIds.add(this.#paths.keyIdOfPendingDeletion(path));
      if (ended.length < ENDED_PAGE) return keyIds;
      after = ended.at(-1)!;
    }
  }

  /** Reads a key until what the caller may do with it is known; while grants are read, the key may change. */
  async #allowed(read: () => Promise<FoundKey>, call: Call, wish: Wish | undefined): Promise<FoundKey> {
    for (;;) {
      const found = await read();
      const pending = this.#authorizer.authorize(call, found.protection, wish);
      if (pending === undefined) return found;
      await pending;
    }
  }

  async #read(keyId: string, call: Call, notFound: () => KmsError): Promise<FoundKey> {
    call.keyArn = keyArn(this.#deployment, keyId);
    const [entry, aliasNames] = await Promise.all([
      this.#records.get(KeySchema, this.#paths.key(keyId)),
      readAliasNames(this.#records, this.#paths, keyId),
    ]);
    const now = this.#clock.now();
    if (entry !== undefined && exists(entry.message, now)) {
      const message = asOf(entry.message, now);
      return { ...entry, message, protection: this.#policies.protect(message, aliasNames) };
    }
    call.keyArn = undefined;
    throw this.#absence(call, notFound);
  }

  /** What a caller is told of a key that is not there: those of other accounts cannot tell it from one they may not use. */
  #absence(call: Call, notFound: () => KmsError): KmsError {
    return this.#authorizer.isAtHome(call) ? notFound() : foreignAccountDenied(call);
  }
}

/**
 * Demands that the material of a key comes from where an operation wants it.
 *
 * @throws KmsError UnsupportedOperationException
 */
export function requireOrigin(origin: Origin, { message, protection: { arn, originName } }: FoundKey): void {
  if (message.origin === origin) return;
  throw new KmsError(
    'UnsupportedOperationException',
    `${arn} origin is ${originName} which is not valid for this operation.`,
  );
}
