import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { describeStore, type StoreTarget } from './open-record-store.ts';
import type { RecordStore } from './record-store.ts';
import { makeRootKey, readRootKeys, RootKey } from './root-keys.ts';

/**
 * The root keys for a store, the first of which seals a new one.
 *
 * A store in memory gets a new one, which goes with it. Beside an empty SQLite file a root key file is made where there is
 * none, so that a service runs without a step before; a store that others share needs one that they share.
 *
 * @throws Error with one sentence for the operator.
 */
export async function rootKeysOfStore(
  target: StoreTarget,
  store: RecordStore,
  paths: readonly string[],
): Promise<[RootKey, ...RootKey[]]> {
  if (target.kind === 'sqlite' && target.path === ':memory:') return [new RootKey(randomBytes(32))];
  const [missing] = paths.filter((path) => !existsSync(path));
  if (missing !== undefined) {
    if (target.kind === 'redis') {
      throw new Error(`the root key file ${missing} does not exist; "hmacd make-root-key ${missing}" makes one`);
    }
    if ((await store.list('', '', 1)).length > 0) {
      throw new Error(
        `the root key file ${missing} does not exist, and the ${describeStore(target)} has records that it sealed; put it back`,
      );
    }
    if (paths.length > 1) throw new Error(`the root key file ${missing} does not exist`);
    makeRootKey(missing);
  }
  return readRootKeys(paths);
}
