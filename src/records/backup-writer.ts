import type { Hmac } from 'node:crypto';
import { type DescMessage, type MessageShape, toBinary, create } from '@bufbuild/protobuf';
import { type BackupHeader, BackupHeaderSchema, BackupRecordSchema } from '../gen/hmacd/store/v1/backup_pb.ts';
import { backupHmac, END, MAGIC } from './backup-format.ts';
import type { NewFile } from './new-file.ts';
import type { StoredRecord } from './record-store.ts';
import type { RootKey } from './root-keys.ts';

/** How many bytes are written at once. */
const CHUNK = 64 * 1024;

/** Writes a backup, in the order of the paths. Whatever the system says of the file is thrown as it is. */
export class BackupWriter {
  readonly #file: NewFile;
  readonly #hmac: Hmac;
  #pending: Uint8Array[] = [];
  #pendingLength = 0;
  #count = 0;

  /** @param rootKey the one that the header names */
  constructor(file: NewFile, header: BackupHeader, rootKey: RootKey) {
    this.#file = file;
    this.#hmac = backupHmac(rootKey, header.salt);
    this.#add(MAGIC);
    this.#addMessage(BackupHeaderSchema, header);
  }

  append({ path, version, value }: StoredRecord): void {
    this.#addMessage(BackupRecordSchema, create(BackupRecordSchema, { path, version, value }));
    this.#count++;
  }

  /** Adds what tells a whole backup from a part of one. */
  finish(): void {
    const count = Buffer.alloc(8);
    count.writeBigUInt64BE(BigInt(this.#count));
    this.#add(END);
    this.#add(count);
    this.#flush();
    this.#file.write(this.#hmac.digest());
  }

  #addMessage<D extends DescMessage>(schema: D, message: MessageShape<D>): void {
    const bytes = toBinary(schema, message);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    this.#add(length);
    this.#add(bytes);
  }

  #add(bytes: Uint8Array): void {
    this.#pending.push(bytes);
    this.#pendingLength += bytes.length;
    if (this.#pendingLength >= CHUNK) this.#flush();
  }

  #flush(): void {
    const chunk = Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingLength = 0;
    this.#hmac.update(chunk);
    this.#file.write(chunk);
  }
}
