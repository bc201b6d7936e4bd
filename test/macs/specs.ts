import { KeySpec, KeyUsage } from '../../src/gen/hmacd/v1/key_pb.ts';
import { MacAlgorithm } from '../../src/gen/hmacd/v1/mac_pb.ts';
import type { Clients } from '../support/clients.ts';

/** Each key spec with its algorithm, written down once more: a table of the service's own would agree with its mistakes. */
export const SPECS = [
  {
    specName: 'HMAC_224',
    keySpec: KeySpec.HMAC_224,
    algorithmName: 'HMAC_SHA_224',
    macAlgorithm: MacAlgorithm.HMAC_SHA_224,
    hash: 'sha224',
    length: 28,
  },
  {
    specName: 'HMAC_256',
    keySpec: KeySpec.HMAC_256,
    algorithmName: 'HMAC_SHA_256',
    macAlgorithm: MacAlgorithm.HMAC_SHA_256,
    hash: 'sha256',
    length: 32,
  },
  {
    specName: 'HMAC_384',
    keySpec: KeySpec.HMAC_384,
    algorithmName: 'HMAC_SHA_384',
    macAlgorithm: MacAlgorithm.HMAC_SHA_384,
    hash: 'sha384',
    length: 48,
  },
  {
    specName: 'HMAC_512',
    keySpec: KeySpec.HMAC_512,
    algorithmName: 'HMAC_SHA_512',
    macAlgorithm: MacAlgorithm.HMAC_SHA_512,
    hash: 'sha512',
    length: 64,
  },
] as const;

export type Spec = (typeof SPECS)[number];

/** Makes a key; answers its ARN. */
export async function makeKey({ keys }: Clients, keySpec: KeySpec = KeySpec.HMAC_256): Promise<string> {
  const { keyMetadata } = await keys.createKey({ keySpec, keyUsage: KeyUsage.GENERATE_VERIFY_MAC });
  return keyMetadata!.arn;
}

/** The key ID in a key ARN. */
export function keyIdOf(keyArn: string): string {
  return keyArn.slice(keyArn.lastIndexOf('/') + 1);
}
