import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { GrantTokenKeySchema } from '../gen/hmacd/store/v1/records_pb.ts';
import { createRecord, type Records } from '../records/records.ts';
import type { GrantPaths } from './grant-paths.ts';

/**
 * What the grant tokens of a store are authenticated with; the first replica makes it.
 *
 * @throws UnsealError when its record is damaged
 */
export async function grantTokenKey(records: Records, paths: GrantPaths): Promise<KeyObject> {
  return await records.untilUncontended(async () => {
    const found = await records.get(GrantTokenKeySchema, paths.tokenKey);
    if (found !== undefined) return createSecretKey(found.message.material);
    const material = randomBytes(32);
    await records.commit([createRecord(paths.tokenKey, GrantTokenKeySchema, { material })], 'adds');
    return createSecretKey(material);
  });
}
