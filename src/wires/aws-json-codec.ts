import { create, type DescEnum, type DescField, type DescMessage, getOption, ScalarType } from '@bufbuild/protobuf';
import { type Timestamp, timestampFromMs, timestampMs, TimestampSchema } from '@bufbuild/protobuf/wkt';
import { awsNameOf } from '../aws-name.ts';
import { KmsError } from '../errors.ts';
import { beyond_aws, unsupported_aws_members } from '../gen/hmacd/v1/options_pb.ts';

/** What JSON can hold. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
/** The members of a JSON object. */
export type JsonObject = { readonly [member: string]: JsonValue };

/** Makes of a JSON value what a message holds in its place. Throws a SerializationException when it is of another type. */
type Reader = (value: JsonValue) => unknown;
/** Makes a JSON value of what a message holds; `undefined` leaves the member out. */
type Writer = (value: unknown) => JsonValue | undefined;

/**
 * Reads messages of a type from AWS JSON 1.1: members are called like fields, with a capital; a `null` is a member that is
 * left out; members that the message does not have are ignored, and so are those that AWS does not have.
 *
 * A name that an enum does not have stays in the message as it is, for the limits of the request to tell of it.
 *
 * @throws KmsError SerializationException in AWS's words when a member is of another type; UnsupportedOperationException for
 *   a member that would change what is asked for
 */
export function awsJsonReader(desc: DescMessage): (body: JsonObject) => object {
  const members = awsFields(desc).map((field) => ({
    name: memberName(field),
    localName: field.localName,
    read: fieldReader(field),
  }));
  const unsupported = getOption(desc, unsupported_aws_members);
  return (body) => {
    const refused = unsupported.find((name) => body[name] !== undefined && body[name] !== null);
    if (refused !== undefined) throw new KmsError('UnsupportedOperationException', `${refused} is not supported.`);
    const message = create(desc) as Record<string, unknown> & object;
    for (const { name, localName, read } of members) {
      // Nothing that an object inherits begins with a capital.
      const value = body[name];
      if (value !== undefined && value !== null) message[localName] = read(value);
    }
    return message;
  };
}

/** Writes messages of a type as AWS JSON 1.1: dates are seconds since 1970, enums AWS's names, blobs Base64. */
export function awsJsonWriter(desc: DescMessage): (message: object) => JsonObject {
  const members = awsFields(desc).map((field) => ({
    name: memberName(field),
    localName: field.localName,
    write: fieldWriter(field),
  }));
  return (message) => {
    const body: Record<string, JsonValue> = {};
    for (const { name, localName, write } of members) {
      const value = (message as Record<string, unknown>)[localName];
      const written = value === undefined ? undefined : write(value);
      if (written !== undefined) body[name] = written;
    }
    return body;
  };
}

/** The fields of a message that AWS's has, too. */
export function awsFields(desc: DescMessage): DescField[] {
  return desc.fields.filter((field) => !getOption(field, beyond_aws));
}

/** AWS's name of a field: `KeyId` of `key_id`. */
export function memberName({ jsonName }: DescField): string {
  return jsonName.charAt(0).toUpperCase() + jsonName.slice(1);
}

function fieldReader(field: DescField): Reader {
  const read = elementReader(field);
  if (field.fieldKind === 'list') {
    return (value) => {
      if (isList(value)) return value.map((each) => read(each));
      throw isStructure(value) ? unexpectedStructure() : serialization('Expected list or null');
    };
  }
  if (field.fieldKind === 'map') {
    return (value) => {
      if (!isStructure(value)) throw isList(value) ? unexpectedList() : serialization('Expected map or null');
      return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, read(each)]));
    };
  }
  return read;
}

function fieldWriter(field: DescField): Writer {
  const write = elementWriter(field);
  if (field.fieldKind === 'list') return (values) => (values as unknown[]).map((value) => write(value) ?? null);
  // Only what has entries: where AWS has maps, they are optional.
  if (field.fieldKind === 'map')
    return (value) => (Object.keys(value as object).length === 0 ? undefined : (value as JsonObject));
  return write;
}

/** The reader of a field's value, or of each of its values. */
function elementReader(field: DescField): Reader {
  if (field.message !== undefined) return messageReader(field.message);
  return field.enum === undefined ? scalarReader(field.scalar) : enumReader(field.enum);
}

function elementWriter(field: DescField): Writer {
  if (field.message !== undefined) return messageWriter(field.message);
  return field.enum === undefined ? scalarWriter(field.scalar) : enumWriter(field.enum);
}

function scalarReader(scalar: ScalarType): Reader {
  switch (scalar) {
    case ScalarType.STRING:
      return readText;
    case ScalarType.BYTES:
      return readBlob;
    case ScalarType.BOOL:
      return (value) => {
        if (typeof value === 'boolean') return value;
        throw inconvertible(value, 'a Boolean');
      };
    case ScalarType.INT32:
      return (value) => {
        if (typeof value === 'number') return Math.trunc(value);
        throw inconvertible(value, 'an Integer');
      };
    default:
      throw new Error(`AWS JSON has no ${ScalarType[scalar]}`);
  }
}

function scalarWriter(scalar: ScalarType): Writer {
  if (scalar !== ScalarType.BYTES) return (value) => value as JsonValue;
  return (value) => {
    const { buffer, byteOffset, byteLength } = value as Uint8Array;
    return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
  };
}

function enumReader(desc: DescEnum): Reader {
  const values = new Map(desc.values.filter(isNamed).map((value) => [awsNameOf(value), value.number]));
  return (value) => {
    const name = readText(value);
    return values.get(name) ?? name;
  };
}

function enumWriter(desc: DescEnum): Writer {
  const names = new Map(desc.values.filter(isNamed).map((value) => [value.number, awsNameOf(value)]));
  return (value) => names.get(value as number);
}

function messageReader(desc: DescMessage): Reader {
  if (desc.typeName === TimestampSchema.typeName) {
    return (value) => {
      if (typeof value === 'number') return timestampFromMs(Math.round(value * 1_000));
      throw inconvertible(value, 'milliseconds since epoch');
    };
  }
  const read = awsJsonReader(desc);
  return (value) => {
    if (isStructure(value)) return read(value);
    if (isList(value)) throw unexpectedList();
    throw serialization(value === null ? 'NULL_VALUE can not be converted to a Structure' : 'Expected null');
  };
}

function messageWriter(desc: DescMessage): Writer {
  if (desc.typeName === TimestampSchema.typeName) return (value) => timestampMs(value as Timestamp) / 1_000;
  const write = awsJsonWriter(desc);
  return (value) => write(value as object);
}

function readText(value: JsonValue): string {
  if (typeof value !== 'string') throw inconvertible(value, 'a String');
  if (!value.isWellFormed()) throw serialization('The text is not well-formed');
  return value;
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** What is no Base64 is not repeated in the error: it may be a message, and most of it right. */
function readBlob(value: JsonValue): Uint8Array {
  if (typeof value !== 'string') throw inconvertible(value, 'a Blob');
  if (value.length % 4 !== 0) {
    const reason = `Base64 encoded length is expected a multiple of 4 bytes but found: ${value.length}`;
    throw serialization(`The value can not be converted to a Blob: ${reason}`);
  }
  if (!BASE64.test(value)) throw serialization('The value can not be converted to a Blob: Invalid Base64 character');
  return Buffer.from(value, 'base64');
}

function isNamed({ number }: { readonly number: number }): boolean {
  return number !== 0;
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

/** Whether a value is a JSON object. */
export function isStructure(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !isList(value);
}

function inconvertible(value: JsonValue, type: string): KmsError {
  if (isList(value)) return unexpectedList();
  if (isStructure(value)) return unexpectedStructure();
  const kind =
    typeof value === 'string' ? 'STRING' : typeof value === 'number' ? 'NUMBER' : String(value).toUpperCase();
  return serialization(`${kind}_VALUE can not be converted to ${type}`);
}

/** What AWS says of a list where there should be none. */
export function unexpectedList(): KmsError {
  return serialization('Start of list found where not expected');
}

function unexpectedStructure(): KmsError {
  return serialization('Start of structure or map found where not expected.');
}

function serialization(message: string): KmsError {
  return new KmsError('SerializationException', message);
}
