import { describe, expect, it } from 'vitest';
import { KeySpec, KeyUsage } from '../../src/gen/hmacd/v1/key_pb.ts';
import { failureOf, WIRES } from '../support/clients.ts';
import { allowTo, arnOf, denyTo, LEFT_TO_ACCOUNT, outcomeOf, refusalOf, World } from '../grants/world.ts';

const DENIED = 'AccessDeniedException';

const tag = (tagKey: string, tagValue: string) => ({ tagKey, tagValue });
const where = (operator: string, key: string, value: string | readonly string[]) => ({
  Condition: { [operator]: { [key]: value } },
});

/** A key policy that allows all to `admin` where the key's team is this. */
function teamPolicy(team: string): string {
  const Statement = { ...allowTo('admin', 'kms:*'), ...where('StringEquals', 'aws:ResourceTag/team', team) };
  return JSON.stringify({ Statement });
}

/** A key whose policy allows everything to `billing` on a condition. */
async function startWith(condition: object, ...others: object[]) {
  const world = await World.start();
  await world.putPolicy([LEFT_TO_ACCOUNT, { ...allowTo('billing', 'kms:*'), ...condition }, ...others]);
  const { keyId } = world;
  const { keys } = world.as('admin');
  return {
    world,
    keyId,
    tag: (...tags: ReturnType<typeof tag>[]) => keys.tagResource({ keyId, tags }),
    untag: (...tagKeys: string[]) => keys.untagResource({ keyId, tagKeys }),
    /** What GenerateMac by `billing` ends in, twice: what was decided may be remembered. */
    generated: async () => [await world.generate('billing'), await world.generate('billing')],
  };
}

describe('aws:ResourceTag', () => {
  it.each(['aws:ResourceTag/Team', 'AWS:RESOURCETAG/team'])('follows the tags of a key: %s', async (name) => {
    const { tag: give, untag, generated } = await startWith(where('StringEquals', name, 'billing'));
    expect(await generated()).toEqual([DENIED, DENIED]);
    await give(tag('Team', 'Billing'));
    expect(await generated()).toEqual([DENIED, DENIED]);
    await give(tag('Team', 'billing'));
    expect(await generated()).toEqual(['OK', 'OK']);
    await give(tag('Team', 'orders'));
    expect(await generated()).toEqual([DENIED, DENIED]);
    await untag('Team');
    await give(tag('TEAM', 'billing'));
    expect(await generated()).toEqual(['OK', 'OK']);
    await untag('TEAM');
    expect(await generated()).toEqual([DENIED, DENIED]);
  });

  it('denies explicitly, also what a grant allows', async () => {
    const deny = { ...denyTo('orders', 'kms:GenerateMac'), ...where('StringEquals', 'aws:ResourceTag/locked', 'yes') };
    const { world, tag: give, untag } = await startWith({}, deny);
    const { grantToken } = await world.grant();
    expect([await world.generate('orders'), await world.generate('orders', [grantToken])]).toEqual(['OK', 'OK']);
    await give(tag('locked', 'yes'));
    expect([await world.generate('orders'), await world.generate('orders', [grantToken])]).toEqual([DENIED, DENIED]);
    await untag('locked');
    expect(await world.generate('orders')).toBe('OK');
  });

  it('is of the key itself, and of no other', async () => {
    const { world, tag: give, generated } = await startWith(where('StringEquals', 'aws:ResourceTag/team', 'billing'));
    const other = await world.makeKey([
      LEFT_TO_ACCOUNT,
      { ...allowTo('billing', 'kms:*'), ...where('StringEquals', 'aws:ResourceTag/team', 'billing') },
    ]);
    await give(tag('team', 'billing'));
    expect(await generated()).toEqual(['OK', 'OK']);
    expect(await world.generate('billing', [], other.keyId)).toBe(DENIED);
  });

  it('of tags whose keys differ in their case alone allows what all allow, and denies what any denies', async () => {
    const deny = { ...denyTo('orders', 'kms:GenerateMac'), ...where('StringEquals', 'aws:ResourceTag/team', 'orders') };
    const {
      world,
      tag: give,
      generated,
    } = await startWith(
      where('StringEquals', 'aws:ResourceTag/team', 'billing'),
      allowTo('orders', 'kms:GenerateMac'),
      deny,
    );
    await give(tag('team', 'billing'));
    expect([...(await generated()), await world.generate('orders')]).toEqual(['OK', 'OK', 'OK']);
    await give(tag('Team', 'orders'));
    expect([...(await generated()), await world.generate('orders')]).toEqual([DENIED, DENIED, DENIED]);
  });

  it('holds for every operation on the key', async () => {
    const { world, keyId, tag: give } = await startWith(where('StringEquals', 'aws:ResourceTag/team', 'billing'));
    const { keys, aliases, grants } = world.as('billing');
    const calls = [
      () => keys.describeKey({ keyId }),
      () => keys.getKeyPolicy({ keyId }),
      () => keys.listResourceTags({ keyId }),
      () => keys.updateKeyDescription({ keyId, description: 'd' }),
      () => keys.disableKey({ keyId }),
      () => keys.enableKey({ keyId }),
      () => grants.listGrants({ keyId }),
      () => keys.untagResource({ keyId, tagKeys: ['absent'] }),
    ];
    for (const call of calls) expect(await outcomeOf(call())).toBe(DENIED);
    await give(tag('team', 'billing'));
    for (const call of calls) expect(await outcomeOf(call())).toBe('OK');
    // Those on an alias need more than the key.
    expect(await outcomeOf(aliases.createAlias({ aliasName: 'alias/a', targetKeyId: keyId }))).toBe(DENIED);
  });

  it('lets nobody shut himself out by mistake', async () => {
    const { world, keyId } = await startWith({});
    const { keys } = world.as('admin');
    await keys.tagResource({ keyId, tags: [tag('team', 'shop')] });
    expect(await refusalOf(keys.putKeyPolicy({ keyId, policy: teamPolicy('other') }))).toEqual([
      'MalformedPolicyDocumentException',
      'The new key policy will not allow you to update the key policy in the future.',
    ]);
    await keys.putKeyPolicy({ keyId, policy: teamPolicy('shop') });
    const init = { keySpec: KeySpec.HMAC_256, keyUsage: KeyUsage.GENERATE_VERIFY_MAC, policy: teamPolicy('shop') };
    expect(await outcomeOf(keys.createKey(init))).toBe('MalformedPolicyDocumentException');
    expect(await outcomeOf(keys.createKey({ ...init, tags: [tag('Team', 'shop')] }))).toBe('OK');
  });
});

describe.each(WIRES)('over %s, the tags of a request', (wire) => {
  it('are those of TagResource', async () => {
    const { world, keyId } = await startWith({
      Condition: {
        StringEquals: { 'aws:RequestTag/Stage': ['prod', 'test'] },
        'ForAllValues:StringEquals': { 'aws:TagKeys': ['Stage', 'team'] },
      },
    });
    const { keys } = world.over(wire, 'billing');
    const ask = async (...tags: ReturnType<typeof tag>[]) => await outcomeOf(keys.tagResource({ keyId, tags }));
    expect(await ask(tag('Stage', 'prod'))).toBe('OK');
    expect(await ask(tag('Stage', 'test'), tag('team', 'any'))).toBe('OK');
    expect(await ask(tag('Stage', 'Prod'))).toBe(DENIED);
    expect(await ask(tag('team', 'any'))).toBe(DENIED);
    expect(await ask(tag('Stage', 'prod'), tag('other', 'x'))).toBe(DENIED);
    // The names of tag keys are alike in any case, and what they are compared with as values is not.
    expect(await ask(tag('stage', 'prod'))).toBe(DENIED);
    expect(await world.generate('billing')).toBe(DENIED);
    const { tags } = await world.as('admin').keys.listResourceTags({ keyId });
    expect(tags.map(({ tagKey, tagValue }) => [tagKey, tagValue])).toEqual([
      ['Stage', 'test'],
      ['team', 'any'],
    ]);
  });

  it('are, of UntagResource, their keys', async () => {
    const { world, keyId } = await startWith(where('ForAnyValue:StringLike', 'aws:TagKeys', 'temp*'));
    const { keys } = world.over(wire, 'billing');
    const ask = async (...tagKeys: string[]) => await outcomeOf(keys.untagResource({ keyId, tagKeys }));
    expect(await ask('temp-1', 'other')).toBe('OK');
    expect(await ask('other')).toBe(DENIED);
  });
});

function create(world: World, ...tags: ReturnType<typeof tag>[]) {
  const init = { keySpec: KeySpec.HMAC_256, keyUsage: KeyUsage.GENERATE_VERIFY_MAC, tags };
  return world.as('teamMaker').keys.createKey(init);
}

describe('the tags of CreateKey', () => {
  it('are looked at by what allows to create keys', async () => {
    const world = await World.start();
    expect(await outcomeOf(create(world, tag('Team', 'shop')))).toBe('OK');
    for (const tags of [[], [tag('Team', 'other')], [tag('cost', 'shop')]]) {
      const { exception, message } = await failureOf(create(world, ...tags));
      expect([exception, message]).toEqual([
        DENIED,
        `User: ${arnOf('teamMaker')} is not authorized to perform: kms:CreateKey on resource: * because no identity-based policy allows the kms:CreateKey action`,
      ]);
    }
  });

  it('are looked at by what allows to tag them', async () => {
    const world = await World.start();
    // TagResource is allowed with no tag key but Team.
    const { exception, message } = await failureOf(create(world, tag('Team', 'shop'), tag('more', 'x')));
    expect(exception).toBe(DENIED);
    expect(message).toContain('is not authorized to perform: kms:TagResource on resource: arn:aws:kms:');
  });
});
