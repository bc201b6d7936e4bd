import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { experimental, type ServerCredentials } from '@grpc/grpc-js';
import { codeOf } from '../system-error.ts';

/** Where the certificate of the listeners is, and who may connect. */
export interface TlsFiles {
  /** The certificate chain, in PEM. */
  readonly certFile: string;
  /** Its private key, in PEM. */
  readonly keyFile: string;
  /** The authorities that sign clients' certificates, in PEM; clients are asked for one then. */
  readonly clientCaFile: string | undefined;
  /** Whether a client without a certificate of these authorities is turned away. */
  readonly clientAuthRequired: boolean;
}

/** What the files hold. */
interface Content {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer | undefined;
}

type IdentityListener = Parameters<experimental.CertificateProvider['addIdentityCertificateListener']>[0];
type CaListener = Parameters<experimental.CertificateProvider['addCaCertificateListener']>[0];

/** How often the files are looked at, in milliseconds: a certificate that was renewed is in use that much later. */
const INTERVAL = 10_000;

/**
 * The certificate of the listeners, read anew when its files change. New connections get the new one, the others keep
 * theirs. Files that do not fit together, as while they are being replaced, change nothing until they do.
 */
export class Tls implements experimental.CertificateProvider {
  readonly files: TlsFiles;
  #content: Content;
  readonly #identityListeners = new Set<IdentityListener>();
  readonly #caListeners = new Set<CaListener>();
  readonly #onProblem: (sentence: string) => void;
  readonly #timer: NodeJS.Timeout;
  #problem = '';

  /**
   * @param onProblem told when the files have changed and cannot be used
   * @throws Error with one sentence for the operator when they cannot be used now
   */
  constructor(files: TlsFiles, onProblem: (sentence: string) => void) {
    this.files = files;
    this.#onProblem = onProblem;
    this.#content = read(files);
    this.#timer = setInterval(() => this.reload(), INTERVAL).unref();
  }

  /** What Node.js's servers are given. */
  get options(): { cert: Buffer; key: Buffer; ca?: Buffer; requestCert: boolean; rejectUnauthorized: boolean } {
    const { cert, key, ca } = this.#content;
    const { clientAuthRequired } = this.files;
    return { cert, key, ...(ca && { ca }), requestCert: ca !== undefined, rejectUnauthorized: clientAuthRequired };
  }

  /** What grpc-js's server is given; it follows the files by itself. */
  get grpcCredentials(): ServerCredentials {
    const ca = this.files.clientCaFile === undefined ? null : this;
    return experimental.createCertificateProviderServerCredentials(this, ca, this.files.clientAuthRequired);
  }

  /** Reads the files again, and tells everybody when they have changed. */
  reload(): void {
    let content: Content;
    try {
      content = read(this.files);
    } catch (error) {
      const { message } = error as Error;
      if (message !== this.#problem) this.#onProblem(message);
      this.#problem = message;
      return;
    }
    this.#problem = '';
    if (sameContent(content, this.#content)) return;
    this.#content = content;
    for (const listener of this.#identityListeners) this.#tellIdentity(listener);
    for (const listener of this.#caListeners) this.#tellCa(listener);
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.add(listener);
    // Not at once: grpc-js is not ready for it before this has returned.
    queueMicrotask(() => this.#tellIdentity(listener));
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.delete(listener);
  }

  addCaCertificateListener(listener: CaListener): void {
    this.#caListeners.add(listener);
    queueMicrotask(() => this.#tellCa(listener));
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.#caListeners.delete(listener);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #tellIdentity(listener: IdentityListener): void {
    listener({ certificate: this.#content.cert, privateKey: this.#content.key });
  }

  #tellCa(listener: CaListener): void {
    const { ca } = this.#content;
    listener(ca === undefined ? null : { caCertificate: ca });
  }
}

function read({ certFile, keyFile, clientCaFile }: TlsFiles): Content {
  const content = {
    cert: readOne(certFile),
    key: readOne(keyFile),
    ca: clientCaFile === undefined ? undefined : readOne(clientCaFile),
  };
  try {
    createSecureContext({ cert: content.cert, key: content.key, ...(content.ca && { ca: content.ca }) });
    // OpenSSL says nothing of a key of another type.
    if (!new X509Certificate(content.cert).checkPrivateKey(createPrivateKey(content.key))) {
      throw new Error('ERR_KEY_MISMATCH');
    }
  } catch (error) {
    throw new Error(`the certificate ${certFile} and the key ${keyFile} cannot be used: ${codeOf(error)}`, {
      cause: error,
    });
  }
  return content;
}

function readOne(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new Error(`the TLS file ${path} cannot be read: ${codeOf(error)}`, { cause: error });
  }
}

function sameContent(a: Content, b: Content): boolean {
  return a.cert.equals(b.cert) && a.key.equals(b.key) && (a.ca === b.ca || (a.ca?.equals(b.ca ?? a.key) ?? false));
}
