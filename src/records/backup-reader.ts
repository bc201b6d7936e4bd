import { type Hmac, timingSafeEqual } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import { type BackupHeader, BackupHeaderSchema, BackupRecordSchema } from '../gen/hmacd/store/v1/backup_pb.ts';
import { codeOf } from '../system-error.ts';
import { backupHmac, LONGEST_MESSAGE, MAC_LENGTH, MAGIC } from './backup-format.ts';
import type { StoredRecord } from './record-store.ts';
import type { RootKey } from './root-keys.ts';

/** How many bytes are read at once. */
const CHUNK = 64 * 1024;

/** What a backup holds. */
export interface BackupSummary {
  readonly header: BackupHeader;
  readonly recordCount: number;
}

/** Reads a backup, a part at a time. Every method throws an Error with one sentence for the operator. */
export class BackupReader implements Disposable {
  readonly #name: string;
  readonly #file: number;
  readonly #rootKeys: readonly RootKey[];
  /** Of the backup that was verified. */
  #verified: { readonly rootKey: RootKey; readonly salt: Uint8Array; readonly mac: Buffer } | undefined;

  /** @param rootKeys among which is the one that the backup was made with */
  constructor(path: string, rootKeys: readonly RootKey[]) {
    this.#name = `the backup ${path}`;
    this.#rootKeys = rootKeys;
    try {
      this.#file = openSync(path, 'r');
    } catch (error) {
      throw new Error(`${this.#name} cannot be read: ${codeOf(error)}`, { cause: error });
    }
  }

  /**
   * Reads all of it, and answers only when it is whole and as it was written.
   *
   * @param look is shown every record, before it is known whether the backup is genuine
   */
  verify(look: (record: StoredRecord) => void): BackupSummary {
    const input = this.#input();
    const header = this.#header(input);
    const rootKey = this.#rootKeys.find(({ id }) => id.toString('hex') === header.rootKeyId);
    if (rootKey === undefined) {
      // Whoever wrote it may have written anything.
      if (!/^[0-9a-f]{16}$/.test(header.rootKeyId)) throw this.#damaged();
      const ours = this.#rootKeys.map(({ id }) => id.toString('hex')).join(', ');
      throw new Error(
        `${this.#name} was made under the root key ${header.rootKeyId}, and HMACD_ROOT_KEY_FILE has ${ours}`,
      );
    }
    const { salt } = header;
    const entries = this.#entries(input, backupHmac(rootKey, salt));
    let next = entries.next();
    for (; next.done !== true; next = entries.next()) look(next.value);
    this.#verified = { rootKey, salt, mac: next.value.mac };
    return { header, recordCount: next.value.recordCount };
  }

  /**
   * The records of the backup that was verified. Who takes them has to know that it throws at their end when they are not
   * those that were verified.
   */
  *records(): Generator<StoredRecord, void> {
    if (this.#verified === undefined) throw new Error(`${this.#name} was not verified`);
    const { rootKey, salt, mac } = this.#verified;
    const input = this.#input();
    this.#header(input);
    const end = yield* this.#entries(input, backupHmac(rootKey, salt));
    if (!end.mac.equals(mac)) throw new Error(`${this.#name} was changed while it was read`);
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }

  #input(): Input {
    return new Input(this.#file, this.#name);
  }

  #header(input: Input): BackupHeader {
    if (!input.take(MAGIC.length).equals(MAGIC)) throw new Error(`${this.#name} is none that this hmacd can read`);
    return this.#message(input, BackupHeaderSchema, input.take(4).readUInt32BE());
  }

  *#entries(input: Input, hmac: Hmac): Generator<StoredRecord, { recordCount: number; mac: Buffer }> {
    input.authenticate(hmac);
    let recordCount = 0;
    for (let length = input.take(4).readUInt32BE(); length > 0; length = input.take(4).readUInt32BE()) {
      const { path, version, value } = this.#message(input, BackupRecordSchema, length);
      yield { path, version, value };
      recordCount++;
    }
    const told = input.take(8).readBigUInt64BE();
    const mac = Buffer.from(hmac.digest());
    const genuine = timingSafeEqual(input.takeUnauthenticated(MAC_LENGTH), mac);
    if (!genuine || told !== BigInt(recordCount) || !input.atEnd()) throw this.#damaged();
    return { recordCount, mac };
  }

  #message<D extends DescMessage>(input: Input, schema: D, length: number): MessageShape<D> {
    // More would be taken into memory only to find that there is no end of it.
    if (length > LONGEST_MESSAGE) throw this.#damaged();
    const bytes = input.take(length);
    try {
      return fromBinary(schema, bytes);
    } catch (error) {
      throw this.#damaged(error);
    }
  }

  #damaged(cause?: unknown): Error {
    return new Error(`${this.#name} is damaged, or was changed after it was made`, { cause });
  }
}

/** The bytes of a file, from its beginning. */
class Input {
  readonly #file: number;
  readonly #name: string;
  #position = 0;
  #buffer = Buffer.alloc(0);
  /** What was taken before there was an HMAC. */
  #before: Buffer[] | undefined = [];
  #hmac: Hmac | undefined;

  constructor(file: number, name: string) {
    this.#file = file;
    this.#name = name;
  }

  /** Lets an HMAC have all that was taken so far, and all that will be. */
  authenticate(hmac: Hmac): void {
    this.#hmac = hmac;
    for (const bytes of this.#before ?? []) hmac.update(bytes);
    this.#before = undefined;
  }

  take(length: number): Buffer {
    const bytes = this.takeUnauthenticated(length);
    this.#before?.push(bytes);
    this.#hmac?.update(bytes);
    return bytes;
  }

  takeUnauthenticated(length: number): Buffer {
    while (this.#buffer.length < length) {
      if (!this.#read()) throw new Error(`${this.#name} is cut short`);
    }
    const bytes = this.#buffer.subarray(0, length);
    this.#buffer = this.#buffer.subarray(length);
    return bytes;
  }

  atEnd(): boolean {
    return this.#buffer.length === 0 && !this.#read();
  }

  /** Whether there was more. */
  #read(): boolean {
    const chunk = Buffer.alloc(CHUNK);
    let length: number;
    try {
      length = readSync(this.#file, chunk, 0, CHUNK, this.#position);
    } catch (error) {
      throw new Error(`${this.#name} cannot be read: ${codeOf(error)}`, { cause: error });
    }
    this.#position += length;
    this.#buffer = Buffer.concat([this.#buffer, chunk.subarray(0, length)]);
    return length > 0;
  }
}
