import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import type { Principals } from './principals.ts';
import { type PrincipalsFile, readPrincipalsFile } from './principals-file.ts';

/** How often the files are looked at, in milliseconds: who was removed is out that much later. */
const INTERVAL = 5_000;

/**
 * Who may call by a principals file, read anew when it, or a file that it names, has changed. A file that is wrong
 * changes nothing until it is right, and is told of in the log.
 */
export class LivePrincipals {
  readonly #path: string;
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  #file: PrincipalsFile;
  #problem = '';

  /** @throws Error with one sentence for the operator when the file is wrong now */
  constructor(path: string, log: Logger) {
    this.#path = path;
    this.#log = log;
    this.#file = readPrincipalsFile(path);
    this.#timer = setInterval(() => this.reload(), INTERVAL).unref();
  }

  /** Those that are in force. */
  get current(): Principals {
    return this.#file.principals;
  }

  /** Whether the files as they are now are in force, and not others from before. */
  get inForce(): boolean {
    return this.#problem === '';
  }

  /** Looks at the files. */
  reload(): void {
    if (this.#problem === '' && isUnchanged(this.#file)) return;
    let file: PrincipalsFile;
    try {
      file = readPrincipalsFile(this.#path);
    } catch (error) {
      const { message } = error as Error;
      if (message !== this.#problem) this.#log.error(`${message}; what was in force stays in force`);
      this.#problem = message;
      return;
    }
    this.#problem = '';
    if (hasSameContent(file, this.#file)) return;
    this.#file = file;
    this.#log.info({ principals: file.principals.size }, `the principals file ${this.#path} was read anew`);
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

function isUnchanged({ files }: PrincipalsFile): boolean {
  try {
    return [...files].every(([path, digest]) => hash('sha256', readFileSync(path)) === digest);
  } catch {
    return false;
  }
}

function hasSameContent(one: PrincipalsFile, other: PrincipalsFile): boolean {
  return (
    one.files.size === other.files.size && [...one.files].every(([path, digest]) => other.files.get(path) === digest)
  );
}
