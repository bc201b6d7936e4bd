import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { Expectation, StoredRecord } from './record-store.ts';
import type { RootKey } from './root-keys.ts';

/** Makes what is kept in a record unreadable and unchangeable to whoever can write to the store. */
export interface Sealer {
  /**
   * What must be so in the store for what is sealed now to be written; without, nothing. Once another root key is to seal,
   * nothing more is written under this one, however long it was on its way.
   */
  readonly demand?: Expectation | undefined;
  /** Looks anew at how to seal; throws StoreUnavailableError, or an Error for the operator when it cannot seal so. */
  readonly renew?: () => Promise<void>;

  /** The value to store for `plaintext` at this path in this version. */
  seal(path: string, version: string, plaintext: Uint8Array): Uint8Array;

  /** @throws UnsealError when the value was not sealed for this path and version, or was changed since. */
  open(record: StoredRecord): Uint8Array;
}

/** A record that does not open: it is damaged, was written by somebody else, or was moved. */
export class UnsealError extends Error {
  override readonly name = 'UnsealError';
  /** The ID of the root key that the record says it was sealed under, if that is not one of ours; in hex. */
  readonly foreignRootKeyId: string | undefined;

  constructor(path: string, reason: string, foreignRootKeyId?: string) {
    super(`the record at ${path} does not open: ${reason}`);
    this.foreignRootKeyId = foreignRootKeyId;
  }
}

// format (1 byte) | root key ID (8) | salt (32) | ciphertext | tag (16)
const FORMAT = 1;
const ID_END = 9;
const SALT_END = ID_END + 32;
const TAG_LENGTH = 16;

/**
 * Seals by AES-256-GCM under a key and nonce that HKDF-SHA256 derives for each record from a root key and a random salt,
 * so that no number of records wears a root key out. The store, path, version and root key are associated data: a
 * record that is moved, renamed, or brought from another store does not open.
 */
export class RootKeySealer implements Sealer {
  readonly #storeId: string;
  readonly #byId: ReadonlyMap<string, RootKey>;
  /** Set by whoever knows where it is kept which root key seals. */
  renew: () => Promise<void> = async () => {};
  #sealing: RootKey;
  #demand: Expectation | undefined;

  /** @param rootKeys at least one: all open, the first seals until {@link sealUnder} names another */
  constructor(storeId: string, rootKeys: readonly [RootKey, ...RootKey[]]) {
    this.#storeId = storeId;
    this.#sealing = rootKeys[0];
    this.#byId = new Map(rootKeys.map((rootKey) => [rootKey.id.toString('hex'), rootKey]));
  }

  /** The IDs of the root keys, in hex, in the order in which they were given. */
  get rootKeyIds(): string[] {
    return [...this.#byId.keys()];
  }

  get demand(): Expectation | undefined {
    return this.#demand;
  }

  /**
   * Seals under this one of the root keys from now on; throws an Error when there is no such one.
   *
   * @param demand the record that says so
   */
  sealUnder(rootKeyId: string, demand: Expectation): void {
    const rootKey = this.#byId.get(rootKeyId);
    if (rootKey === undefined) throw new Error(`there is no root key ${rootKeyId}`);
    this.#sealing = rootKey;
    this.#demand = demand;
  }

  seal(path: string, version: string, plaintext: Uint8Array): Uint8Array {
    const header = Buffer.concat([Buffer.of(FORMAT), this.#sealing.id, randomBytes(32)]);
    const { key, nonce } = recordKey(this.#sealing, header.subarray(ID_END));
    const cipher = createCipheriv('aes-256-gcm', key, nonce);
    cipher.setAAD(this.#associatedData(path, version, header.subarray(0, ID_END)));
    return Buffer.concat([header, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  }

  open({ path, version, value }: StoredRecord): Uint8Array {
    if (value.length < SALT_END + TAG_LENGTH || value[0] !== FORMAT) throw new UnsealError(path, 'it is not sealed');
    const id = rootKeyIdOf(value);
    const rootKey = this.#byId.get(id);
    if (rootKey === undefined) throw new UnsealError(path, `it was sealed under the root key ${id}`, id);
    const { key, nonce } = recordKey(rootKey, value.subarray(ID_END, SALT_END));
    const decipher = createDecipheriv('aes-256-gcm', key, nonce);
    decipher.setAAD(this.#associatedData(path, version, value.subarray(0, ID_END)));
    decipher.setAuthTag(value.subarray(-TAG_LENGTH));
    const start = decipher.update(value.subarray(SALT_END, -TAG_LENGTH));
    try {
      return Buffer.concat([start, decipher.final()]);
    } catch {
      throw new UnsealError(path, 'it was changed after it was sealed');
    }
  }

  #associatedData(path: string, version: string, formatAndRootKeyId: Uint8Array): Buffer {
    return Buffer.concat(
      [Buffer.from(this.#storeId), Buffer.from(path), Buffer.from(version), formatAndRootKeyId].flatMap((part) => {
        const length = Buffer.alloc(4);
        length.writeUInt32BE(part.length);
        return [length, part];
      }),
    );
  }
}

/** The ID of the root key that a sealed value says it is sealed under, in hex. Only one that opens is sure to be. */
export function rootKeyIdOf(value: Uint8Array): string {
  return Buffer.from(value.subarray(1, ID_END)).toString('hex');
}

function recordKey(rootKey: RootKey, salt: Uint8Array): { key: Buffer; nonce: Buffer } {
  const derived = rootKey.derive(salt, 'hmacd record', 32 + 12);
  return { key: derived.subarray(0, 32), nonce: derived.subarray(32) };
}
