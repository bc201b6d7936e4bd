import { createSecretKey, randomBytes } from 'node:crypto';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import { issueToken } from '../../src/grants/grant-token.ts';
import { WIRES } from '../support/clients.ts';
import {
  arnOf,
  CREATE_GRANT,
  DESCRIBE_KEY,
  GENERATE_MAC,
  macRequest,
  outcomeOf,
  refusalOf,
  VERIFY_MAC,
  World,
} from './world.ts';

const DENIED = 'AccessDeniedException';
const SECOND = 1_000;
const DELAYED = { GRANT_DELAY: '5s' };

describe.each(WIRES)('over %s, a grant token', (wire) => {
  it('lets a grant count at once that counts without it only after the delay', async () => {
    const world = await World.start(DELAYED);
    const { keyId } = world;
    const { mac, keys, grants } = world.over(wire, 'orders');
    const { grantToken } = await world.grant({ operations: [GENERATE_MAC, VERIFY_MAC, DESCRIBE_KEY, CREATE_GRANT] });
    const { mac: made } = await world.as('root').mac.generateMac(macRequest(keyId));
    const calls = (grantTokens: string[]) => [
      mac.generateMac({ ...macRequest(keyId), grantTokens }),
      mac.verifyMac({ ...macRequest(keyId), mac: made, grantTokens }),
      keys.describeKey({ keyId, grantTokens }),
      grants.createGrant(world.request({ granteePrincipal: arnOf('billing'), grantTokens })),
    ];
    const outcomes = (tokens: string[]) => Promise.all(calls(tokens).map(outcomeOf));
    expect(await outcomes([])).toEqual(Array(4).fill(DENIED));
    expect(await outcomes([grantToken])).toEqual(Array(4).fill('OK'));
    expect(await outcomes([])).toEqual(Array(4).fill(DENIED));
    world.clock.advance(5 * SECOND - 1);
    expect(await outcomes([])).toEqual(Array(4).fill(DENIED));
    world.clock.advance(1);
    expect(await outcomes([])).toEqual(Array(4).fill('OK'));
  });

  it('that was never issued is refused, whatever else allows the call', async () => {
    const world = await World.start();
    const { grantToken } = await world.grant();
    const { keyId } = world;
    const claims = { keyId, grantId: 'f'.repeat(64), issuedAt: world.clock.now() };
    const forged = issueToken(createSecretKey(randomBytes(32)), claims);
    for (const token of ['x', 'ü', forged, `${grantToken}A`, grantToken.slice(0, -1)]) {
      const invalid = ['InvalidGrantTokenException', ''];
      const grantTokens = [grantToken, token];
      for (const person of ['orders', 'root'] as const) {
        const { mac, keys, grants } = world.over(wire, person);
        expect(await refusalOf(mac.generateMac({ ...macRequest(keyId), grantTokens }))).toEqual(invalid);
        expect(await refusalOf(keys.describeKey({ keyId, grantTokens }))).toEqual(invalid);
        expect(await refusalOf(grants.createGrant(world.request({ grantTokens })))).toEqual(invalid);
      }
    }
  });
});

describe('a grant token', () => {
  it('adds nothing to what another caller may', async () => {
    const world = await World.start(DELAYED);
    const { grantToken } = await world.grant();
    for (const person of ['billing', 'stranger', 'partner', 'partnerWithout'] as const) {
      expect(await world.generate(person, [grantToken], world.arn)).toBe(DENIED);
    }
    expect(await world.generate('session', [grantToken])).toBe('OK');
  });

  it('adds nothing to what the grant does not allow, nor with another key', async () => {
    const world = await World.start(DELAYED);
    const { grantToken } = await world.grant();
    const { keyId } = await world.makeKey();
    expect(await world.generate('orders', [grantToken], keyId)).toBe(DENIED);
    const { keys } = world.as('orders');
    expect(await outcomeOf(keys.describeKey({ keyId: world.keyId, grantTokens: [grantToken] }))).toBe(DENIED);
  });

  it('adds nothing when its grant was revoked, was retired, or has expired', async () => {
    const world = await World.start(DELAYED);
    const { keyId } = world;
    const tokens: string[] = [];
    for (const takeBack of [
      (grantId: string) => world.as('admin').grants.revokeGrant({ keyId, grantId }),
      (grantId: string) => world.as('root').grants.retireGrant({ keyId: world.arn, grantId }),
      async () => world.clock.advance(SECOND),
    ]) {
      const expiresAt = timestampFromMs(world.clock.now() + SECOND);
      const { grantId, grantToken } = await world.grant({ expiresAt });
      expect(await world.generate('orders', [grantToken])).toBe('OK');
      await takeBack(grantId);
      expect(await world.generate('orders', [grantToken])).toBe(DENIED);
      tokens.push(grantToken);
    }
    const { grantToken } = await world.grant();
    expect(await world.generate('orders', tokens)).toBe(DENIED);
    expect(await world.generate('orders', [...tokens, grantToken])).toBe('OK');
    // Who may without them may with them.
    expect(await world.generate('root', tokens)).toBe('OK');
  });

  it('that was used before its grant could be seen is of use as soon as it can', async () => {
    const world = await World.start(DELAYED);
    const first = await world.grant({ name: 'n' });
    await world.generate('orders', [first.grantToken]);
    const again = await world.grant({ name: 'n' });
    expect(again.grantId).toBe(first.grantId);
    expect(await world.generate('orders', [again.grantToken])).toBe('OK');
  });

  it.each([
    ['1s', SECOND],
    ['90s', 90 * SECOND],
  ])('is worth something for HMACD_GRANT_TOKEN_TTL=%s, and its grant for longer', async (ttl, milliseconds) => {
    const world = await World.start({ GRANT_DELAY: '1h', GRANT_TOKEN_TTL: ttl });
    const { grantToken } = await world.grant({ name: 'n' });
    world.clock.advance(milliseconds - 1);
    expect(await world.generate('orders', [grantToken])).toBe('OK');
    world.clock.advance(1);
    expect(await world.generate('orders', [grantToken])).toBe(DENIED);
    const again = await world.grant({ name: 'n' });
    expect(await world.generate('orders', [grantToken, again.grantToken])).toBe('OK');
    world.clock.advance(3_600 * SECOND);
    expect(await world.generate('orders')).toBe('OK');
    // It still says which grant is meant.
    expect(await outcomeOf(world.as('root').grants.retireGrant({ grantToken }))).toBe('OK');
    expect(await world.generate('orders')).toBe(DENIED);
  });

  it('is worth something for ever unless HMACD_GRANT_TOKEN_TTL says otherwise', async () => {
    const world = await World.start({ GRANT_DELAY: '1h' });
    const { grantToken } = await world.grant();
    world.clock.advance(3_600 * SECOND - 1);
    expect(await world.generate('orders')).toBe(DENIED);
    expect(await world.generate('orders', [grantToken])).toBe('OK');
  });

  it('is taken ten at a time, and no more', async () => {
    const world = await World.start(DELAYED);
    const made = [];
    for (let n = 0; n < 11; n++)
      made.push(await world.grant({ granteePrincipal: arnOf(n === 9 ? 'orders' : 'billing') }));
    const tokens = made.map(({ grantToken }) => grantToken);
    expect(await world.generate('orders', tokens.slice(0, 10))).toBe('OK');
    const { mac } = world.as('orders');
    for (const [grantTokens, constraint] of [
      [tokens, 'Member must have length less than or equal to 10'],
      [
        [''],
        'Member must satisfy constraint: [Member must have length less than or equal to 8192, Member must have length greater than or equal to 1]',
      ],
    ] as const) {
      expect(await refusalOf(mac.generateMac({ ...macRequest(world.keyId), grantTokens: [...grantTokens] }))).toEqual([
        'ValidationException',
        `1 validation error detected: Value at 'grantTokens' failed to satisfy constraint: ${constraint}`,
      ]);
    }
  });
});
