import { describe, expect, it } from 'vitest';
import { isAccountRoot, isPrincipalArn, NOBODY, principalOf } from '../../src/access/principal.ts';

const ACCOUNT = '000000000000';

describe('a principal', () => {
  it.each([
    [`arn:aws:iam::${ACCOUNT}:root`, []],
    [`arn:aws:iam::${ACCOUNT}:user/ann`, []],
    [`arn:aws:iam::${ACCOUNT}:role/team/orders`, []],
    [`arn:aws:sts::${ACCOUNT}:assumed-role/orders/1@x`, [`arn:aws:iam::${ACCOUNT}:role/orders`]],
    [`arn:aws-cn:sts::${ACCOUNT}:federated-user/ann`, []],
  ])('%s is known by its ARN, and a session by its role too', (arn, more) => {
    const principal = principalOf(arn, [], 'bearer');
    expect(principal).toMatchObject({ arn, accountId: ACCOUNT, names: [arn, ...more], authentication: 'bearer' });
    expect(isAccountRoot(principal)).toBe(arn.endsWith(':root'));
  });

  it.each(['"', '\\', '\n', '\u0000', '\u2028', 'é', ' ', '{', '*', ':'])(
    'has an ARN that JSON need not escape, and no policy takes for a pattern: not with %j',
    (character) => {
      const arn = `arn:aws:iam::${ACCOUNT}:user/a${character}`;
      expect(isPrincipalArn(arn)).toBe(false);
      expect(() => principalOf(arn, [], 'bearer')).toThrow('is not the ARN of');
    },
  );

  it('is nobody before it is known, and nobody is no root', () => expect(isAccountRoot(NOBODY)).toBe(false));
});
