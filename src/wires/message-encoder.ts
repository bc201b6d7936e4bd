import { FeatureSet_FieldPresence } from '@bufbuild/protobuf/wkt';
import { type DescField, type DescMessage, type MessageShape, ScalarType, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** Makes bytes of a message of one type. */
export type MessageEncoder = (message: MessageShape<DescMessage>) => Uint8Array;

type FieldEncoder = (message: object) => void;

/** Every encoder's, one after the other: a new one for each message would be most of the garbage of a MAC. */
const writer = new BinaryWriter();

/**
 * The encoder of a type of messages. For one of plain fields, such as the answers of MacService, it writes what
 * `toBinary` of `@bufbuild/protobuf` would, into a buffer that it keeps; for any other it is `toBinary`.
 */
export function encoderOf(desc: DescMessage): MessageEncoder {
  const encoders = desc.fields.toSorted((a, b) => a.number - b.number).map(fieldEncoder);
  if (!encoders.every((encoder) => encoder !== undefined)) return (message) => toBinary(desc, message);
  return (message) => {
    try {
      for (const encode of encoders) encode(message);
    } catch (error) {
      writer.finish(); // What was written so far must not stand before the next message.
      throw error;
    }
    return writer.finish();
  };
}

/** Writes a field that is always there, as proto3 does: not at all when it has the value that it has by default. */
function fieldEncoder(field: DescField): FieldEncoder | undefined {
  const { localName, number } = field;
  if (field.presence !== FeatureSet_FieldPresence.IMPLICIT) return undefined;
  const valueOf = (message: object): unknown => (message as Record<string, unknown>)[localName];
  if (field.fieldKind === 'enum') {
    return (message) => {
      const value = valueOf(message) as number;
      if (value !== 0) writer.tag(number, WireType.Varint).int32(value);
    };
  }
  if (field.fieldKind !== 'scalar') return undefined;
  if (field.scalar === ScalarType.BOOL) {
    return (message) => {
      if (valueOf(message) === true) writer.tag(number, WireType.Varint).bool(true);
    };
  }
  if (field.scalar === ScalarType.INT32) {
    return (message) => {
      const value = valueOf(message) as number;
      if (value !== 0) writer.tag(number, WireType.Varint).int32(value);
    };
  }
  if (field.scalar === ScalarType.STRING) {
    return (message) => {
      const value = valueOf(message) as string;
      if (value !== '') writer.tag(number, WireType.LengthDelimited).string(value);
    };
  }
  if (field.scalar === ScalarType.BYTES) {
    return (message) => {
      const value = valueOf(message) as Uint8Array;
      if (value.length > 0) writer.tag(number, WireType.LengthDelimited).bytes(value);
    };
  }
  return undefined;
}
