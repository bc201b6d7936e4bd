import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type GenerateMacRequest,
  GenerateMacRequestSchema,
  GenerateMacResponseSchema,
} from '../src/gen/hmacd/v1/mac_pb.ts';
import { benchKey, macOf } from './key.ts';

/** Decodes as hmacd does: the bare servers differ from it in everything but this. */
export function decodeRequest(bytes: Uint8Array): GenerateMacRequest {
  return fromBinary(GenerateMacRequestSchema, bytes);
}

/** The answer of GenerateMac, with none of the questions: no key is looked up, nothing is checked, logged or counted. */
export function encodedAnswer(request: GenerateMacRequest): Uint8Array {
  const mac = macOf(request.message ?? new Uint8Array());
  return toBinary(
    GenerateMacResponseSchema,
    create(GenerateMacResponseSchema, { mac, macAlgorithm: request.macAlgorithm, keyId: benchKey.arn }),
  );
}
