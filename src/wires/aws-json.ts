import { randomUUID } from 'node:crypto';
import type { Call } from '../access/call.ts';
import type { TlsIdentities } from '../access/tls-identity.ts';
import { type Arrival, CallFailure, type Codec, type Dispatcher } from '../calls/dispatcher.ts';
import { type Operation, toMessage } from '../calls/operation.ts';
import { type ExceptionName, KmsError } from '../errors.ts';
import {
  awsJsonReader,
  awsJsonWriter,
  isStructure,
  type JsonObject,
  type JsonValue,
  unexpectedList,
} from './aws-json-codec.ts';
import { GatheredBytes } from './gathered-bytes.ts';
import { HttpEvidence } from './http-evidence.ts';
import { type HttpRequest, type HttpResponse, respond, whenAllIsRead } from './http-listener.ts';

/** The longest request, in bytes: more than the longest that AWS takes, however it is escaped. */
const MAX_REQUEST = 256 * 1_024;

/** How much of a longer one is read and thrown away, in bytes, so that its sender sees the answer. */
const MAX_DISCARDED = 16 * MAX_REQUEST;

const CONTENT_TYPE = 'application/x-amz-json-1.1';
const SERVICE = 'TrentService.';

/** The exceptions that are the service's fault; AWS sends every other one with the status 400. */
const FAULTS: ReadonlySet<ExceptionName> = new Set([
  'DependencyTimeoutException',
  'KMSInternalException',
  'KeyUnavailableException',
]);

/** The exceptions that AWS does not model, and whose text is in a member that begins with a capital. */
const CAPITAL: ReadonlySet<ExceptionName> = new Set(['AccessDeniedException', 'SerializationException']);

/** A response but for its headers that are always the same. */
interface Reply {
  readonly status: number;
  readonly requestId: string;
  /** JSON; empty where AWS sends nothing. */
  readonly body: string;
}

interface Route {
  readonly operation: Operation;
  readonly codec: Codec<JsonObject, Reply>;
}

/**
 * AWS's own protocol, JSON 1.1, for the AWS CLI and SDKs.
 *
 * @see https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
 */
export class AwsJsonHandler {
  readonly #routes: ReadonlyMap<string, Route>;
  readonly #dispatcher: Dispatcher;
  readonly #identities: TlsIdentities;

  constructor(operations: readonly Operation[], dispatcher: Dispatcher, identities: TlsIdentities) {
    this.#routes = new Map(
      operations.map((operation) => [SERVICE + operation.name, { operation, codec: codecOf(operation) }]),
    );
    this.#dispatcher = dispatcher;
    this.#identities = identities;
  }

  handle(request: HttpRequest, response: HttpResponse): void {
    const [contentType = ''] = (request.headers['content-type'] ?? '').split(';', 1);
    if (request.method !== 'POST' || contentType.trim().toLowerCase() !== CONTENT_TYPE) {
      respond(response, 404, { 'x-amzn-requestid': randomUUID() }, '<UnknownOperationException/>\n');
      return;
    }
    const length = lengthOf(request);
    if (length === undefined) {
      // Over HTTP/2, the end of a request that was broken off looks like any other.
      respond(response, 411, { 'x-amzn-requestid': randomUUID() }, '');
      return;
    }
    // The address is gone when the connection is.
    const sourceAddress = request.socket.remoteAddress ?? '';
    let gathered = new GatheredBytes();
    let received = 0;
    request.on('data', (chunk: Buffer) => {
      const before = received;
      received += chunk.length;
      if (received <= MAX_REQUEST) gathered.add(chunk);
      else if (before <= MAX_REQUEST) {
        gathered = new GatheredBytes();
        send(response, { ...failure(new KmsError('RequestEntityTooLargeException')), status: 413 });
      } else if (received > MAX_DISCARDED) request.destroy();
    });
    request.on('end', () => {
      if (received > MAX_REQUEST || (length !== 'chunked' && received !== length)) return;
      whenAllIsRead(() => this.#answer(request, response, sourceAddress, gathered.bytes));
    });
    // The client went away before it had asked.
    request.on('error', () => response.destroy());
  }

  #answer(request: HttpRequest, response: HttpResponse, sourceAddress: string, body: Buffer): void {
    const route = this.#routes.get(String(request.headers['x-amz-target']));
    if (route === undefined) return send(response, failure(new KmsError('UnknownOperationException')));
    const arrival: Arrival = {
      wire: 'aws-json',
      sourceAddress,
      evidence: new HttpEvidence(request, this.#identities, body),
    };
    const fail = (error: unknown): void => {
      if (!(error instanceof CallFailure)) throw error;
      send(response, failure(error.error, error.call.requestId));
    };
    let parsed: JsonObject;
    try {
      parsed = parse(body);
    } catch (error) {
      return send(response, failure(error as KmsError, this.#dispatcher.undecoded(route.operation, arrival)));
    }
    try {
      const reply = this.#dispatcher.dispatch(route.operation, arrival, route.codec, parsed);
      if (reply instanceof Promise) reply.then((awaited) => send(response, awaited), fail);
      else send(response, reply);
    } catch (error) {
      fail(error);
    }
  }
}

function codecOf(operation: Operation): Codec<JsonObject, Reply> {
  const { input, output } = operation.method;
  const decode = awsJsonReader(input);
  const write = awsJsonWriter(output);
  const isVoid = output.fields.length === 0;
  return {
    decode,
    encode: (answer: object, { requestId }: Call): Reply => ({
      status: 200,
      requestId,
      body: isVoid ? '' : JSON.stringify(write(toMessage(operation, answer))),
    }),
  };
}

/** How long a request says that it is, in bytes; over HTTP/1.1 it may come in chunks, which have an end of their own. */
function lengthOf({ headers, httpVersionMajor }: HttpRequest): number | 'chunked' | undefined {
  const length = headers['content-length'];
  if (length !== undefined) return Number(length);
  return httpVersionMajor === 1 ? 'chunked' : undefined;
}

/** @throws KmsError SerializationException */
function parse(body: Buffer): JsonObject {
  let value: JsonValue;
  try {
    value = JSON.parse(TEXT.decode(body)) as JsonValue;
  } catch {
    // The reason would quote the body.
    throw new KmsError('SerializationException');
  }
  if (isStructure(value)) return value;
  throw Array.isArray(value) ? unexpectedList() : new KmsError('SerializationException');
}

const TEXT = new TextDecoder('utf-8', { fatal: true });

function failure({ exception, message }: KmsError, requestId: string = randomUUID()): Reply {
  const member = CAPITAL.has(exception) ? 'Message' : 'message';
  return {
    status: FAULTS.has(exception) ? 500 : 400,
    requestId,
    body: JSON.stringify({ __type: exception, ...(message !== '' && { [member]: message }) }),
  };
}

function send(response: HttpResponse, { status, requestId, body }: Reply): void {
  respond(
    response,
    status,
    {
      'x-amzn-requestid': requestId,
      'cache-control': 'no-cache, no-store, must-revalidate, private',
      expires: '0',
      pragma: 'no-cache',
      'content-type': CONTENT_TYPE,
    },
    body,
  );
}
