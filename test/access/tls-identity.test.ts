import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { TlsIdentities, tlsIdentitiesOf } from '../../src/access/tls-identity.ts';
import { makeAuthority, type Name } from '../support/certificates.ts';

const authority = await makeAuthority();

async function certificateFor(names: readonly Name[], notAfter?: Date): Promise<X509Certificate> {
  return new X509Certificate((await authority.issue('admin', names, notAfter)).cert);
}

const url = (value: string): Name => ({ type: 'url', value });
const dns = (value: string): Name => ({ type: 'dns', value });

describe('the identities of a certificate', () => {
  it.each([
    ['a SPIFFE ID', [url('spiffe://example.org/orders')], ['spiffe://example.org/orders']],
    ['DNS names, in lower case', [dns('Orders.example'), dns('b.example')], ['orders.example', 'b.example']],
    ['both', [dns('a.example'), url('spiffe://e/o')], ['spiffe://e/o', 'a.example']],
    ['no name at all, the common name aside', [], []],
    [
      'what is neither',
      [{ type: 'ip', value: '10.0.0.1' } as const, { type: 'email', value: 'a@b.example' } as const],
      [],
    ],
    ['a URI that is no SPIFFE ID', [url('https://example.org/orders')], []],
    ['two URIs, of which neither counts', [url('spiffe://e/a'), url('spiffe://e/b'), dns('c')], ['c']],
    ['two URIs, one of them odd', [url('spiffe://e/a'), url('x:"y", URI:spiffe://e/b')], []],
  ])('are %s', async (_, names, expected) => {
    expect(tlsIdentitiesOf(await certificateFor(names))).toEqual(expected);
  });

  it.each([
    ['a comma in a DNS name', [dns('a, URI:spiffe://example.org/admin')]],
    ['a comma in a DNS name, after a good one', [dns('a.example'), dns('b, DNS:admin.example')]],
    ['quotes in a DNS name', [dns('"a", DNS:"admin.example')]],
    ['a comma in a URI', [url('spiffe://e/x, URI:spiffe://example.org/admin')]],
    ['a comma in an e-mail address', [{ type: 'email', value: 'a@b, URI:spiffe://example.org/admin' } as const]],
    ['a NUL', [dns('admin.example\0.evil.example')]],
    ['a line break', [dns('x\nDNS:admin.example')]],
  ])('are not what %s pretends', async (_, names) => {
    const identities = tlsIdentitiesOf(await certificateFor(names));
    expect(identities).not.toContain('spiffe://example.org/admin');
    expect(identities).not.toContain('admin.example');
  });

  it.each(['', 'DNS:a, ', 'DNS:a,DNS:b', 'DNS', 'DNS:"a', 'DNS:a"b', 'DNS:a,, DNS:b'])(
    'are none when the text %j is not all understood',
    (subjectAltName) => expect(tlsIdentitiesOf({ subjectAltName } as X509Certificate)).toEqual([]),
  );
});

describe('the identities of a connection', () => {
  it('are looked for once', async () => {
    const certificate = await certificateFor([dns('a.example')]);
    const identities = new TlsIdentities();
    const connection = {};
    expect(identities.of(connection, () => certificate)).toEqual(['a.example']);
    expect(identities.of(connection, () => expect.unreachable())).toEqual(['a.example']);
    expect(identities.of({}, () => undefined)).toEqual([]);
    expect(identities.of(undefined, () => certificate)).toEqual(['a.example']);
  });

  it('are none once the certificate has expired', async () => {
    const certificate = await certificateFor([dns('a.example')], new Date(Date.now() - 1_000));
    expect(new TlsIdentities().of({}, () => certificate)).toEqual([]);
  });
});
