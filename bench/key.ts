import { type KeyObject, createHmac, createSecretKey } from 'node:crypto';

const keyId = '6e0f2c1a-8d4b-4c39-9f57-3b1d7a2e5c80';

/** The key of every benchmark. Its material is fixed, so that whoever knows it can tell a right answer from a wrong one. */
export const benchKey = {
  keyId,
  keySpec: 'HMAC_256',
  arn: `arn:aws:kms:us-east-1:000000000000:key/${keyId}`,
  alias: 'alias/bench',
  material: Buffer.from('hmacd: a key for benchmarks only'),
} as const;

const keyObject: KeyObject = createSecretKey(benchKey.material);

/** The MAC that every server has to answer with. */
export function macOf(message: Uint8Array): Buffer {
  return createHmac('sha256', keyObject).update(message).digest();
}
