import { KmsError } from '../errors.ts';

/** The longest token, in characters. */
const LONGEST = 8_192;
const SCHEME = /^bearer(?: |$)/i;
/** https://www.rfc-editor.org/rfc/rfc6750#section-2.1 */
const CREDENTIALS = /^bearer +([\w.~+/-]+=*)$/i;

/**
 * The token in an `authorization` header; `undefined` when the header is of another scheme.
 *
 * @throws KmsError UnrecognizedClientException when there is no token that could be one, or one of more than 8 KiB
 */
export function bearerToken(authorization: string): string | undefined {
  if (!SCHEME.test(authorization)) return undefined;
  // As long as a token and the scheme: what is longer is not looked at.
  const token = authorization.length > LONGEST + 64 ? undefined : CREDENTIALS.exec(authorization)?.[1];
  if (token === undefined || token.length > LONGEST) throw unrecognizedClient('the header has no bearer token');
  return token;
}

/**
 * The error for a credential that is wrong, in AWS's words; of the credential it tells the caller nothing.
 *
 * @param remark what is wrong, for whoever runs the service: one of a few sentences, without anything that came
 */
export function unrecognizedClient(remark: string): KmsError {
  const text = 'The security token included in the request is invalid.';
  return new KmsError('UnrecognizedClientException', text).remarked(remark);
}
