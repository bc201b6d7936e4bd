import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { codeOf } from '../system-error.ts';
import { makeRootKey as makeFile, readRootKeys } from '../records/root-keys.ts';

/**
 * `make-root-key PATH [--if-missing]`: makes a root key file, or looks whether the one that is there can be used; answers
 * the exit code.
 */
export function makeRootKey(args: readonly string[]): number {
  const { positionals, values } = parseArgs({
    args: [...args],
    options: { 'if-missing': { type: 'boolean', default: false } },
    allowPositionals: true,
  });
  const [path, ...others] = positionals;
  if (path === undefined || others.length > 0) throw new Error('usage: hmacd make-root-key PATH [--if-missing]');
  try {
    makeFile(path);
  } catch (error) {
    const code = codeOf(error);
    if (code !== 'EEXIST' || !existsSync(path)) throw new Error(`${path} cannot be written: ${code}`, { cause: error });
    if (values['if-missing']) {
      tell(path);
      return 0;
    }
    throw new Error(`${path} exists; whatever it sealed would be lost with it`, { cause: error });
  }
  tell(path);
  return 0;
}

/** The ID is what a service and the other commands call a root key. */
function tell(path: string): void {
  process.stdout.write(`the root key ${readRootKeys([path])[0].id.toString('hex')} is in ${path}\n`);
}
