import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, openSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * A file that has its name only once it is whole and on the disk, and never takes the place of another. Its owner alone
 * can read it. One that is disposed of before leaves nothing behind.
 */
export class NewFile implements Disposable {
  /** Where it is until it is whole. */
  readonly unfinishedPath: string;
  readonly #path: string;
  readonly #file: number;

  /** @throws Error of the system, when it cannot be written in this folder */
  constructor(path: string) {
    this.#path = path;
    this.unfinishedPath = `${path}.unfinished-${randomBytes(4).toString('hex')}`;
    this.#file = openSync(this.unfinishedPath, 'wx', 0o600);
  }

  /** Adds to its end; throws an Error of the system. */
  write(bytes: Uint8Array): void {
    for (let written = 0; written < bytes.length;) written += writeSync(this.#file, bytes, written);
  }

  /** Gives it its name, and returns once it is on the disk; throws an Error of the system, `EEXIST` if there is one. */
  publish(): void {
    fsyncSync(this.#file);
    linkSync(this.unfinishedPath, this.#path);
    const folder = openSync(dirname(this.#path), 'r');
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
    rmSync(this.unfinishedPath, { force: true });
  }
}
