/** The names of the exceptions that a call can end in: AWS's own, where AWS has one. */
export type ExceptionName =
  | 'AccessDeniedException'
  | 'AlreadyExistsException'
  | 'DependencyTimeoutException'
  | 'DisabledException'
  | 'DryRunOperationException'
  | 'ExpiredImportTokenException'
  | 'ExpiredTokenException'
  | 'IncompleteSignatureException'
  | 'IncorrectKeyException'
  | 'IncorrectKeyMaterialException'
  | 'InvalidAliasNameException'
  | 'InvalidArnException'
  | 'InvalidCiphertextException'
  | 'InvalidGrantTokenException'
  | 'InvalidImportTokenException'
  | 'InvalidKeyUsageException'
  | 'InvalidMarkerException'
  | 'InvalidSignatureException'
  | 'KMSInternalException'
  | 'KMSInvalidMacException'
  | 'KMSInvalidStateException'
  | 'KeyUnavailableException'
  | 'LimitExceededException'
  | 'MalformedPolicyDocumentException'
  | 'MissingAuthenticationTokenException'
  | 'NotAuthorizedException'
  | 'NotFoundException'
  | 'RequestEntityTooLargeException'
  | 'SerializationException'
  | 'TagException'
  | 'ThrottlingException'
  | 'UnknownOperationException'
  | 'UnrecognizedClientException'
  | 'UnsupportedOperationException'
  | 'ValidationException';

/** A field of a request that is out of its limits. */
export interface FieldViolation {
  /** The field's name in the contract, such as `mac_algorithm`. */
  readonly field: string;
  /** AWS's sentence: `Value '0' at 'limit' failed to satisfy constraint: …`. Never has a message, MAC or token in it. */
  readonly description: string;
}

/**
 * What a call ends in when it does not succeed. Everything in it may be shown to the caller.
 *
 * The message is AWS's text, and empty where AWS sends none.
 */
export class KmsError extends Error {
  override readonly name = 'KmsError';
  readonly exception: ExceptionName;
  /** Only of a ValidationException: the fields that it is about, if it is about fields. */
  readonly violations: readonly FieldViolation[];
  /** What of the policies and grants decided, in words, for a caller who may know. */
  decision: string | undefined;
  /** What else is to be said of it to whoever runs the service, and not to the caller; without anything that came. */
  remark: string | undefined;
  /** Whether the caller may be told which key it is about. */
  tellsKey = true;
  /** After how many milliseconds the same call may succeed, unless others come first; where that is known. */
  retryDelay: number | undefined;

  constructor(exception: ExceptionName, message = '', violations: readonly FieldViolation[] = []) {
    super(message);
    this.exception = exception;
    this.violations = violations;
  }

  /** The same error, which also tells what decided. */
  decidedBy(decision: string | undefined): this {
    this.decision = decision;
    return this;
  }

  /** The same error, of which more is said in the audit log: in a few words, without anything that came. */
  remarked(remark: string): this {
    this.remark = remark;
    return this;
  }

  /** The same error, which also tells when to try again; in milliseconds. */
  retryAfter(delay: number): this {
    this.retryDelay = delay;
    return this;
  }
}

/** The same error, which does not tell whether there is a key. */
export function withoutKey(error: KmsError): KmsError {
  error.tellsKey = false;
  return error;
}

/** A ValidationException about some fields, with all that is wrong in AWS's one sentence. */
export function validationError(violations: readonly FieldViolation[]): KmsError {
  const count = `${violations.length} validation error${violations.length === 1 ? '' : 's'} detected`;
  const descriptions = violations.map((violation) => violation.description).join('; ');
  return new KmsError('ValidationException', `${count}: ${descriptions}`, violations);
}

/**
 * What a call with `DryRun` ends in that would have succeeded; it tells what allows the call.
 *
 * @param call as far as it is known what decided
 */
export function dryRunError({ decidedBy }: { readonly decidedBy: string | undefined }): KmsError {
  const message = 'The request would have succeeded, but the DryRun option is set.';
  return new KmsError('DryRunOperationException', message).decidedBy(decidedBy);
}

/** What a call ends in that comes too fast, and may come again after so many milliseconds. */
export function throttlingError(delay: number): KmsError {
  return new KmsError(
    'ThrottlingException',
    'You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.',
  ).retryAfter(delay);
}

/** The most characters of a caller's own text that an error repeats: an error has to fit into the trailers of a call. */
const ECHO = 256;

/** A caller's own text, as an error may repeat it. */
export function shortened(text: string): string {
  // Cut inside a surrogate pair it would be ill-formed, and could not be sent.
  return text.length <= ECHO ? text : `${text.slice(0, ECHO).toWellFormed()}…`;
}
