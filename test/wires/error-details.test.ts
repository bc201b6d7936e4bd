import { fromBinary } from '@bufbuild/protobuf';
import type { ConnectError } from '@connectrpc/connect';
import { describe, expect, it } from 'vitest';
import { ErrorInfoSchema, RequestInfoSchema } from '../../src/gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../src/gen/google/rpc/status_pb.ts';
import { reasonOf } from '../../src/wires/statuses.ts';
import { WIRES } from '../support/clients.ts';
import { startAuditedService } from './audited-service.ts';
import { callRaw, frameOf } from './raw-grpc.ts';

describe('the reason of an exception', () => {
  it.each([
    ['ValidationException', 'VALIDATION'],
    ['KMSInvalidMacException', 'KMS_INVALID_MAC'],
    ['KMSInvalidStateException', 'KMS_INVALID_STATE'],
    ['KMSInternalException', 'KMS_INTERNAL'],
    ['DryRunOperationException', 'DRY_RUN_OPERATION'],
    ['InvalidGrantTokenException', 'INVALID_GRANT_TOKEN'],
    ['SerializationException', 'SERIALIZATION'],
  ] as const)('of %s is %s', (exception, reason) => {
    expect(reasonOf(exception)).toBe(reason);
  });
});

describe.each(WIRES)('an error over %s', (wire) => {
  it('names its domain, and the request as the audit log names it', async () => {
    await using service = await startAuditedService();
    const error: unknown = await service.running.clients[wire].keys.describeKey({}).catch((reason: unknown) => reason);
    const [info] = (error as ConnectError).findDetails(ErrorInfoSchema);
    const [request] = (error as ConnectError).findDetails(RequestInfoSchema);
    const [line] = await service.lines(1);
    expect(info?.domain).toBe('hmacd');
    expect(request?.requestId).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(request?.requestId).toBe(line?.requestId);
  });
});

describe('the status in the trailers of gRPC', () => {
  it('has the same code and message as the call', async () => {
    await using service = await startAuditedService();
    const path = '/hmacd.v1.KeyService/DescribeKey';
    const answer = await callRaw(service.running.grpcPort, { path, body: frameOf(Buffer.alloc(0)) });
    const status = fromBinary(StatusSchema, answer.details!);
    expect(answer.httpStatus).toBe(200);
    expect(status.code).toBe(answer.grpcStatus);
    expect(status.message).toBe(answer.grpcMessage);
    expect(status.details.map(({ typeUrl }) => typeUrl)).toEqual([
      'type.googleapis.com/google.rpc.ErrorInfo',
      'type.googleapis.com/google.rpc.RequestInfo',
      'type.googleapis.com/google.rpc.BadRequest',
    ]);
  });
});
