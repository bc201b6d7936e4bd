import type { AliasSchema } from '../gen/hmacd/store/v1/records_pb.ts';
import type { Entry } from '../records/records.ts';

/** An alias's record. */
export type AliasEntry = Entry<typeof AliasSchema>;

/** The alias that a record stands for: none, where it only marks the name of one that was deleted just now. */
export function aliasIn<E extends AliasEntry>(found: E | undefined): E | undefined {
  return found?.message.deleted === true ? undefined : found;
}
