import { timestampDate } from '@bufbuild/protobuf/wkt';
import { ExpiringMaterialSchema, type Key } from '../gen/hmacd/store/v1/records_pb.ts';
import { type Change, putRecord, type Records, removeRecord } from '../records/records.ts';
import type { KeyPaths } from './key-paths.ts';

/**
 * Says when the material of a key ends, where it does, and not any more when the one before would have ended.
 *
 * @param after what becomes of the key; `undefined` when it goes
 */
export async function moveMaterialEnd(
  before: Key,
  after: Key | undefined,
  records: Records,
  paths: KeyPaths,
): Promise<Change[]> {
  const [old, next] = [endOf(before, paths), after && endOf(after, paths)];
  const found = await records.findPaths([...new Set([old, next])].filter((path) => path !== undefined));
  const [oldEnd, nextEnd] = [old, next].map((wanted) => found.find(({ path }) => path === wanted));
  return [
    ...(oldEnd === undefined || old === next ? [] : [removeRecord(oldEnd)]),
    ...(next === undefined ? [] : [putRecord(next, nextEnd, ExpiringMaterialSchema, { keyId: before.keyId })]),
  ];
}

function endOf({ keyId, imported }: Key, paths: KeyPaths): string | undefined {
  return imported?.validTo && paths.materialEnd(timestampDate(imported.validTo), keyId);
}
