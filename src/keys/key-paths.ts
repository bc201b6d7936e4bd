/**
 * Where the records of one account's keys are. A path begins with the account; everything that belongs to a key alone
 * is under one prefix, so that it goes with the key.
 */
export class KeyPaths {
  readonly #account: string;

  constructor(accountId: string) {
    this.#account = accountId;
  }

  /** The prefix of all keys; what follows it is the key ID. */
  get keys(): string {
    return `${this.#account}/key/`;
  }

  /** The prefix of all aliases; what follows it is the name without `alias/`. */
  get aliases(): string {
    return `${this.#account}/alias/`;
  }

  /** The prefix of all pending deletions, in the order of their dates. */
  get pendingDeletions(): string {
    return `${this.#account}/deletion/`;
  }

  key(keyId: string): string {
    return this.keys + keyId;
  }

  /** The key ID of a path of `key`. */
  keyIdOf(path: string): string {
    return path.slice(this.keys.length);
  }

  /** @param aliasName with `alias/` */
  alias(aliasName: string): string {
    return `${this.#account}/${aliasName}`;
  }

  /** The name of the alias at a path, with `alias/`. */
  aliasNameOf(path: string): string {
    return path.slice(this.#account.length + 1);
  }

  /** The prefix of what belongs to a key alone. */
  under(keyId: string): string {
    return `${this.#account}/under/${keyId}/`;
  }

  /** Of the names of a key's aliases. */
  keyAliases(keyId: string): string {
    return `${this.under(keyId)}aliases`;
  }

  lastUsage(keyId: string): string {
    return `${this.under(keyId)}last-usage`;
  }

  /** The path of the key whose aliases' names are at a path; `undefined` for any other path. */
  keyOfAliases(path: string): string | undefined {
    const prefix = `${this.#account}/under/`;
    if (!path.startsWith(prefix) || !path.endsWith('/aliases')) return undefined;
    return this.key(path.slice(prefix.length, -'/aliases'.length));
  }

  pendingDeletion(date: Date, keyId: string): string {
    return `${this.pendingDeletions}${date.toISOString()}/${keyId}`;
  }

  /** The greatest path of a pending deletion at a time or before it. */
  pendingDeletionsUntil(time: number): string {
    return this.pendingDeletion(new Date(time), '~');
  }

  keyIdOfPendingDeletion(path: string): string {
    return path.slice(path.lastIndexOf('/') + 1);
  }

  /** The prefix of all ends of imported material, in the order of their dates. */
  get materialEnds(): string {
    return `${this.#account}/material/`;
  }

  materialEnd(date: Date, keyId: string): string {
    return `${this.materialEnds}${date.toISOString()}/${keyId}`;
  }

  keyIdOfMaterialEnd(path: string): string {
    return path.slice(path.lastIndexOf('/') + 1);
  }

  /** The prefix of all parameters for import, in the order of the dates until when they are good. */
  get importParameters(): string {
    return `${this.#account}/import/`;
  }

  /** @param digest the SHA-256 of the import token, in hexadecimal */
  importParametersOf(validTo: Date, keyId: string, digest: string): string {
    return `${this.importParameters}${validTo.toISOString()}/${keyId}/${digest}`;
  }

  /** Of the tombstone of a key. */
  destroyedKey(keyId: string): string {
    return `${this.#account}/destroyed/${keyId}`;
  }
}
