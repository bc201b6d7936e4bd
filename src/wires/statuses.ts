import { create, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import type { CallFailure } from '../calls/dispatcher.ts';
import type { ExceptionName } from '../errors.ts';
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RequestInfoSchema,
  RetryInfoSchema,
} from '../gen/google/rpc/error_details_pb.ts';

/** The gRPC code of each exception; Connect's codes are the same numbers. */
export const CODES: Readonly<Record<ExceptionName, Code>> = {
  AccessDeniedException: Code.PermissionDenied,
  AlreadyExistsException: Code.AlreadyExists,
  DependencyTimeoutException: Code.Unavailable,
  DisabledException: Code.FailedPrecondition,
  DryRunOperationException: Code.FailedPrecondition,
  ExpiredImportTokenException: Code.InvalidArgument,
  ExpiredTokenException: Code.Unauthenticated,
  IncompleteSignatureException: Code.Unauthenticated,
  IncorrectKeyException: Code.InvalidArgument,
  IncorrectKeyMaterialException: Code.InvalidArgument,
  InvalidAliasNameException: Code.InvalidArgument,
  InvalidArnException: Code.InvalidArgument,
  InvalidCiphertextException: Code.InvalidArgument,
  InvalidGrantTokenException: Code.InvalidArgument,
  InvalidImportTokenException: Code.InvalidArgument,
  InvalidKeyUsageException: Code.InvalidArgument,
  InvalidMarkerException: Code.InvalidArgument,
  InvalidSignatureException: Code.Unauthenticated,
  KMSInternalException: Code.Internal,
  KMSInvalidMacException: Code.InvalidArgument,
  KMSInvalidStateException: Code.FailedPrecondition,
  KeyUnavailableException: Code.Unavailable,
  LimitExceededException: Code.ResourceExhausted,
  MalformedPolicyDocumentException: Code.InvalidArgument,
  MissingAuthenticationTokenException: Code.Unauthenticated,
  NotAuthorizedException: Code.PermissionDenied,
  NotFoundException: Code.NotFound,
  RequestEntityTooLargeException: Code.ResourceExhausted,
  SerializationException: Code.InvalidArgument,
  TagException: Code.InvalidArgument,
  ThrottlingException: Code.ResourceExhausted,
  UnknownOperationException: Code.Unimplemented,
  UnrecognizedClientException: Code.Unauthenticated,
  UnsupportedOperationException: Code.Unimplemented,
  ValidationException: Code.InvalidArgument,
};

/** A message with its schema. */
export interface Detail<D extends DescMessage = DescMessage> {
  readonly desc: D;
  readonly value: MessageShape<D>;
}

/** What gRPC and Connect tell of a call that failed. */
export interface Status {
  readonly code: Code;
  readonly message: string;
  /** https://cloud.google.com/apis/design/errors#error_details */
  readonly details: readonly Detail[];
}

/**
 * The status of a failure: its exception travels as the reason of an ErrorInfo, its fields as a BadRequest, and when to
 * try again as a RetryInfo.
 */
export function statusOf({ error, call }: CallFailure): Status {
  const metadata: Record<string, string> = { exception: error.exception };
  if (call.keyArn !== undefined && error.tellsKey) metadata['keyArn'] = call.keyArn;
  if (error.decision !== undefined) metadata['decidedBy'] = error.decision;
  const details: Detail[] = [
    detail(ErrorInfoSchema, { reason: reasonOf(error.exception), domain: 'hmacd', metadata }),
    detail(RequestInfoSchema, { requestId: call.requestId }),
  ];
  if (error.violations.length > 0) {
    details.push(detail(BadRequestSchema, { fieldViolations: [...error.violations] }));
  }
  if (error.retryDelay !== undefined) {
    details.push(detail(RetryInfoSchema, { retryDelay: durationFromMs(error.retryDelay) }));
  }
  return { code: CODES[error.exception], message: error.message, details };
}

/** `KMS_INVALID_MAC` for `KMSInvalidMacException`. */
export function reasonOf(exception: ExceptionName): string {
  return exception
    .replace(/Exception$/, '')
    .replace(/([a-z])([A-Z])|(KMS)(?=[A-Z])/g, (_, lower, upper, kms) => (kms ? `${kms}_` : `${lower}_${upper}`))
    .toUpperCase();
}

function detail<D extends DescMessage>(desc: D, init: Parameters<typeof create<D>>[1]): Detail {
  return { desc, value: create(desc, init) };
}
