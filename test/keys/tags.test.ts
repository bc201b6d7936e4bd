import { describe, expect, it } from 'vitest';
import { failureOf, WIRES } from '../support/clients.ts';
import { arnOf, outcomeOf, World } from '../grants/world.ts';

const tag = (tagKey: string, tagValue = 'x') => ({ tagKey, tagValue });

const refusal = async (call: Promise<unknown>): Promise<[string | undefined, string]> => {
  const { exception, message } = await failureOf(call);
  return [exception, message];
};

/** A key, and how it is tagged. */
async function start(wire: (typeof WIRES)[number] = 'gRPC') {
  const world = await World.start();
  const { keys, rotation } = world.over(wire, 'admin');
  const { keyId } = world;
  const listed = async () =>
    (await keys.listResourceTags({ keyId })).tags.map(({ tagKey, tagValue }) => [tagKey, tagValue]);
  return { world, keys, rotation, keyId, listed };
}

describe.each(WIRES)('over %s, tags', (wire) => {
  it('are given, changed, listed by their keys, and taken', async () => {
    const { keys, keyId, listed } = await start(wire);
    expect(await listed()).toEqual([]);
    await keys.tagResource({ keyId, tags: [tag('team', 'shop'), tag('__proto__'), tag('a', '')] });
    await keys.tagResource({ keyId, tags: [tag('team', 'billing'), tag('Ü', 'ü')] });
    expect(await listed()).toEqual([
      ['__proto__', 'x'],
      ['a', ''],
      ['team', 'billing'],
      ['Ü', 'ü'],
    ]);
    await keys.untagResource({ keyId, tagKeys: ['a', 'not there'] });
    await keys.untagResource({ keyId, tagKeys: ['a'] });
    expect((await listed()).map(([key]) => key)).toEqual(['__proto__', 'team', 'Ü']);
  });
});

describe('tags', () => {
  it('are given with a new key, by who may TagResource', async () => {
    const { world, keys } = await start();
    const { keyMetadata } = await keys.createKey({ keySpec: 2, keyUsage: 1, tags: [tag('b'), tag('a')] });
    const { tags } = await keys.listResourceTags({ keyId: keyMetadata!.keyId });
    expect(tags.map(({ tagKey }) => tagKey)).toEqual(['a', 'b']);
    const maker = world.as('maker').keys;
    expect(await outcomeOf(maker.createKey({ keySpec: 2, keyUsage: 1 }))).toBe('OK');
    const { message } = await failureOf(maker.createKey({ keySpec: 2, keyUsage: 1, tags: [tag('a')] }));
    expect(message).toMatch(
      new RegExp(
        `^User: ${arnOf('maker')} is not authorized to perform: kms:TagResource on resource: arn:aws:kms:us-east-1:\\d+:key/[0-9a-f-]{36} because no identity-based policy allows the kms:TagResource action$`,
      ),
    );
    // A policy that allows TagResource on keys alone, as in AWS's own example.
    await expect(
      world.as('tagger').keys.createKey({ keySpec: 2, keyUsage: 1, tags: [tag('a')] }),
    ).resolves.toBeDefined();
  });

  it('are refused in the words of AWS', async () => {
    const { keys, keyId, listed } = await start();
    const fifty = Array.from({ length: 50 }, (_, n) => tag(String(n)));
    const cases: [Promise<unknown>, string, string][] = [
      [keys.tagResource({ keyId, tags: [tag('a'), tag('a')] }), 'TagException', 'Duplicate tag keys'],
      [keys.tagResource({ keyId, tags: [tag('AWS:a')] }), 'TagException', 'Tags beginning with aws: are reserved'],
      [keys.tagResource({ keyId, tags: [...fifty, tag('50')] }), 'TagException', 'Too many tags'],
      [keys.createKey({ keySpec: 2, keyUsage: 1, tags: [tag('a'), tag('a')] }), 'TagException', 'Duplicate tag keys'],
      [
        keys.tagResource({ keyId, tags: [tag('k'.repeat(129))] }),
        'ValidationException',
        `1 validation error detected: Value '${'k'.repeat(129)}' at 'tags.1.member.tagKey' failed to satisfy constraint: Member must have length less than or equal to 128`,
      ],
      [
        keys.tagResource({ keyId, tags: [tag('a'), tag('b', 'v'.repeat(257))] }),
        'ValidationException',
        `1 validation error detected: Value '${'v'.repeat(256)}…' at 'tags.2.member.tagValue' failed to satisfy constraint: Member must have length less than or equal to 256`,
      ],
      [
        keys.tagResource({ keyId, tags: [{ tagKey: 'a' }] }),
        'ValidationException',
        "1 validation error detected: Value null at 'tags.1.member.tagValue' failed to satisfy constraint: Member must not be null",
      ],
      [
        keys.tagResource({ keyId }),
        'ValidationException',
        "1 validation error detected: Value null at 'tags' failed to satisfy constraint: Member must not be null",
      ],
      [
        keys.untagResource({ keyId, tagKeys: [''] }),
        'ValidationException',
        "1 validation error detected: Value '[]' at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1]",
      ],
    ];
    for (const [call, exception, message] of cases) expect(await refusal(call)).toEqual([exception, message]);
    expect(await listed()).toEqual([]);
    await keys.tagResource({ keyId, tags: fifty });
    expect(await refusal(keys.tagResource({ keyId, tags: [tag('50')] }))).toEqual(['TagException', 'Too many tags']);
    await keys.tagResource({ keyId, tags: [tag('49', 'another')] });
  });

  it('are listed in pages of at most 50', async () => {
    const { keys, keyId } = await start();
    await keys.tagResource({ keyId, tags: Array.from({ length: 50 }, (_, n) => tag(String(n))) });
    const seen: string[] = [];
    for (let marker: string | undefined; ;) {
      const page = await keys.listResourceTags({ keyId, limit: 7, ...(marker !== undefined && { marker }) });
      expect(page.truncated).toBe(page.nextMarker !== undefined);
      seen.push(...page.tags.map(({ tagKey }) => tagKey!));
      if (!page.truncated) break;
      marker = page.nextMarker;
    }
    expect(seen).toEqual(Array.from({ length: 50 }, (_, n) => String(n)).toSorted());
    expect((await keys.listResourceTags({ keyId, limit: 1_000 })).tags.length).toBe(50);
    expect(await refusal(keys.listResourceTags({ keyId, marker: '!' }))).toEqual(['InvalidMarkerException', '']);
  });

  it('stay as they are on a key that is pending deletion', async () => {
    const { world, keys, keyId, listed } = await start();
    await keys.tagResource({ keyId, tags: [tag('a')] });
    await keys.disableKey({ keyId });
    await keys.tagResource({ keyId, tags: [tag('b')] });
    await keys.scheduleKeyDeletion({ keyId, pendingWindowInDays: 7 });
    const pending = ['KMSInvalidStateException', `${world.arn} is pending deletion.`];
    expect(await refusal(keys.tagResource({ keyId, tags: [tag('c')] }))).toEqual(pending);
    expect(await refusal(keys.untagResource({ keyId, tagKeys: ['a'] }))).toEqual(pending);
    expect((await listed()).map(([key]) => key)).toEqual(['a', 'b']);
  });
});

describe.each(WIRES)('over %s, the rotation of an HMAC key', (wire) => {
  it('is never enabled, and is said so in the words of AWS', async () => {
    const { world, keys, rotation, keyId } = await start(wire);
    const unsupported = ['UnsupportedOperationException', ''];
    expect(await refusal(rotation.enableKeyRotation({ keyId }))).toEqual(unsupported);
    expect(await refusal(rotation.rotateKeyOnDemand({ keyId }))).toEqual(unsupported);
    await rotation.disableKeyRotation({ keyId });
    const { arn } = world;
    expect(await rotation.getKeyRotationStatus({ keyId })).toMatchObject({ keyId: arn, keyRotationEnabled: false });
    expect(await rotation.listKeyRotations({ keyId })).toMatchObject({ rotations: [], truncated: false });
    expect(await refusal(rotation.listKeyRotations({ keyId, includeKeyMaterial: 1 }))).toEqual([
      'ValidationException',
      'Input parameter includeKeyMaterial can only be used with symmetric keys.',
    ]);
    expect(await refusal(rotation.listKeyRotations({ keyId, marker: 'x' }))).toEqual(['InvalidMarkerException', '']);
    expect((await refusal(rotation.enableKeyRotation({ keyId, rotationPeriodInDays: 89 })))[1]).toContain(
      "Value '89' at 'rotationPeriodInDays' failed to satisfy constraint: Member must have value greater than or equal to 90",
    );
    const changes = [
      () => rotation.enableKeyRotation({ keyId }),
      () => rotation.disableKeyRotation({ keyId }),
      () => rotation.rotateKeyOnDemand({ keyId }),
    ];
    await keys.disableKey({ keyId });
    for (const change of changes) expect(await refusal(change())).toEqual(['DisabledException', `${arn} is disabled.`]);
    await keys.scheduleKeyDeletion({ keyId, pendingWindowInDays: 7 });
    for (const change of changes) {
      expect(await refusal(change())).toEqual(['KMSInvalidStateException', `${arn} is pending deletion.`]);
    }
    expect((await rotation.getKeyRotationStatus({ keyId })).keyRotationEnabled).toBe(false);
  });
});
