import { exportJWK, generateKeyPair, type JSONWebKeySet, type JWTPayload, SignJWT } from 'jose';

export const ISSUER = 'https://issuer.example';
export const AUDIENCE = 'hmacd';

/** Signs tokens as an issuer does. */
export interface TokenIssuer {
  /** Its public keys. */
  readonly keySet: JSONWebKeySet;
  /**
   * A token of the issuer for the audience that expires in ten minutes, by a clock; the claims given win, and those that are undefined are
   * left out.
   */
  sign(claims?: Readonly<Record<string, unknown>>, now?: number): Promise<string>;
}

/** Makes an issuer with a key of its own. */
export async function makeIssuer(kid = 'first', alg = 'ES256'): Promise<TokenIssuer> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  return {
    keySet: { keys: [{ ...(await exportJWK(publicKey)), kid, alg, use: 'sig' }] },
    async sign(claims = {}, now = Date.now()) {
      const seconds = Math.floor(now / 1_000);
      const payload = { iss: ISSUER, aud: AUDIENCE, sub: 'orders', iat: seconds, exp: seconds + 600, ...claims };
      return await new SignJWT(JSON.parse(JSON.stringify(payload)) as JWTPayload)
        .setProtectedHeader({ alg, kid })
        .sign(privateKey);
    },
  };
}

/** A part of a token. */
export function encodePart(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}
