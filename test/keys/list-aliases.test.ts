import { afterAll, describe, expect, it } from 'vitest';
import { ControlledStore } from '../records/controlled-store.ts';
import { failureOf } from '../support/clients.ts';
import { FakeClock, startService } from '../support/running-service.ts';
import { ARN, makeKey, openSealerWithDamage, paths } from './fixture.ts';

const damaged = new Set<string>();
const store = new ControlledStore({ exclusive: true });
const running = await startService({}, { clock: new FakeClock(), store, sealer: openSealerWithDamage(damaged) });
afterAll(async () => {
  await running[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
});
const { aliases } = running.clients.gRPC;

// 42 aliases for each of three keys, in no order.
const owners = await Promise.all([1, 2, 3].map(async () => (await makeKey(running.clients.gRPC)).keyId));
const all = owners.flatMap((keyId, owner) =>
  Array.from({ length: 42 }, (_, n) => ({ aliasName: `alias/${(n * 5) % 42}/${owner}`, targetKeyId: keyId })),
);
for (const alias of all) await aliases.createAlias(alias);
const bare = await makeKey(running.clients.gRPC);
const namesOf = (keyId?: string): string[] =>
  all
    .filter(({ targetKeyId }) => keyId === undefined || targetKeyId === keyId)
    .map(({ aliasName }) => aliasName)
    .toSorted();

async function walk(request: { keyId?: string; limit?: number }): Promise<string[][]> {
  const pages: string[][] = [];
  for (let marker: string | undefined; ;) {
    const page = await aliases.listAliases({ ...request, ...(marker !== undefined && { marker }) });
    pages.push(page.aliases.map(({ aliasName }) => aliasName));
    expect(page.truncated).toBe(page.nextMarker !== undefined);
    if (page.nextMarker === undefined) return pages;
    marker = page.nextMarker;
  }
}

describe('ListAliases', () => {
  it.each([
    ['without a limit', {}, [50, 50, 26]],
    ['with the limit 100', { limit: 100 }, [100, 26]],
    ['with the limit 1000, of which a page has 100', { limit: 1_000 }, [100, 26]],
    ['with the limit 63, which ends exactly', { limit: 63 }, [63, 63]],
    ['with the limit 7', { limit: 7 }, Array.from({ length: 18 }, () => 7)],
  ])('%s gives every alias of the account once, in order', async (_, request, lengths) => {
    const pages = await walk(request);
    expect(pages.flat()).toEqual(namesOf());
    expect(pages.map((page) => page.length)).toEqual(lengths);
  });

  it.each([
    ['without a limit', {}, [42]],
    ['with the limit 42, which ends exactly', { limit: 42 }, [42]],
    ['with the limit 20', { limit: 20 }, [20, 20, 2]],
    ['with the limit 1', { limit: 1 }, Array.from({ length: 42 }, () => 1)],
  ])('of a key, %s, gives that key’s and no other', async (_, request, lengths) => {
    const pages = await walk({ ...request, keyId: owners[1]! });
    expect(pages.flat()).toEqual(namesOf(owners[1]));
    expect(pages.map((page) => page.length)).toEqual(lengths);
  });

  it('takes a key ARN, and of a key without aliases is empty', async () => {
    expect((await walk({ keyId: `${ARN}key/${owners[0]}` })).flat()).toEqual(namesOf(owners[0]));
    expect(await walk({ keyId: bare.keyId })).toEqual([[]]);
  });

  it('tells of each alias its name, ARN and key', async () => {
    const { aliases: listed } = await aliases.listAliases({ limit: 1, keyId: owners[2]! });
    expect(listed).toMatchObject([{ aliasName: 'alias/0/2', aliasArn: `${ARN}alias/0/2`, targetKeyId: owners[2] }]);
  });

  it.each([
    ['no base64', '?'],
    ['a marker of ListKeys', Buffer.from(bare.keyId).toString('base64url')],
    ['an alias', 'alias/0/2'],
    ['a marker of half a name', Buffer.from('alias/').toString('base64url')],
  ])('refuses a marker that is %s, without a text', async (_, marker) => {
    const refused = { exception: 'InvalidMarkerException', code: 'InvalidArgument', message: '' };
    expect(await failureOf(aliases.listAliases({ marker }))).toMatchObject(refused);
    expect(await failureOf(aliases.listAliases({ marker, keyId: bare.keyId }))).toMatchObject(refused);
  });

  it.each([
    ['limit', { limit: 0 }, /'0' at 'limit' .* value greater than or equal to 1$/],
    ['limit', { limit: 1_001 }, /'1001' at 'limit' .* value less than or equal to 1000$/],
    ['marker', { marker: '' }, /'' at 'marker' .* length greater than or equal to 1$/],
    ['marker', { marker: 'ā' }, /'ā' at 'marker' .* pattern: \^\[\\u0020-\\u00FF\]\*\$$/],
    ['keyId', { keyId: '' }, /'' at 'keyId' .* length greater than or equal to 1$/],
  ])('refuses a %s that is out of its limits', async (_, request, sentence) => {
    expect(await failureOf(aliases.listAliases(request))).toMatchObject({
      exception: 'ValidationException',
      message: expect.stringMatching(sentence),
    });
  });

  it('of an alias or of an unknown key is refused', async () => {
    const failures = ['alias/0/2', '00000000-0000-4000-8000-000000000000'].map((keyId) =>
      failureOf(aliases.listAliases({ keyId })),
    );
    expect(await Promise.all(failures)).toMatchObject([
      { exception: 'InvalidArnException' },
      { exception: 'NotFoundException' },
    ]);
  });

  it('goes on where the alias of the marker was deleted meanwhile', async () => {
    const { keyId } = await makeKey(running.clients.gRPC);
    for (const name of ['a', 'b', 'c', 'd']) {
      await aliases.createAlias({ aliasName: `alias/walk/${name}`, targetKeyId: keyId });
    }
    const { nextMarker } = await aliases.listAliases({ keyId, limit: 2 });
    await aliases.deleteAlias({ aliasName: 'alias/walk/b' });
    const rest = await aliases.listAliases({ keyId, limit: 2, marker: nextMarker! });
    expect(rest.aliases.map(({ aliasName }) => aliasName)).toEqual(['alias/walk/c', 'alias/walk/d']);
    for (const name of ['a', 'c', 'd']) await aliases.deleteAlias({ aliasName: `alias/walk/${name}` });
  });

  it('is not kept from the others by an alias whose record is damaged', async () => {
    damaged.add(paths.alias('alias/0/0'));
    const found = await walk({}).finally(() => damaged.clear());
    expect(found.flat().filter((name) => name !== 'alias/0/0')).toEqual(namesOf().slice(1));
  });
});
