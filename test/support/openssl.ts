import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from './deployment.ts';

/** The ways to wrap key material for AWS KMS that it has for symmetric keys, with the hash of RSAES-OAEP. */
export const WRAPPINGS = {
  RSAES_OAEP_SHA_1: { hash: 'sha1', byAesKey: false },
  RSAES_OAEP_SHA_256: { hash: 'sha256', byAesKey: false },
  RSA_AES_KEY_WRAP_SHA_1: { hash: 'sha1', byAesKey: true },
  RSA_AES_KEY_WRAP_SHA_256: { hash: 'sha256', byAesKey: true },
} as const;
export type WrappingName = keyof typeof WRAPPINGS;

/**
 * Key material, wrapped by `openssl` as AWS's documentation does it.
 *
 * @param publicKey SubjectPublicKeyInfo, in DER
 * @see https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys-encrypt-key-material.html
 */
export function wrappedByOpenssl(material: Uint8Array, publicKey: Uint8Array, wrapping: WrappingName): Buffer {
  const { hash, byAesKey } = WRAPPINGS[wrapping];
  const keyFile = join(temporaryFolder(), 'public.der');
  writeFileSync(keyFile, publicKey);
  const oaep = ['rsa_padding_mode:oaep', `rsa_oaep_md:${hash}`, `rsa_mgf1_md:${hash}`].flatMap((o) => ['-pkeyopt', o]);
  const byRsa = (input: Uint8Array): Buffer =>
    openssl(['pkeyutl', '-encrypt', '-keyform', 'DER', '-pubin', '-inkey', keyFile, ...oaep], input);
  if (!byAesKey) return byRsa(material);
  const aesKey = randomBytes(32);
  const byAes = openssl(['enc', '-id-aes256-wrap-pad', '-K', aesKey.toString('hex'), '-iv', 'A65959A6'], material);
  return Buffer.concat([byRsa(aesKey), byAes]);
}

/** The HMAC that `openssl` computes. */
export function macByOpenssl(hash: string, key: Uint8Array, message: Uint8Array): Buffer {
  const hexKey = `hexkey:${Buffer.from(key).toString('hex')}`;
  return openssl(['dgst', `-${hash}`, '-mac', 'HMAC', '-macopt', hexKey, '-binary'], message);
}

function openssl(args: readonly string[], input: Uint8Array): Buffer {
  return execFileSync('openssl', args, { input });
}
