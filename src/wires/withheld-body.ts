import { type DescEnum, type DescMessage, fromBinary, fromJsonString } from '@bufbuild/protobuf';
import type { UniversalServerRequest } from '@connectrpc/connect/protocol';
import { KmsError } from '../errors.ts';
import { GatheredBytes } from './gathered-bytes.ts';

/** A request, and its body for whoever decodes it. */
export interface Withheld {
  /** The request as it was; with an empty message for a body, if that is withheld. */
  readonly request: UniversalServerRequest;
  /** Decodes the body; throws anything when it is no such message. `undefined` when the body was left where it was. */
  readonly decode: ((input: DescMessage) => object) | undefined;
}

/** How a body holds a message: framed as in gRPC or not, in JSON or binary. */
interface Format {
  readonly framed: boolean;
  readonly json: boolean;
}

/** The length of what stands before a message in gRPC and gRPC-Web: whether it is compressed, and its length. */
const FRAME_HEADER = 5;

const TEXT = new TextDecoder('utf-8', { fatal: true });

/**
 * Takes the body out of a request and puts an empty message in its place, so that it is decoded where its errors are
 * told as on every wire: connect-node would tell them otherwise, and quote the body. What is no message at all (too long,
 * compressed, framed wrongly) is left to connect-node.
 *
 * @param most the longest message, in bytes
 */
export async function withholdBody(request: UniversalServerRequest, most: number): Promise<Withheld> {
  const format = formatOf(request.header.get('content-type') ?? '');
  const tooLong = Number(request.header.get('content-length') ?? 0) > most + FRAME_HEADER;
  const compressed = (request.header.get('content-encoding') ?? 'identity') !== 'identity';
  if (format === undefined || tooLong || compressed || request.method !== 'POST') return leave(request);
  const source = (request.body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  const gathered = new GatheredBytes();
  for (let next = await source.next(); next.done !== true; next = await source.next()) {
    gathered.add(next.value);
    if (gathered.length > most + FRAME_HEADER) return leave({ ...request, body: again(gathered.bytes, source) });
  }
  const body = gathered.bytes;
  if (format.framed ? !isOnePlainFrame(body, most) : body.length > most) {
    return leave({ ...request, body: again(body) });
  }
  const header = new Headers(request.header);
  header.delete('content-length');
  const message = format.framed ? body.subarray(FRAME_HEADER) : body;
  return {
    request: { ...request, header, body: again(emptyBody(format)) },
    decode: (input) => (format.json ? decodeJson(input, message) : fromBinary(input, message)),
  };
}

function decodeJson(input: DescMessage, message: Uint8Array): object {
  try {
    return fromJsonString(input, TEXT.decode(message));
  } catch (error) {
    const problem = problemOf((error as Error).message, input);
    // oxlint-disable-next-line preserve-caught-error -- it quotes the message
    throw new KmsError('SerializationException', `The request does not decode${problem}.`);
  }
}

/** What is wrong with JSON, where that can be told in the names of the contract alone: whatever came may be what is authenticated. */
function problemOf(message: string, input: DescMessage): string {
  const [, kind, name = ''] = /^cannot decode (\w+) (?:\w+\.)*(\w+) from JSON: /.exec(message) ?? [];
  if (kind === 'field') return `: ${name} cannot be read`;
  const type = typeIn(input, name);
  if (type?.kind === 'enum') {
    const values = type.values.filter(({ number }) => number !== 0).map((value) => value.name);
    return `: there is no such ${name}; it is one of ${values.join(', ')}`;
  }
  if (type === undefined || !/ from JSON: key ".*" is unknown$/s.test(message)) return '';
  return `: ${name} has no such member; it has ${type.fields.map(({ jsonName }) => jsonName).join(', ')}`;
}

/** The message or enum of a name that is a message of the contract, or in it at any depth. */
function typeIn(message: DescMessage, name: string): DescMessage | DescEnum | undefined {
  if (message.name === name) return message;
  for (const field of message.fields) {
    if (field.enum?.name === name) return field.enum;
    const found = field.message && typeIn(field.message, name);
    if (found !== undefined) return found;
  }
  return undefined;
}

function formatOf(contentType: string): Format | undefined {
  const [, grpc, type] = /^application\/(?:(grpc(?:-web)?)(?:\+)?)?(json|proto)?\s*(?:;|$)/i.exec(contentType) ?? [];
  if (grpc === undefined && type === undefined) return undefined;
  return { framed: grpc !== undefined, json: type?.toLowerCase() === 'json' };
}

function leave(request: UniversalServerRequest): Withheld {
  return { request, decode: undefined };
}

function isOnePlainFrame(body: Buffer, most: number): boolean {
  if (body.length < FRAME_HEADER || body[0] !== 0) return false;
  const length = body.readUInt32BE(1);
  return length <= most && body.length === FRAME_HEADER + length;
}

function emptyBody({ framed, json }: Format): Uint8Array {
  const message = Buffer.from(json ? '{}' : '');
  if (!framed) return message;
  const header = Buffer.alloc(FRAME_HEADER);
  header.writeUInt32BE(message.length, 1);
  return Buffer.concat([header, message]);
}

async function* again(start: Uint8Array, rest?: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield start;
  if (rest === undefined) return;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
}
