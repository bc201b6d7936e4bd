import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { ExpirationModel, WrappingAlgorithm, WrappingKeySpec } from '../../src/gen/hmacd/v1/import_pb.ts';
import { KeySpec, KeyUsage, Origin } from '../../src/gen/hmacd/v1/key_pb.ts';
import type { Clients } from './clients.ts';
import { wrappedByOpenssl } from './openssl.ts';

/** A key of the origin EXTERNAL. */
export interface ImportedKey {
  readonly keyId: string;
  readonly arn: string;
  /** Imports its material, also again; until a time in milliseconds since 1970, or for good. */
  readonly importMaterial: (clients: Clients, validTo?: number) => Promise<void>;
}

/** A key of the spec HMAC_256 whose material, of 32 bytes, is wrapped and yet to be imported. */
export async function createImportedKey({ keys, imports }: Clients, material: Uint8Array): Promise<ImportedKey> {
  const { keyMetadata } = await keys.createKey({
    keySpec: KeySpec.HMAC_256,
    keyUsage: KeyUsage.GENERATE_VERIFY_MAC,
    origin: Origin.EXTERNAL,
  });
  const { keyId, arn } = keyMetadata!;
  const { importToken, publicKey } = await imports.getParametersForImport({
    keyId,
    wrappingAlgorithm: WrappingAlgorithm.RSAES_OAEP_SHA_256,
    wrappingKeySpec: WrappingKeySpec.RSA_2048,
  });
  const encryptedKeyMaterial = wrappedByOpenssl(material, publicKey, 'RSAES_OAEP_SHA_256');
  return {
    keyId,
    arn,
    async importMaterial(clients, validTo) {
      const end =
        validTo === undefined
          ? { expirationModel: ExpirationModel.KEY_MATERIAL_DOES_NOT_EXPIRE }
          : { validTo: timestampFromMs(validTo) };
      await clients.imports.importKeyMaterial({ keyId, importToken, encryptedKeyMaterial, ...end });
    },
  };
}
