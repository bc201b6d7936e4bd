import { hash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import { anonymousAuthenticator, type Authenticator, CredentialAuthenticator } from '../../src/access/authenticator.ts';
import { LivePrincipals } from '../../src/access/live-principals.ts';
import { KmsError } from '../../src/errors.ts';
import { openLog } from '../../src/log.ts';
import { temporaryFolder } from '../support/deployment.ts';
import { FakeClock } from '../support/running-service.ts';
import { AUDIENCE, ISSUER, makeIssuer } from './oidc-tokens.ts';

const ONE = 'arn:aws:iam::000000000000:role/one';
const TWO = 'arn:aws:iam::000000000000:role/two';
const MISSING = 'MissingAuthenticationTokenException';
const INVALID = 'UnrecognizedClientException';
const log = openLog('silent');

function makeAuthenticator(clock = new FakeClock(), oidc: readonly object[] = []): Authenticator {
  const path = join(temporaryFolder(), 'principals.yaml');
  const document = {
    principals: [
      { arn: ONE, bearer_tokens: [{ sha256: hash('sha256', 'one') }], tls_identities: ['one', 'uno'] },
      { arn: TWO, bearer_tokens: [{ sha256: hash('sha256', 'a.b.c') }], tls_identities: ['two'] },
    ],
    oidc,
  };
  writeFileSync(path, stringify(document));
  const principals = new LivePrincipals(path, log);
  onTestFinished(() => principals.close());
  const deployment = { partition: 'aws', region: 'us-east-1', accountId: '0'.repeat(12) };
  return new CredentialAuthenticator(principals, deployment, clock, log);
}

/** The ARN of whom an authenticator takes the caller for at once, or the exception. */
function outcomeOf(authenticator: Authenticator, authorization: string | undefined, names: readonly string[]): string {
  try {
    const principal = authenticator.authenticate({ authorization, tlsIdentities: () => names });
    return principal instanceof Promise ? 'later' : principal.arn;
  } catch (error) {
    if (error instanceof KmsError) return error.exception;
    throw error;
  }
}

describe('a caller', () => {
  it.each<readonly [string | undefined, readonly string[], string]>([
    [undefined, [], MISSING],
    ['', [], MISSING],
    ['Basic YTpi', [], MISSING],
    ['Bearer one', [], ONE],
    ['bearer a.b.c', [], TWO],
    ['Bearer two', [], INVALID],
    ['Bearer x.y.z', [], INVALID],
    ['Bearer', [], INVALID],
    ['Bearer one, Bearer one', [], INVALID],
    ['Bearer one', ['two'], ONE],
    ['Bearer two', ['two'], INVALID],
    ['Bearer', ['two'], INVALID],
    ['Basic YTpi', ['two'], TWO],
    [undefined, ['two'], TWO],
    [undefined, ['other', 'one', 'uno'], ONE],
    [undefined, ['other'], INVALID],
    [undefined, ['one', 'two'], INVALID],
    [undefined, ['two', 'other', 'one'], INVALID],
  ])('who shows %j and the names %j is %s', (authorization, names, outcome) => {
    expect(outcomeOf(makeAuthenticator(), authorization, names)).toBe(outcome);
  });

  it('with a JSON Web Token is nobody where there are no issuers', async () => {
    const token = await (await makeIssuer()).sign();
    expect(outcomeOf(makeAuthenticator(), `Bearer ${token}`, [])).toBe(INVALID);
  });

  it('is the root of the account, whatever it shows, where everybody is', () => {
    const anonymous = anonymousAuthenticator({ partition: 'aws', region: 'eu-central-1', accountId: '111111111111' });
    for (const authorization of [undefined, 'Bearer', 'Bearer one']) {
      expect(outcomeOf(anonymous, authorization, [])).toBe('arn:aws:iam::111111111111:root');
    }
  });
});

it('a JSON Web Token is not remembered for longer than it is good for', async () => {
  const clock = new FakeClock(Date.now());
  const issuer = await makeIssuer();
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'jwks.json'), JSON.stringify(issuer.keySet));
  const common = { issuer: ISSUER, audience: AUDIENCE, algorithms: ['ES256'], jwks_file: join(folder, 'jwks.json') };
  const authenticator = makeAuthenticator(clock, [
    { ...common, arn_template: 'arn:aws:iam::000000000000:role/{claim}' },
  ]);
  const authorization = `Bearer ${await issuer.sign({ exp: Math.floor(clock.now() / 1_000) + 600 })}`;
  const evidence = { authorization, tlsIdentities: () => [] };
  expect((await authenticator.authenticate(evidence)).arn).toBe('arn:aws:iam::000000000000:role/orders');
  expect(outcomeOf(authenticator, authorization, [])).toBe('arn:aws:iam::000000000000:role/orders');
  clock.advance(661_000);
  const late = async () => await authenticator.authenticate(evidence);
  await expect(late()).rejects.toMatchObject({ exception: 'ExpiredTokenException' });
});
