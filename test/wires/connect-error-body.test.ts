import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { BadRequestSchema, ErrorInfoSchema, RequestInfoSchema } from '../../src/gen/google/rpc/error_details_pb.ts';
import { makeKey } from '../macs/specs.ts';
import { startService } from '../support/running-service.ts';
import { post, requestJson } from './mac-calls.ts';

/** https://connectrpc.com/docs/protocol#error-end-stream */
interface ErrorBody {
  readonly code: string;
  readonly message?: string;
  readonly details: readonly { readonly type: string; readonly value: string; readonly debug?: unknown }[];
}

describe('an error over Connect', () => {
  it('is JSON with code, message, and details that a program reads and a person can', async () => {
    await using running = await startService();
    const response = await post(running.httpPort, 'application/json', '{}');
    expect(response.status).toBe(400);
    expect(response.headers.get('content-type')).toBe('application/json');
    const { code, message, details } = (await response.json()) as ErrorBody;
    expect(code).toBe('invalid_argument');
    expect(message).toMatch(/^3 validation errors detected: /);
    expect(details.map(({ type }) => type)).toEqual([
      'google.rpc.ErrorInfo',
      'google.rpc.RequestInfo',
      'google.rpc.BadRequest',
    ]);
    const [info, request, bad] = details.map(({ value }) => Buffer.from(value, 'base64'));
    expect(fromBinary(ErrorInfoSchema, info!)).toMatchObject({
      reason: 'VALIDATION',
      domain: 'hmacd',
      metadata: { exception: 'ValidationException' },
    });
    expect(fromBinary(RequestInfoSchema, request!).requestId).toHaveLength(36);
    expect(fromBinary(BadRequestSchema, bad!).fieldViolations.map(({ field }) => field)).toEqual([
      'message',
      'key_id',
      'mac_algorithm',
    ]);
    expect(details[0]!.debug).toEqual({
      reason: 'VALIDATION',
      domain: 'hmacd',
      metadata: { exception: 'ValidationException' },
    });
  });

  it('is JSON also for a client that speaks protobuf', async () => {
    await using running = await startService();
    const response = await post(running.httpPort, 'application/proto', '');
    expect(response.status).toBe(400);
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(await response.json()).toMatchObject({ code: 'invalid_argument' });
  });

  it.each([
    { what: 'no key', status: 404, code: 'not_found', keyId: () => 'nothing' },
    {
      what: "another account's key",
      status: 403,
      code: 'permission_denied',
      keyId: () => 'arn:aws:kms:us-east-1:999999999999:alias/x',
    },
    { what: 'a disabled key', status: 400, code: 'failed_precondition', keyId: (disabled: string) => disabled },
  ])('has the HTTP status and the code of Connect: $what is $status', async ({ status, code, keyId }) => {
    await using running = await startService();
    const disabled = await makeKey(running.clients.gRPC);
    await running.clients.gRPC.keys.disableKey({ keyId: disabled });
    const response = await post(running.httpPort, 'application/json', requestJson(keyId(disabled)));
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ code });
  });
});
