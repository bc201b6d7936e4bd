import { KmsError } from '../errors.ts';
import type { Tag } from '../gen/hmacd/v1/key_pb.ts';

/** The most tags of a key: https://docs.aws.amazon.com/kms/latest/developerguide/tagging-keys.html */
const MOST = 50;

/**
 * Some tags with others, whose values win; in the order of their keys.
 *
 * @throws KmsError TagException when a key is there twice among the others or is AWS's own, or there would be more than 50
 */
export function withTags(tags: readonly Tag[], others: readonly Tag[]): Tag[] {
  const byKey = new Map(others.map((tag) => [tag.tagKey!, tag]));
  if (byKey.size < others.length) throw new KmsError('TagException', 'Duplicate tag keys');
  if ([...byKey.keys()].some((key) => key.toLowerCase().startsWith('aws:'))) {
    throw new KmsError('TagException', 'Tags beginning with aws: are reserved');
  }
  const all = [...tags.filter(({ tagKey }) => !byKey.has(tagKey!)), ...others];
  if (all.length > MOST) throw new KmsError('TagException', 'Too many tags');
  return all.toSorted((one, other) => (one.tagKey! < other.tagKey! ? -1 : 1));
}

/** Some tags without those of some keys. */
export function withoutTags(tags: readonly Tag[], tagKeys: readonly string[]): Tag[] {
  return tags.filter(({ tagKey }) => !tagKeys.includes(tagKey!));
}
