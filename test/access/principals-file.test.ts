import { hash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { LivePrincipals } from '../../src/access/live-principals.ts';
import { readPrincipalsFile } from '../../src/access/principals-file.ts';
import { openLog } from '../../src/log.ts';
import { temporaryFolder } from '../support/deployment.ts';
import { AUDIENCE, ISSUER, makeIssuer } from './oidc-tokens.ts';

const ORDERS = 'arn:aws:iam::000000000000:role/orders';
const OTHER = 'arn:aws:iam::111111111111:user/ann';
const TOKEN = 'recognisable-token';
const digest = (token: string) => hash('sha256', token);
const policy = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: 'kms:VerifyMac', Resource: '*' }] };
const issuer = await makeIssuer();

/** The path of a principals file, beside a secret and a key set. */
function fileWith(document: unknown): string {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'orders.secret'), 'recognisable-secret\n');
  writeFileSync(join(folder, 'empty.secret'), '\n');
  writeFileSync(join(folder, 'jwks.json'), JSON.stringify(issuer.keySet));
  writeFileSync(join(folder, 'private.json'), JSON.stringify({ keys: [{ kty: 'oct', k: 'c2VjcmV0' }] }));
  const path = join(folder, 'principals.yaml');
  writeFileSync(path, typeof document === 'string' ? document : stringify(document));
  return path;
}

const oidc = {
  issuer: ISSUER,
  audience: AUDIENCE,
  algorithms: ['ES256'],
  jwks_file: 'jwks.json',
  arn_template: 'arn:aws:iam::000000000000:role/{claim}',
};

function problemsOf(document: unknown): string[] {
  const path = fileWith(document);
  try {
    readPrincipalsFile(path);
  } catch (error) {
    const { message } = error as Error;
    if (!message.includes(path)) throw error;
    return message
      .slice(message.indexOf(path) + path.length)
      .replace(/^ is wrong: /, '')
      .split('; ');
  }
  return [];
}

describe('a principals file', () => {
  it('tells who may call, by every kind of credential', () => {
    const { principals } = readPrincipalsFile(
      fileWith({
        principals: [
          {
            arn: ORDERS,
            bearer_tokens: [{ sha256: digest(TOKEN).toUpperCase() }, { sha256: digest('second') }],
            tls_identities: ['spiffe://example.org/orders', 'orders.example'],
            access_keys: [{ id: 'AKIAEXAMPLEORDERS', secret_file: 'orders.secret' }],
            policies: [policy],
          },
          { arn: OTHER },
        ],
      }),
    );
    expect(principals.byBearerToken(digest(TOKEN))).toMatchObject({ arn: ORDERS, authentication: 'bearer' });
    expect(principals.byBearerToken(digest('second'))?.policies.length).toBe(1);
    expect(principals.byTlsIdentity('spiffe://example.org/orders')).toMatchObject({
      arn: ORDERS,
      authentication: 'tls',
    });
    expect(principals.byTlsIdentity('orders.example')?.arn).toBe(ORDERS);
    const accessKey = principals.accessKey('AKIAEXAMPLEORDERS');
    expect(accessKey?.principal).toMatchObject({ arn: ORDERS, authentication: 'sigv4' });
    expect(accessKey?.signingSecret.export().toString()).toBe('AWS4recognisable-secret');
    expect(principals.policiesOf(ORDERS)?.length).toBe(1);
    expect(principals.policiesOf(OTHER)).toEqual([]);
    expect(principals.byBearerToken(digest('third'))).toBeUndefined();
    expect(principals.byTlsIdentity('example')).toBeUndefined();
    expect(principals.accessKey('__proto__')).toBeUndefined();
    expect(principals.policiesOf(`${ORDERS}-2`)).toBeUndefined();
  });

  it('tells whom the claims of an issuer mean', () => {
    const { principals } = readPrincipalsFile(
      fileWith({
        principals: [{ arn: ORDERS, policies: [policy, policy] }],
        oidc: [
          { ...oidc, principals: { 'system:serviceaccount:a:b': OTHER, admin: ORDERS }, policies: [policy] },
          { ...oidc, issuer: 'https://second', arn_template: 'arn:aws:sts::000000000000:assumed-role/orders/{claim}' },
        ],
      }),
    );
    const first = principals.issuer(ISSUER)!;
    const found = (claim: string, by = first) => {
      const principal = principals.byClaim(by, claim);
      return principal && [principal.arn, principal.policies.length, principal.authentication];
    };
    expect(found('system:serviceaccount:a:b')).toEqual([OTHER, 1, 'jwt']);
    expect(found('admin')).toEqual([ORDERS, 2, 'jwt']);
    expect(found('orders')).toEqual([ORDERS, 2, 'jwt']);
    expect(found('web')).toEqual(['arn:aws:iam::000000000000:role/web', 1, 'jwt']);
    const session = 'arn:aws:sts::000000000000:assumed-role/orders/ann@example.org';
    expect(found('ann@example.org', principals.issuer('https://second'))).toEqual([session, 2, 'jwt']);
    for (const claim of ['', 'a/b', 'a:b', 'a b', 'a"b', '{claim}', '../x', 'é', '__proto__/']) {
      expect([claim, found(claim)]).toEqual([claim, undefined]);
    }
  });

  it.each<readonly [string, unknown, readonly string[]]>([
    ['nothing', '', ['it must be an object', 'principals must be a list']],
    ['what is not YAML', 'principals: [', [' cannot be read: line 1 is not YAML']],
    [
      'a member that stands there twice',
      'principals: []\noidc: []\noidc: []',
      [' cannot be read: line 3 repeats a member'],
    ],
    ['what has an alias of nothing', 'principals: *nothing', [' cannot be read: it is not YAML']],
    ['what is not YAML further down', 'principals:\n  - arn: a\n b: {', [' cannot be read: line 3 is not YAML']],
    ['a list', [], ['it must be an object', 'principals must be a list']],
    ['an unknown member', { principals: [], oicd: [] }, ['has a member that is none of principals, oidc']],
    [
      'an unknown member of a principal',
      { principals: [{ arn: ORDERS, tokens: [] }] },
      ['principals[0] has a member that is none of arn, bearer_tokens, tls_identities, access_keys, policies'],
    ],
    [
      'wrong types',
      { principals: [{ arn: 1, bearer_tokens: {}, tls_identities: 'a', access_keys: [1] }] },
      [
        'principals[0].arn must be the ARN of a user, a role, a session or the root of an account, in quotes',
        'principals[0].bearer_tokens must be a list',
        'principals[0].tls_identities must be a list',
        'principals[0].access_keys[0] must be an object',
        'principals[0].access_keys[0].id must be 16 to 128 letters, digits or underscores',
        'principals[0].access_keys[0].secret_file must be a path',
      ],
    ],
    [
      'a token in the place of its digest',
      { principals: [{ arn: ORDERS, bearer_tokens: [{ sha256: digest('a') }, { sha256: TOKEN }] }] },
      ['principals[0].bearer_tokens[1].sha256 must be the SHA-256 of a token in 64 hexadecimal digits'],
    ],
    ...['*.example.org', 'Orders.example', 'https://a.example', 'spiffe://A/b', 'spiffe://a/', 'a b', ''].map(
      (identity) =>
        [
          `the identity ${identity}`,
          { principals: [{ arn: ORDERS, tls_identities: [identity] }] },
          [
            'principals[0].tls_identities[0] must be a SPIFFE ID such as spiffe://example.org/orders, or a DNS name in lower case without a wildcard',
          ],
        ] as const,
    ),
    [
      'secrets that are not there',
      {
        principals: [
          {
            arn: ORDERS,
            access_keys: [
              { id: 'AKIAEXAMPLEORDER1', secret_file: 'none' },
              { id: 'AKIAEXAMPLEORDER2', secret_file: 'empty.secret' },
            ],
          },
        ],
      },
      [
        'principals[0].access_keys[0].secret_file cannot be read: ENOENT',
        'principals[0].access_keys[1].secret_file is empty',
      ],
    ],
    [
      'what is there twice',
      {
        principals: [
          {
            arn: ORDERS,
            bearer_tokens: [{ sha256: digest(TOKEN) }],
            tls_identities: ['a'],
            access_keys: [{ id: 'AKIAEXAMPLEORDERS', secret_file: 'orders.secret' }],
          },
          {
            arn: OTHER,
            bearer_tokens: [{ sha256: digest(TOKEN).toUpperCase() }],
            tls_identities: ['a'],
            access_keys: [{ id: 'AKIAEXAMPLEORDERS', secret_file: 'orders.secret' }],
          },
          { arn: ORDERS },
          { arn: ORDERS.replace(':role/', ':role/team/') },
        ],
        oidc: [oidc, oidc],
      },
      [
        'principals[1].bearer_tokens[0].sha256 is the same token as principals[0].bearer_tokens[0].sha256',
        'principals[1].tls_identities[0] is the same TLS identity as principals[0].tls_identities[0]',
        'principals[1].access_keys[0].id is the same access key as principals[0].access_keys[0].id',
        'principals[2].arn is the same principal as principals[0].arn',
        'principals[3].arn is the same principal as principals[0].arn',
        'oidc[1] is the same issuer as oidc[0]',
      ],
    ],
    [
      'a root with policies',
      { principals: [{ arn: 'arn:aws:iam::000000000000:root', policies: [policy] }] },
      ['principals[0].policies must not be there: a root needs none'],
    ],
    ...['none', 'HS256', 'HS512', 'es256', ''].map(
      (algorithm) =>
        [
          `the algorithm ${algorithm}`,
          { principals: [], oidc: [{ ...oidc, algorithms: ['ES256', algorithm] }] },
          [
            'oidc[0].algorithms[1] must be one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519',
          ],
        ] as const,
    ),
    [
      'an issuer without what it needs',
      { principals: [], oidc: [{}] },
      [
        'oidc[0] must have either jwks_file or jwks_url',
        'oidc[0] must have principals or arn_template',
        'oidc[0].algorithms must name an algorithm',
        'oidc[0].issuer must be a text',
        'oidc[0].audience must be a text',
      ],
    ],
    ...[
      'arn:aws:iam::000000000000:{claim}',
      'arn:aws:iam::{claim}:role/x',
      'arn:{claim}:iam::000000000000:role/x',
      'arn:aws:iam::000000000000:role/x',
      'arn:aws:iam::000000000000:role/{claim}/{claim}',
      'arn:aws:iam::000000000000:role/{sub}',
      'arn:aws:s3::000000000000:role/{claim}',
      '{claim}',
    ].map(
      (template) =>
        [
          `the template ${template}`,
          { principals: [], oidc: [{ ...oidc, arn_template: template }] },
          ['oidc[0].arn_template must be the ARN of a user, a role or a session with {claim} once in its name'],
        ] as const,
    ),
    ...['http://issuer.example/keys', 'https://u:p@issuer.example/keys', 'ftp://a', 'keys', 'file:///etc/passwd'].map(
      (url) =>
        [
          `keys at ${url}`,
          { principals: [], oidc: [{ ...oidc, jwks_file: undefined, jwks_url: url }] },
          ['oidc[0].jwks_url must be a URL of https, or of http on this machine, without a password'],
        ] as const,
    ),
    [
      'keys that are no public keys',
      { principals: [], oidc: [{ ...oidc, jwks_file: 'private.json' }] },
      ['oidc[0].jwks_file has a key, the 1. of them, that is no public key'],
    ],
    [
      'keys that are none',
      { principals: [], oidc: [{ ...oidc, jwks_file: 'orders.secret' }] },
      ['oidc[0].jwks_file is not a JSON Web Key Set with a key in it'],
    ],
    [
      'an ARN that is none for a claim',
      { principals: [], oidc: [{ ...oidc, principals: { [TOKEN]: 'arn' } }] },
      ['the value of entry 1 of oidc[0].principals must be the ARN of a principal'],
    ],
  ])('with %s is refused, and says where', (_, document, problems) => {
    const found = problemsOf(document);
    expect(found).toEqual(problems);
    expect(found.join()).not.toMatch(/recognisable/);
  });

  it('with a policy that is none says which', () => {
    const [problem, ...more] = problemsOf({ principals: [{ arn: ORDERS, policies: [policy, { Version: 'x' }] }] });
    expect(problem).toMatch(/^principals\[0\]\.policies\[1\] is no identity policy: ./);
    expect(more).toEqual([]);
  });
});

function live(document: unknown) {
  const path = fileWith(document);
  const logged: string[] = [];
  const log = openLog('info', { write: (line: string) => void logged.push(line) });
  return { path, logged, principals: new LivePrincipals(path, log) };
}

function withToken(token: string): object {
  return { arn: ORDERS, bearer_tokens: [{ sha256: digest(token) }] };
}

describe('a principals file that changes', () => {
  it('is in force when it is right, and what was in force stays when it is wrong; once each it is told', () => {
    const { path, logged, principals } = live({ principals: [withToken('one')] });
    principals.reload();
    expect(logged).toEqual([]);
    writeFileSync(path, stringify({ principals: [withToken('two')] }));
    principals.reload();
    principals.reload();
    expect(principals.current.byBearerToken(digest('one'))).toBeUndefined();
    expect(principals.current.byBearerToken(digest('two'))?.arn).toBe(ORDERS);
    expect(logged.length).toBe(1);
    expect(logged[0]).toContain('was read anew');
    for (const wrong of ['', 'principals: {', 'principals: [{}]']) {
      writeFileSync(path, wrong);
      principals.reload();
      principals.reload();
      expect(principals.current.byBearerToken(digest('two'))?.arn).toBe(ORDERS);
    }
    expect(logged.length).toBe(4);
    expect(logged[3]).toContain('principals[0].arn must be the ARN');
    expect(logged[3]).toContain('stays in force');
    writeFileSync(path, stringify({ principals: [] }));
    principals.reload();
    expect(principals.current.byBearerToken(digest('two'))).toBeUndefined();
    principals.close();
  });

  it('is read anew for the files that it names, too', () => {
    const { path, principals } = live({
      principals: [{ arn: ORDERS, access_keys: [{ id: 'AKIAEXAMPLEORDERS', secret_file: 'orders.secret' }] }],
    });
    writeFileSync(join(path, '..', 'orders.secret'), 'another');
    principals.reload();
    expect(principals.current.accessKey('AKIAEXAMPLEORDERS')?.signingSecret.export().toString()).toBe('AWS4another');
    principals.close();
  });

  it('that is as before once it is right again is the same, and told of when it is wrong again', () => {
    const { path, logged, principals } = live({ principals: [withToken('one')] });
    const [before, content] = [principals.current, readFileSync(path)];
    for (let n = 0; n < 2; n++) {
      writeFileSync(path, '');
      principals.reload();
      writeFileSync(path, content);
      principals.reload();
    }
    expect(principals.current).toBe(before);
    expect(logged.length).toBe(2);
    principals.close();
  });
});
