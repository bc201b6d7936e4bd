import { describe, expect, it } from 'vitest';
import type { Call } from '../../src/access/call.ts';
import { type Principal, principalOf } from '../../src/access/principal.ts';
import type { AuditLog } from '../../src/calls/audit-log.ts';
import { type Authenticate, CallFailure, type Codec, Dispatcher } from '../../src/calls/dispatcher.ts';
import { Metrics } from '../../src/calls/metrics.ts';
import type { Operation } from '../../src/calls/operation.ts';
import { KmsError } from '../../src/errors.ts';
import { MacService } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { openLog } from '../../src/log.ts';
import { ChangeFollower } from '../../src/records/change-follower.ts';
import { StoreUnavailableError } from '../../src/records/record-store.ts';
import { UnsealError } from '../../src/records/sealer.ts';
import { ControlledStore } from '../records/controlled-store.ts';
import { FakeClock } from '../support/running-service.ts';

const TTL = 1_000;
const ROOT: Principal = principalOf('arn:aws:iam::000000000000:root', [], 'anonymous');

/** A dispatcher under a lease, and what it tells of each call. */
async function makeDispatcher(authenticate: Authenticate = () => ROOT) {
  const clock = new FakeClock();
  const store = new ControlledStore();
  const follower = new ChangeFollower(store, TTL, clock, () => {});
  await follower.held();
  const audited: { call: Call; outcome: string; milliseconds: number }[] = [];
  const audit: AuditLog = {
    record: (call, outcome, milliseconds) => void audited.push({ call, outcome, milliseconds }),
    close: async () => {},
  };
  const logged: string[] = [];
  const log = openLog('debug', { write: (line: string) => void logged.push(line) });
  const metrics = new Metrics(
    () => true,
    () => true,
  );
  const dispatcher = new Dispatcher(authenticate, follower, audit, metrics, log, clock);
  return {
    clock,
    follower,
    audited,
    logged,
    metrics,
    dispatcher,
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

function operation(serve: Operation['serve'], more: Partial<Operation> = {}): Operation {
  return {
    method: MacService.method.generateMac,
    name: 'GenerateMac',
    validate: () => [],
    serve,
    actsOnCache: true,
    ...more,
  };
}

const FROM = { wire: 'grpc', sourceAddress: '127.0.0.1' } as const;
const ARRIVAL = { ...FROM, evidence: { authorization: undefined, tlsIdentities: () => [] } };
const codec: Codec<string, string> = { decode: (body) => ({ body }), encode: (answer) => JSON.stringify(answer) };

/** What a call ends in, whether it throws it or promises it. */
async function failureOf(call: () => unknown): Promise<CallFailure> {
  try {
    await call();
  } catch (error) {
    if (error instanceof CallFailure) return error;
    throw error;
  }
  throw new Error('the call succeeded');
}

describe('a call', () => {
  it('that needs no I/O is answered without a turn of the event loop', async () => {
    await using world = await makeDispatcher();
    const answer = world.dispatcher.dispatch(
      operation((request) => request),
      ARRIVAL,
      codec,
      'body',
    );
    expect(answer).toBe('{"body":"body"}');
    expect(world.audited).toMatchObject([
      { outcome: 'OK', call: { operation: 'GenerateMac', ...FROM, principal: ROOT } },
    ]);
  });

  it('is authenticated before its body is looked at, and validated before it is served', async () => {
    const steps: string[] = [];
    await using world = await makeDispatcher(() => {
      steps.push('authenticate');
      return ROOT;
    });
    const noted: Codec<string, string> = {
      decode: (body) => (steps.push('decode'), { body }),
      encode: () => (steps.push('encode'), ''),
    };
    const served = operation(async () => (steps.push('serve'), {}), { validate: () => (steps.push('validate'), []) });
    await world.dispatcher.dispatch(served, ARRIVAL, noted, '');
    expect(steps).toEqual(['authenticate', 'decode', 'validate', 'serve', 'encode']);
  });

  it('by nobody who may is refused without a look at its body', async () => {
    await using world = await makeDispatcher(() => {
      throw new KmsError('AccessDeniedException', 'no');
    });
    const never: Codec<string, string> = { ...codec, decode: () => expect.unreachable() };
    const failure = await failureOf(() =>
      world.dispatcher.dispatch(
        operation(() => ({})),
        ARRIVAL,
        never,
        '',
      ),
    );
    expect(failure.error).toMatchObject({ exception: 'AccessDeniedException', message: 'no' });
    expect(world.audited).toMatchObject([{ outcome: 'AccessDeniedException', call: { principal: { arn: '' } } }]);
  });

  it.each([
    ['served', operation((request) => request), 'OK'],
    ['refused', operation(() => Promise.reject(new KmsError('DisabledException', 'd'))), 'DisabledException'],
  ])('whose caller is known only later is %s then, and audited once', async (_, served, outcome) => {
    const known = Promise.withResolvers<Principal>();
    await using world = await makeDispatcher(() => known.promise);
    const ended = Promise.allSettled([world.dispatcher.dispatch(served, ARRIVAL, codec, 'body')]);
    expect(world.audited).toEqual([]);
    known.resolve(ROOT);
    await ended;
    expect(world.audited).toMatchObject([{ outcome, call: { principal: ROOT } }]);
  });

  it('whose caller turns out to be nobody who may is refused without a look at its body, and audited once', async () => {
    await using world = await makeDispatcher(() => Promise.reject(new KmsError('ExpiredTokenException', 'e')));
    const never: Codec<string, string> = { ...codec, decode: () => expect.unreachable() };
    const served = operation(() => ({}));
    const failure = await failureOf(() => world.dispatcher.dispatch(served, ARRIVAL, never, ''));
    expect(failure.error.exception).toBe('ExpiredTokenException');
    expect(world.audited).toMatchObject([
      { outcome: 'ExpiredTokenException', call: { principal: { arn: '', authentication: 'none' } } },
    ]);
  });

  it('whose body does not decode says so, and nothing of the body', async () => {
    await using world = await makeDispatcher();
    const failing: Codec<string, string> = {
      ...codec,
      decode: (body) => {
        throw new Error(`bad: ${body}`);
      },
    };
    const failure = await failureOf(() =>
      world.dispatcher.dispatch(
        operation(() => ({})),
        ARRIVAL,
        failing,
        's3cret',
      ),
    );
    expect(failure.error).toMatchObject({
      exception: 'SerializationException',
      message: 'The request does not decode.',
    });
    expect(world.logged.join('')).not.toContain('s3cret');
    expect(world.audited).toMatchObject([{ outcome: 'SerializationException' }]);
  });

  it('that is out of its limits is not served', async () => {
    await using world = await makeDispatcher();
    const violations = [{ field: 'key_id', description: "Value '' at 'keyId' …" }];
    const refused = operation(() => expect.unreachable(), { validate: () => violations });
    const failure = await failureOf(() => world.dispatcher.dispatch(refused, ARRIVAL, codec, ''));
    expect(failure.error).toMatchObject({ exception: 'ValidationException', violations });
  });

  it.each([
    [
      'throws',
      () => {
        throw new KmsError('DisabledException', 'd');
      },
    ],
    ['rejects', () => Promise.reject(new KmsError('DisabledException', 'd'))],
  ])('whose handler %s ends in that', async (_, serve) => {
    await using world = await makeDispatcher();
    const failure = await failureOf(() => world.dispatcher.dispatch(operation(serve), ARRIVAL, codec, ''));
    expect(failure.error).toMatchObject({ exception: 'DisabledException', message: 'd' });
    expect(world.audited).toMatchObject([{ outcome: 'DisabledException' }]);
  });
});

describe('an answer', () => {
  it.each([
    ['at once', (advance: () => void) => (advance(), {})],
    ['later', async (advance: () => void) => (await Promise.resolve(), advance(), {})],
  ])('that was made %s is withheld when the lease lapsed meanwhile', async (_, serve) => {
    await using world = await makeDispatcher();
    const passing = (elapsed: number) => operation(() => serve(() => world.clock.advance(elapsed)));
    expect(await world.dispatcher.dispatch(passing(TTL - 1), ARRIVAL, codec, '')).toBe('{}');
    const failure = await failureOf(() => world.dispatcher.dispatch(passing(1), ARRIVAL, codec, ''));
    expect(failure.error.exception).toBe('KeyUnavailableException');
    expect(world.audited.map(({ outcome }) => outcome)).toEqual(['OK', 'KeyUnavailableException']);
  });

  it('is withheld, too, when the lease lapsed while it was encoded', async () => {
    await using world = await makeDispatcher();
    const slow: Codec<string, string> = { ...codec, encode: () => (world.clock.advance(TTL), '') };
    const failure = await failureOf(() =>
      world.dispatcher.dispatch(
        operation(() => ({})),
        ARRIVAL,
        slow,
        '',
      ),
    );
    expect(failure.error.exception).toBe('KeyUnavailableException');
  });

  it('of an operation that reads the store itself needs no lease', async () => {
    await using world = await makeDispatcher();
    const managing = operation(() => (world.clock.advance(10 * TTL), {}), { actsOnCache: false });
    expect(world.dispatcher.dispatch(managing, ARRIVAL, codec, '')).toBe('{}');
  });
});

describe('an error that is no caller’s business', () => {
  const INTERNAL = {
    exception: 'KMSInternalException',
    message: 'An internal exception occurred. You can retry the request.',
  };
  const UNAVAILABLE = {
    exception: 'KeyUnavailableException',
    message: 'The store of keys did not answer. You can retry the request.',
  };
  it.each([
    ['a defect', new TypeError('a defect'), INTERNAL, 'hmacd_damaged_records_total 0', '"level":50'],
    ['what is no error', 'a text', INTERNAL, 'hmacd_damaged_records_total 0', '"level":50'],
    ['a damaged record', new UnsealError('path', 'a reason'), INTERNAL, 'hmacd_damaged_records_total 1', '"level":50'],
    [
      'a store that fails',
      new StoreUnavailableError('a reason'),
      UNAVAILABLE,
      'hmacd_store_errors_total 1',
      '"level":20',
    ],
  ])('(%s) is logged with its cause, counted, and not shown', async (_, thrown, shown, metric, level) => {
    await using world = await makeDispatcher();
    const failing = operation(() => Promise.reject(thrown));
    const failure = await failureOf(() => world.dispatcher.dispatch(failing, ARRIVAL, codec, ''));
    expect(failure.error).toMatchObject(shown);
    expect(world.logged.length).toBe(1);
    expect(world.logged[0]).toContain(level);
    expect(world.logged[0]).toContain(thrown instanceof Error ? thrown.message : thrown);
    expect(world.logged[0]).toContain(failure.call.requestId);
    const { body } = await world.metrics.text();
    expect(body).toContain(metric);
    expect(body).toContain(`hmacd_calls_total{operation="GenerateMac",wire="grpc",outcome="${shown.exception}"} 1`);
  });
});
