import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { aliasArn, type Deployment } from '../arn.ts';
import type { Authorizer } from '../access/authorizer.ts';
import type { Call } from '../access/call.ts';
import type { Clock } from '../clock.ts';
import { KmsError } from '../errors.ts';
import { type Alias, AliasSchema, KeyAliasesSchema, KeySchema } from '../gen/hmacd/store/v1/records_pb.ts';
import type {
  CreateAliasRequest,
  DeleteAliasRequest,
  ListAliasesRequest,
  UpdateAliasRequest,
} from '../gen/hmacd/v1/alias_pb.ts';
import { type Records, keepRecord, putRecord, removeRecord, replaceRecord } from '../records/records.ts';
import { isAliasName, requireAliasName } from './alias-name.ts';
import { aliasIn } from './alias.ts';
import { algorithmOfKeySpec } from './algorithms.ts';
import { exists, requireChangeable } from './key.ts';
import { withAlias, withoutAlias } from './key-aliases.ts';
import type { KeyPaths } from './key-paths.ts';
import type { KeyEntry, KeyReader } from './key-reader.ts';
import { aliasNotFound } from './key-reference.ts';
import { markerAfter, nameOfMarker, pageOf } from './marker.ts';

/** The most aliases on a page, whatever the limit that is asked for. */
const PAGE = 100;

/** The operations on aliases, of requests that are within their limits. */
export class AliasService {
  readonly #records: Records;
  readonly #keys: KeyReader;
  readonly #authorizer: Authorizer;
  readonly #deployment: Deployment;
  readonly #paths: KeyPaths;
  readonly #clock: Clock;
  readonly #quota: number;

  /** @param quota the most aliases of a key */
  constructor(
    records: Records,
    keys: KeyReader,
    authorizer: Authorizer,
    deployment: Deployment,
    paths: KeyPaths,
    clock: Clock,
    quota: number,
  ) {
    this.#records = records;
    this.#keys = keys;
    this.#authorizer = authorizer;
    this.#deployment = deployment;
    this.#paths = paths;
    this.#clock = clock;
    this.#quota = quota;
  }

  async createAlias(request: CreateAliasRequest, call: Call) {
    const aliasName = requireAliasName(request.aliasName!);
    this.#authorizer.authorizeByIdentity(call, aliasArn(this.#deployment, aliasName));
    return await this.#records.untilUncontended(async () => {
      const key = await this.#keys.byId(request.targetKeyId!, call);
      requireChangeable(key.message, call.keyArn!);
      const { keyId } = key.message;
      const [alias, aliases] = await this.#records.getMany([
        [AliasSchema, this.#paths.alias(aliasName)],
        [KeyAliasesSchema, this.#paths.keyAliases(keyId)],
      ]);
      const existing = aliasIn(alias);
      if (existing !== undefined && !(await this.#keys.ended()).has(existing.message.targetKeyId)) {
        const arn = aliasArn(this.#deployment, aliasName);
        throw new KmsError('AlreadyExistsException', `An alias with the name ${arn} already exists`);
      }
      const now = timestampFromMs(this.#clock.now());
      await this.#records.commit(
        [
          keepRecord(key),
          putRecord(this.#paths.alias(aliasName), alias, AliasSchema, {
            aliasName,
            targetKeyId: keyId,
            creationDate: now,
            lastUpdatedDate: now,
          }),
          withAlias(this.#paths.keyAliases(keyId), aliases, this.#quota, aliasName),
        ],
        // Conditions on the aliases of a key may make of another one a reason to deny.
        'takes away',
      );
      return {};
    });
  }

  async updateAlias(request: UpdateAliasRequest, call: Call) {
    const aliasName = requireAliasName(request.aliasName!);
    this.#authorizer.authorizeByIdentity(call, aliasArn(this.#deployment, aliasName));
    return await this.#records.untilUncontended(async () => {
      const alias = aliasIn(await this.#records.get(AliasSchema, this.#paths.alias(aliasName)));
      if (alias === undefined) throw this.#notFound(aliasName);
      const from = alias.message.targetKeyId;
      const target = await this.#keys.byId(request.targetKeyId!, call);
      const to = target.message.keyId;
      requireChangeable(target.message, call.keyArn!);
      const [current, toAliases] = await this.#records.getMany([
        [KeySchema, this.#paths.key(from)],
        [KeyAliasesSchema, this.#paths.keyAliases(to)],
      ]);
      const [fromAliases] = await this.#records.find(KeyAliasesSchema, [this.#paths.keyAliases(from)]);
      if (current === undefined || !exists(current.message, this.#clock.now())) throw this.#notFound(aliasName);
      // Of both keys, the caller has to be allowed to move their aliases.
      const source = await this.#keys.byId(from, call);
      call.keyArn = target.protection.arn;
      requireSameKeySpec(aliasName, source, target);
      const moved: Alias = {
        ...alias.message,
        targetKeyId: to,
        lastUpdatedDate: timestampFromMs(this.#clock.now()),
      };
      await this.#records.commit(
        [
          keepRecord(target),
          ...(from === to ? [] : [keepRecord(source)]),
          replaceRecord(alias, AliasSchema, moved),
          ...(from === to
            ? []
            : [
                withoutAlias(fromAliases, aliasName),
                withAlias(this.#paths.keyAliases(to), toAliases, this.#quota, aliasName),
              ].filter((change) => change !== undefined)),
        ],
        'takes away',
      );
      return {};
    });
  }

  async deleteAlias(request: DeleteAliasRequest, call: Call) {
    const aliasName = requireAliasName(request.aliasName!);
    this.#authorizer.authorizeByIdentity(call, aliasArn(this.#deployment, aliasName));
    const path = this.#paths.alias(aliasName);
    await this.#records.untilUncontended(async () => {
      const alias = aliasIn(await this.#records.get(AliasSchema, path));
      if (alias === undefined || (await this.#keys.ended()).has(alias.message.targetKeyId)) {
        // Whoever deleted it may be waiting still: that it is gone is not said before it is true everywhere.
        await this.#records.settled();
        throw this.#notFound(aliasName);
      }
      const { targetKeyId } = alias.message;
      const key = await this.#keys.requireAllowed(targetKeyId, call);
      const [aliases] = await this.#records.find(KeyAliasesSchema, [this.#paths.keyAliases(targetKeyId)]);
      const removal = withoutAlias(aliases, aliasName);
      const deleted = replaceRecord(alias, AliasSchema, { ...alias.message, deleted: true });
      await this.#records.commit([keepRecord(key), deleted, ...(removal === undefined ? [] : [removal])], 'takes away');
    });
    // Now it is gone everywhere, and the name is free without a wait.
    await this.#records.untilUncontended(async () => {
      const mark = await this.#records.get(AliasSchema, path);
      if (mark?.message.deleted === true) await this.#records.commit([removeRecord(mark)], 'adds');
    });
    return {};
  }

  async listAliases(request: ListAliasesRequest, call: Call) {
    this.#authorizer.authorizeByIdentity(call);
    const limit = Math.min(request.limit ?? 50, PAGE);
    const after = nameOfMarker(request.marker, isAliasName);
    const found =
      request.keyId === undefined
        ? await this.#records.list(AliasSchema, this.#paths.aliases, this.#paths.alias(after), limit + 1)
        : await this.#aliasesOfKey(await this.#keys.find(request.keyId, call), after);
    const { page, truncated } = pageOf(found, limit);
    const ended = await this.#keys.ended();
    const listed = page.flatMap(({ message }) =>
      message === undefined || message.deleted || ended.has(message.targetKeyId) ? [] : [message],
    );
    return {
      aliases: listed.map((alias) => ({
        aliasName: alias.aliasName,
        aliasArn: aliasArn(this.#deployment, alias.aliasName),
        targetKeyId: alias.targetKeyId,
        creationDate: alias.creationDate,
        lastUpdatedDate: alias.lastUpdatedDate,
      })),
      ...(truncated && { nextMarker: markerAfter(this.#paths.aliasNameOf(page.at(-1)!.path)) }),
      truncated,
    };
  }

  async #aliasesOfKey(key: KeyEntry, after: string) {
    const { keyId } = key.message;
    const aliases = await this.#records.get(KeyAliasesSchema, this.#paths.keyAliases(keyId));
    const names = (aliases?.message.aliasNames ?? []).filter((name) => name > after);
    const paths = names.map((name) => this.#paths.alias(name));
    // One that was moved since is no alias of this key any more.
    return (await this.#records.find(AliasSchema, paths)).filter(
      ({ message }) => message === undefined || message.targetKeyId === keyId,
    );
  }

  #notFound(aliasName: string): KmsError {
    return aliasNotFound(aliasArn(this.#deployment, aliasName));
  }
}

function requireSameKeySpec(aliasName: string, source: KeyEntry, target: KeyEntry): void {
  const from = algorithmOfKeySpec(source.message.keySpec)?.keySpecName;
  const to = algorithmOfKeySpec(target.message.keySpec)?.keySpecName;
  if (from === to) return;
  throw new KmsError(
    'ValidationException',
    `Alias ${aliasName} cannot be changed from a KMS key with key spec ${from} to a KMS key with key spec ${to}. The key spec of the current KMS key and the new KMS key must be the same.`,
  );
}
