import type { X509Certificate } from 'node:crypto';

const NONE: readonly string[] = Object.freeze([]);

/**
 * The names in the certificates that clients showed, looked for once in the life of a connection. A certificate that
 * expires during that life names nobody from then on.
 */
export class TlsIdentities {
  readonly #shown = new WeakMap<object, { names: readonly string[]; expiresAt: number }>();

  /**
   * @param connection what stands for the connection; `undefined` when that is not known, and nothing is remembered
   * @param verified gets the certificate, if there is one and its chain was verified by the listener's client CA
   */
  of(connection: object | undefined, verified: () => X509Certificate | undefined): readonly string[] {
    let shown = connection === undefined ? undefined : this.#shown.get(connection);
    if (shown === undefined) {
      const certificate = verified();
      shown =
        certificate === undefined
          ? { names: NONE, expiresAt: Infinity }
          : { names: tlsIdentitiesOf(certificate), expiresAt: certificate.validToDate.getTime() };
      if (connection !== undefined) this.#shown.set(connection, shown);
    }
    // By the clock that the certificate was verified by.
    return shown.expiresAt === Infinity || Date.now() < shown.expiresAt ? shown.names : NONE;
  }
}

/**
 * The SPIFFE ID and the DNS names, in lower case, that a certificate is for. The common name is none of them. A
 * certificate with more than one URI has no SPIFFE ID, as the standard has it.
 *
 * @see https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md
 */
export function tlsIdentitiesOf({ subjectAltName }: X509Certificate): readonly string[] {
  const names = subjectAltName === undefined ? [] : alternativeNames(subjectAltName);
  const uris = names.filter(([type]) => type === 'URI').map(([, uri]) => uri);
  const dns = names.filter(([type]) => type === 'DNS').map(([, name]) => name.toLowerCase());
  return [...(uris.length === 1 && uris[0]!.startsWith('spiffe://') ? uris : []), ...dns];
}

/** A name and its type: as it is, or as a JSON text when it has a comma, a quote, or anything else that could deceive. */
const NAME = /([\w ]+):(?:"((?:[^"\\]|\\.)*)"|([^,"']*))(, |$)/y;

/** Reads what Node.js makes of the extension; none when it is not all understood. */
function alternativeNames(text: string): [type: string, name: string][] {
  const names: [string, string][] = [];
  for (let at = 0; at < text.length;) {
    NAME.lastIndex = at;
    const [whole, type, quoted, plain] = NAME.exec(text) ?? [];
    if (whole === undefined) return [];
    // No name that may be listed needs quotes; it counts as a name all the same.
    names.push([type!, plain ?? `"${quoted}"`]);
    at += whole.length;
    if (at === text.length && whole.endsWith(', ')) return [];
  }
  return names;
}
