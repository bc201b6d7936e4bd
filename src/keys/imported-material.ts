import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import type { Timestamp } from '@bufbuild/protobuf/wkt';
import { KmsError } from '../errors.ts';
import { type ImportedMaterial, ImportedMaterialSchema } from '../gen/hmacd/store/v1/records_pb.ts';

/**
 * What is to be remembered of imported material. It tells nothing of the material to whoever has not got the salt, which
 * never leaves the store.
 *
 * @param known of what the key had before; it has to be the same
 * @param validTo when it ends; `undefined` for never
 * @throws KmsError IncorrectKeyMaterialException
 */
export function rememberMaterial(
  material: Uint8Array,
  known: ImportedMaterial | undefined,
  validTo: Timestamp | undefined,
): ImportedMaterial {
  const salt = known?.salt ?? randomBytes(32);
  const identifier = createHmac('sha256', salt).update(material).digest();
  if (known !== undefined && !timingSafeEqual(identifier, known.identifier)) {
    const expected = Buffer.from(known.identifier).toString('hex');
    throw new KmsError(
      'IncorrectKeyMaterialException',
      `Imported key material does not have the expected identifier (${expected}).`,
    );
  }
  return create(ImportedMaterialSchema, { salt, identifier, ...(validTo !== undefined && { validTo }) });
}
