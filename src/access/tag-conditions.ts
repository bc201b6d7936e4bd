import type { Tag } from '../gen/hmacd/v1/key_pb.ts';

// The condition keys that have a tag key after a slash. AWS documents that the tag key is alike in any case there, unlike
// the value: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html

const RESOURCE_TAG = 'aws:resourcetag/';
const REQUEST_TAG = 'aws:requesttag/';
const SPELLINGS: ReadonlyMap<string, string> = new Map([
  [RESOURCE_TAG, 'aws:ResourceTag/'],
  [REQUEST_TAG, 'aws:RequestTag/'],
]);
/** In characters. */
const LONGEST_TAG_KEY = 128;

/** A condition key that has a tag key in its name. */
export interface TagConditionKey {
  /** In AWS's spelling, with the tag key as it was given: `aws:ResourceTag/team`. */
  readonly name: string;
  /** Whether it is a tag of the key, and not of the request. */
  readonly ofResource: boolean;
}

/**
 * The condition key of a name in any case; `undefined` when it has no tag key, or one that no tag can have. What looks
 * like a policy variable is none of a tag's, either: AWS knows no variables there.
 */
export function tagConditionKey(name: string): TagConditionKey | undefined {
  const slash = name.indexOf('/') + 1;
  const prefix = name.slice(0, slash).toLowerCase();
  const spelling = SPELLINGS.get(prefix);
  const tagKey = name.slice(slash);
  if (spelling === undefined || tagKey === '' || tagKey.length > LONGEST_TAG_KEY || tagKey.includes('${')) {
    return undefined;
  }
  return { name: spelling + tagKey, ofResource: prefix === RESOURCE_TAG };
}

/**
 * The values of the tags of a key that `aws:ResourceTag/…` means: several, where tag keys differ in nothing but their
 * case; `undefined` where there is none, or the name is another condition key's.
 *
 * @param name in lower case
 */
export function resourceTagValues(name: string, tags: readonly Tag[]): readonly string[] | undefined {
  if (!name.startsWith(RESOURCE_TAG)) return undefined;
  const tagKey = name.slice(RESOURCE_TAG.length);
  const values = tags.filter((tag) => tag.tagKey!.toLowerCase() === tagKey).map(({ tagValue }) => tagValue!);
  return values.length === 0 ? undefined : values;
}

/** The values of `aws:RequestTag/…` and `aws:TagKeys` of a request that gives tags; none of one without. */
export function requestTagValues(tags: readonly Tag[]): Readonly<Record<string, readonly string[]>> {
  const values = tagKeyValues(tags.map(({ tagKey }) => tagKey!));
  for (const { tagKey, tagValue } of tags) {
    const name = REQUEST_TAG + tagKey!.toLowerCase();
    values[name] = [...(values[name] ?? []), tagValue!];
  }
  return values;
}

/** The values of `aws:TagKeys` of a request that names tags; none of one that names none. */
export function tagKeyValues(tagKeys: readonly string[]): Record<string, readonly string[]> {
  return tagKeys.length === 0 ? {} : { 'aws:tagkeys': tagKeys };
}
