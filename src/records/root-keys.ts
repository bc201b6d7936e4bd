import { hkdfSync, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { codeOf } from '../system-error.ts';
import { NewFile } from './new-file.ts';

const LENGTH = 32;

/** A key under which records are sealed. Its bytes show in nothing that prints it. */
export class RootKey {
  /** 8 bytes that name the key and tell nothing of it; they stand in every record that it sealed. */
  readonly id: Buffer;
  readonly #bytes: Buffer;

  /** @param bytes 32 bytes */
  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.id = Buffer.from(hkdfSync('sha256', bytes, '', 'hmacd root key ID', 8));
  }

  /** Derives `length` bytes for one purpose by HKDF-SHA256 (RFC 5869). */
  derive(salt: Uint8Array, purpose: string, length: number): Buffer {
    return Buffer.from(hkdfSync('sha256', this.#bytes, salt, purpose, length));
  }
}

/**
 * Reads root keys from files that hold 32 bytes each, raw or in base64.
 *
 * @throws Error with a sentence that names the file; never with what is in it.
 */
export function readRootKeys(paths: readonly string[]): [RootKey, ...RootKey[]] {
  const [first, ...others] = paths.map((path) => {
    const bytes = decode(readFile(path));
    if (bytes === undefined) throw new Error(`the root key file ${path} does not hold 32 bytes, raw or in base64`);
    return new RootKey(bytes);
  });
  if (first === undefined) throw new Error('there is no root key file');
  return [first, ...others];
}

/**
 * Makes a root key file of 32 random bytes in base64, readable by its owner alone, and does not return before it is on
 * the disk.
 *
 * @throws Error when the file exists (code `EEXIST`) or cannot be written.
 */
export function makeRootKey(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  using file = new NewFile(path);
  file.write(Buffer.from(`${randomBytes(LENGTH).toString('base64')}\n`));
  file.publish();
}

function readFile(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new Error(`the root key file ${path} cannot be read: ${codeOf(error)}`, {
      cause: error,
    });
  }
}

function decode(content: Buffer): Buffer | undefined {
  if (content.length === LENGTH) return content;
  const text = content.toString('latin1').trim();
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === LENGTH && bytes.toString('base64') === text ? bytes : undefined;
}
