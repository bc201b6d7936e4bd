import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { Evidence } from '../access/authenticator.ts';
import type { Call, Wire } from '../access/call.ts';
import { NOBODY, type Principal } from '../access/principal.ts';
import type { Clock } from '../clock.ts';
import { KmsError, validationError } from '../errors.ts';
import type { ChangeFollower } from '../records/change-follower.ts';
import { StoreUnavailableError } from '../records/record-store.ts';
import { UnsealError } from '../records/sealer.ts';
import type { AuditLog, Outcome } from './audit-log.ts';
import type { Metrics } from './metrics.ts';
import type { Operation } from './operation.ts';
import type { Throttle } from './throttle.ts';

/** What a wire knows of a call before its body is looked at. */
export interface Arrival {
  readonly wire: Wire;
  /** The peer's IP address; empty when the transport has none. */
  readonly sourceAddress: string;
  /** What the caller shows of who it is. */
  readonly evidence: Evidence;
}

/** Who is calling. Throws the KmsError that the call ends in when nobody may. */
export type Authenticate = (arrival: Arrival) => Principal | Promise<Principal>;

/** How a wire turns a body into a request, and an answer into what it sends. */
export interface Codec<B, T> {
  /** Throws anything when the body is not a request; a KmsError says why. */
  decode(body: B): object;
  encode(answer: object, call: Call): T;
}

/** A call that did not succeed, and all that its caller may know. */
export class CallFailure extends Error {
  override readonly name = 'CallFailure';
  readonly error: KmsError;
  readonly call: Call;

  constructor(error: KmsError, call: Call) {
    super(error.message);
    this.error = error;
    this.call = call;
  }
}

/**
 * What happens to every call, whichever wire it came by: authenticate, throttle, decode, validate, serve, encode; then,
 * however it ended, audit and count.
 */
export class Dispatcher {
  readonly #authenticate: Authenticate;
  readonly #follower: ChangeFollower;
  readonly #audit: AuditLog;
  readonly #metrics: Metrics;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #throttle: Throttle | undefined;

  /** @param throttle of calls of callers that are known; `undefined` where calls may come as they like */
  constructor(
    authenticate: Authenticate,
    follower: ChangeFollower,
    audit: AuditLog,
    metrics: Metrics,
    log: Logger,
    clock: Clock,
    throttle?: Throttle,
  ) {
    this.#authenticate = authenticate;
    this.#follower = follower;
    this.#audit = audit;
    this.#metrics = metrics;
    this.#log = log;
    this.#clock = clock;
    this.#throttle = throttle;
  }

  /**
   * Carries a call out. An operation that needs no I/O, of a caller who is known at once, is answered without a turn of
   * the event loop.
   *
   * @returns what the codec made of the answer, to be sent at once
   * @throws CallFailure and nothing else
   */
  dispatch<B, T>(operation: Operation, arrival: Arrival, codec: Codec<B, T>, body: B): T | Promise<T> {
    const started = this.#clock.monotonic();
    const call = newCall(operation, arrival);
    try {
      const principal = this.#authenticate(arrival);
      const answer =
        principal instanceof Promise
          ? principal.then((known) => this.#serve(operation, call, started, codec, body, known))
          : this.#serve(operation, call, started, codec, body, principal);
      if (!(answer instanceof Promise)) return answer;
      return answer.catch((error: unknown) => this.#failed(call, started, error));
    } catch (error) {
      return this.#failed(call, started, error);
    }
  }

  /**
   * Audits and counts a call whose body the wire could not decode.
   *
   * @returns its request ID
   */
  undecoded(operation: Operation, arrival: Arrival): string {
    const call = newCall(operation, arrival);
    this.#ended(call, UNDECODED, this.#clock.monotonic());
    return call.requestId;
  }

  /** Carries out the call of a caller that is known. */
  #serve<B, T>(
    operation: Operation,
    call: Call,
    started: number,
    codec: Codec<B, T>,
    body: B,
    principal: Principal,
  ): T | Promise<T> {
    call.principal = principal;
    this.#throttle?.admit(operation.name);
    const request = decode(codec, body);
    const violations = operation.validate(request);
    if (violations.length > 0) throw validationError(violations);
    const answer = operation.serve(request, call);
    if (!(answer instanceof Promise)) return this.#answered(operation, call, started, codec, answer);
    return answer.then((awaited) => this.#answered(operation, call, started, codec, awaited));
  }

  #answered<B, T>(operation: Operation, call: Call, started: number, codec: Codec<B, T>, answer: object): T {
    const encoded = codec.encode(answer, call);
    // A process that was stopped for longer than the lease must not say now what was true then.
    if (operation.actsOnCache && !this.#follower.holds()) throw new StoreUnavailableError('the lease lapsed');
    this.#ended(call, 'OK', started);
    return encoded;
  }

  #failed(call: Call, started: number, error: unknown): never {
    const shown = this.#shown(call, error);
    call.decidedBy = shown.remark ?? call.decidedBy;
    this.#ended(call, shown.exception, started);
    throw new CallFailure(shown, call);
  }

  #ended(call: Call, outcome: Outcome, started: number): void {
    const milliseconds = this.#clock.monotonic() - started;
    this.#audit.record(call, outcome, milliseconds);
    this.#metrics.call(call, outcome, milliseconds);
  }

  /** What the caller is told of an error; the rest of it is logged. */
  #shown(call: Call, error: unknown): KmsError {
    if (error instanceof KmsError) return error;
    if (error instanceof StoreUnavailableError) {
      this.#metrics.storeError();
      this.#log.debug({ err: error, requestId: call.requestId }, 'the store did not answer');
      return new KmsError('KeyUnavailableException', 'The store of keys did not answer. You can retry the request.');
    }
    if (error instanceof UnsealError) this.#metrics.damagedRecord();
    this.#log.error({ err: error, requestId: call.requestId, operation: call.operation }, 'a call failed');
    return new KmsError('KMSInternalException', 'An internal exception occurred. You can retry the request.');
  }
}

const UNDECODED = 'SerializationException';

function newCall(operation: Operation, { wire, sourceAddress }: Arrival): Call {
  return {
    requestId: randomUUID(),
    operation: operation.name,
    wire,
    sourceAddress,
    principal: NOBODY,
    keyArn: undefined,
    macAlgorithm: undefined,
    grantId: undefined,
    decidedBy: undefined,
  };
}

function decode<B>(codec: Codec<B, unknown>, body: B): object {
  try {
    return codec.decode(body);
  } catch (error) {
    if (error instanceof KmsError) throw error;
    // The reason may quote the message, and with it what it authenticates.
    throw new KmsError(UNDECODED, 'The request does not decode.');
  }
}
