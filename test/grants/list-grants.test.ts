import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import type { GrantListEntry } from '../../src/gen/hmacd/v1/grant_pb.ts';
import { WIRES } from '../support/clients.ts';
import {
  allowTo,
  arnOf,
  LEFT_TO_ACCOUNT,
  notAllowed,
  type Person,
  refusalOf,
  unknownTo,
  VERIFY_MAC,
  World,
} from './world.ts';

const MINUTE = 60_000;

interface Page {
  readonly grants: readonly GrantListEntry[];
  readonly nextMarker?: string | undefined;
  readonly truncated: boolean;
}

/** The IDs on each page of a list. */
async function pagesOf(list: (marker: string | undefined) => Promise<Page>): Promise<string[][]> {
  const pages: string[][] = [];
  for (let marker: string | undefined; ;) {
    const { grants, nextMarker, truncated } = await list(marker);
    pages.push(grants.map(({ grantId }) => grantId));
    expect(nextMarker !== undefined).toBe(truncated);
    if (!truncated) return pages;
    marker = nextMarker!;
  }
}

async function makeGrants(world: World, count: number, init = {}): Promise<string[]> {
  const made = await Promise.all(Array.from({ length: count }, () => world.grant(init)));
  return made.map(({ grantId }) => grantId).toSorted();
}

/** What each of three lists has. */
const all = (ids: readonly string[]): (readonly string[])[] => [ids, ids, ids];

const sizesOf = (pages: readonly string[][]): number[] => pages.map(({ length }) => length);

describe('ListGrants', () => {
  it('lists 250 grants in the order of their IDs, in pages of at most 100', { timeout: 60_000 }, async () => {
    const world = await World.start();
    const { keyId } = world;
    const made: string[] = [];
    for (let n = 0; n < 10; n++) made.push(...(await makeGrants(world, 25)));
    made.sort();
    const sizes = [
      [undefined, [50, 50, 50, 50, 50]],
      [100, [100, 100, 50]],
      [1_000, [100, 100, 50]],
      [125, [100, 100, 50]],
      [60, [60, 60, 60, 60, 10]],
    ] as const;
    for (const wire of WIRES) {
      const { grants } = world.over(wire, 'admin');
      for (const [limit, expected] of sizes) {
        const pages = await pagesOf((marker) =>
          grants.listGrants({ keyId, ...(limit !== undefined && { limit }), ...(marker !== undefined && { marker }) }),
        );
        expect(sizesOf(pages)).toEqual(expected);
        expect(pages.flat()).toEqual(made);
      }
    }
    const one = await pagesOf((marker) =>
      world.as('admin').grants.listGrants({ keyId, limit: 1, ...(marker !== undefined && { marker }) }),
    );
    expect(one.flat()).toEqual(made);
    expect(one.length).toBe(250);
  });

  it('lists only what is asked for, and only of the key', async () => {
    const world = await World.start();
    const { grants } = world.as('admin');
    const { keyId } = world;
    const ofOrders = await makeGrants(world, 7);
    const ofBilling = await makeGrants(world, 5, { granteePrincipal: arnOf('billing') });
    const { keyId: otherKey } = await world.makeKey();
    const [ofOther] = await makeGrants(world, 1, { keyId: otherKey });
    const idsOf = async (request: object) =>
      (await grants.listGrants({ keyId, ...request })).grants.map(({ grantId }) => grantId);
    expect(await idsOf({})).toEqual([...ofOrders, ...ofBilling].toSorted());
    expect(await idsOf({ keyId: otherKey })).toEqual([ofOther]);
    const granteePrincipal = arnOf('orders');
    expect(await idsOf({ granteePrincipal })).toEqual(ofOrders);
    const pages = await pagesOf((marker) =>
      grants.listGrants({ keyId, granteePrincipal, limit: 3, ...(marker !== undefined && { marker }) }),
    );
    expect(pages).toEqual([ofOrders.slice(0, 3), ofOrders.slice(3, 6), ofOrders.slice(6)]);
    // Neither a session's role nor the account stands for the principal itself.
    for (const nobody of [arnOf('session'), arnOf('root'), 'arn:aws:iam::000000000000:role/order']) {
      expect(await idsOf({ granteePrincipal: nobody })).toEqual([]);
    }
    expect(await idsOf({ grantId: ofOrders[3] })).toEqual([ofOrders[3]]);
    expect(await idsOf({ grantId: ofOrders[3], granteePrincipal })).toEqual([ofOrders[3]]);
    expect(await idsOf({ grantId: ofOrders[3], granteePrincipal: arnOf('billing') })).toEqual([]);
    for (const grantId of [ofOther!, 'f'.repeat(64), '../grants', 'x']) {
      expect(await idsOf({ grantId })).toEqual([]);
    }
  });

  it('refuses what is not a marker of it, and what is not within its limits', async () => {
    const world = await World.start();
    const { keyId } = world;
    const { grants } = world.as('admin');
    await makeGrants(world, 2);
    const { nextMarker } = await grants.listGrants({ keyId, limit: 1 });
    const markers = ['x', `${nextMarker!}A`, `${nextMarker!}=`, Buffer.from('x').toString('base64url'), 'ü'];
    for (const marker of markers) {
      expect(await refusalOf(grants.listGrants({ keyId, marker }))).toEqual(['InvalidMarkerException', '']);
    }
    const invalid = ['InvalidArnException', 'ARN is not valid: orders'];
    expect(await refusalOf(grants.listGrants({ keyId, granteePrincipal: 'orders' }))).toEqual(invalid);
    const failed = 'failed to satisfy constraint: Member must have';
    const cases: [object, string][] = [
      [{ keyId: '' }, `Value '' at 'keyId' ${failed} length greater than or equal to 1`],
      [{ limit: 0 }, `Value '0' at 'limit' ${failed} value greater than or equal to 1`],
      [{ limit: 1_001 }, `Value '1001' at 'limit' ${failed} value less than or equal to 1000`],
      [{ marker: '' }, `Value '' at 'marker' ${failed} length greater than or equal to 1`],
      [{ grantId: '' }, `Value '' at 'grantId' ${failed} length greater than or equal to 1`],
      [
        { grantId: 'a'.repeat(129) },
        `Value '${'a'.repeat(129)}' at 'grantId' ${failed} length less than or equal to 128`,
      ],
    ];
    for (const [request, sentence] of cases) {
      expect(await refusalOf(grants.listGrants({ keyId, ...request }))).toEqual([
        'ValidationException',
        `1 validation error detected: ${sentence}`,
      ]);
    }
  });

  it('refuses callers who may not', async () => {
    const world = await World.start();
    const { keyId, arn } = world;
    const list = (person: 'orders' | 'partner') => refusalOf(world.as(person).grants.listGrants({ keyId }));
    expect(await list('orders')).toEqual(notAllowed('orders', 'ListGrants', arn));
    expect(await list('partner')).toEqual(unknownTo('partner', 'ListGrants'));
    const unknown = world.as('admin').grants.listGrants({ keyId: crypto.randomUUID() });
    expect((await refusalOf(unknown))[0]).toBe('NotFoundException');
    await world.putPolicy([LEFT_TO_ACCOUNT, allowTo('partner', 'kms:ListGrants')]);
    expect((await world.as('partner').grants.listGrants({ keyId: arn })).grants).toEqual([]);
  });
});

const denied = (person: Person): string[] => [
  'AccessDeniedException',
  `User: ${arnOf(person)} is not authorized to perform: kms:ListRetirableGrants on resource: * because no identity-based policy allows the kms:ListRetirableGrants action`,
];

describe('ListRetirableGrants', () => {
  it('lists what a principal may retire, of all keys, a page at a time', async () => {
    const world = await World.start();
    const { grants } = world.as('admin');
    const retiringPrincipal = arnOf('billing');
    const keyIds = [world.keyId, (await world.makeKey()).keyId, (await world.makeKey()).keyId];
    const made: string[] = [];
    for (const keyId of keyIds) made.push(...(await makeGrants(world, 40, { keyId, retiringPrincipal })));
    await makeGrants(world, 3, { retiringPrincipal: arnOf('orders') });
    await makeGrants(world, 3, { granteePrincipal: retiringPrincipal });
    for (const wire of WIRES) {
      for (const [limit, expected] of [
        [undefined, [50, 50, 20]],
        [1_000, [100, 20]],
        [45, [45, 45, 30]],
      ] as const) {
        const pages = await pagesOf((marker) =>
          world.over(wire, 'admin').grants.listRetirableGrants({
            retiringPrincipal,
            ...(limit !== undefined && { limit }),
            ...(marker !== undefined && { marker }),
          }),
        );
        expect(sizesOf(pages)).toEqual(expected);
        expect(pages.flat().toSorted()).toEqual(made.toSorted());
      }
    }
    const { grants: listed } = await grants.listRetirableGrants({ retiringPrincipal: arnOf('orders') });
    expect(listed.length).toBe(3);
    expect(new Set(listed.map(({ keyId }) => keyId))).toEqual(new Set([world.arn]));
  });

  it('refuses what is not a marker of it, what is no principal, and principals of other accounts', async () => {
    const world = await World.start();
    const { grants } = world.as('admin');
    const retiringPrincipal = arnOf('billing');
    await makeGrants(world, 2, { retiringPrincipal });
    const { nextMarker } = await grants.listRetirableGrants({ retiringPrincipal, limit: 1 });
    const { nextMarker: ofKey } = await grants.listGrants({ keyId: world.keyId, limit: 1 });
    for (const marker of ['x', `${nextMarker!}A`, ofKey!]) {
      expect(await refusalOf(grants.listRetirableGrants({ retiringPrincipal, marker }))).toEqual([
        'InvalidMarkerException',
        '',
      ]);
    }
    const list = (arn: string, person: 'admin' | 'partner' | 'orders' = 'admin') =>
      refusalOf(world.as(person).grants.listRetirableGrants({ retiringPrincipal: arn }));
    expect(await list('billing')).toEqual(['InvalidArnException', 'ARN is not valid: billing']);
    expect(await list(arnOf('partner'))).toEqual(denied('admin'));
    expect(await list(retiringPrincipal, 'partner')).toEqual(denied('partner'));
    expect(await list(retiringPrincipal, 'orders')).toEqual(denied('orders'));
    expect((await refusalOf(grants.listRetirableGrants({})))[1]).toBe(
      "1 validation error detected: Value null at 'retiringPrincipal' failed to satisfy constraint: Member must not be null",
    );
  });

  it('lists to callers of another account what their principals may retire here', async () => {
    const world = await World.start();
    const [grantId] = await makeGrants(world, 1, { retiringPrincipal: arnOf('partnerWithout') });
    const request = { retiringPrincipal: arnOf('partnerWithout') };
    const { grants } = await world.as('partner').grants.listRetirableGrants(request);
    expect(grants.map((entry) => entry.grantId)).toEqual([grantId]);
  });
});

describe('a list', () => {
  it('has no grant from its expiry on, swept or not', async () => {
    const world = await World.start();
    const retiringPrincipal = arnOf('billing');
    const expiresAt = timestampFromMs(world.clock.now() + MINUTE);
    const [stays] = await makeGrants(world, 1, { retiringPrincipal, operations: [VERIFY_MAC] });
    const ends = await makeGrants(world, 3, { retiringPrincipal, expiresAt });
    const { grants } = world.as('admin');
    const idsOf = async () =>
      (
        await Promise.all([
          grants.listGrants({ keyId: world.keyId }),
          grants.listGrants({ keyId: world.keyId, granteePrincipal: arnOf('orders') }),
          grants.listRetirableGrants({ retiringPrincipal }),
        ])
      ).map((list) => list.grants.map(({ grantId }) => grantId).toSorted());
    world.clock.advance(MINUTE - 1);
    expect(await idsOf()).toEqual(all([stays!, ...ends].toSorted()));
    world.clock.advance(1);
    expect(await idsOf()).toEqual(all([stays!]));
    expect((await grants.listGrants({ keyId: world.keyId, grantId: ends[0]! })).grants).toEqual([]);
    const { keyId } = world;
    const again = await pagesOf((marker) => grants.listGrants({ keyId, limit: 1, ...(marker && { marker }) }));
    expect(again.flat()).toEqual([stays]);
  });
});
