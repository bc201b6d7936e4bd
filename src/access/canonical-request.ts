import { hash } from 'node:crypto';

/** Headers by their names in lower case. */
export interface Headers {
  readonly authorization?: string | undefined;
  readonly [name: string]: string | string[] | undefined;
}

/** A request as its signature sees it. */
export interface SignedRequest {
  /** In capitals. */
  readonly method: string;
  /** Path and query, as they were sent. */
  readonly target: string;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

/**
 * What of a request is signed; of a header, a character is a byte.
 *
 * Of a query, it takes the canonical form alone; AWS's clients of KMS send none.
 *
 * @param names of the signed headers, in lower case and in order
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#create-canonical-request
 */
export function canonicalRequest({ method, target, headers, body }: SignedRequest, names: readonly string[]): string {
  const [path, query] = cutAt(target, '?');
  let lines = `${method}\n${path}\n${query}\n`;
  for (const name of names) lines += `${name}:${canonicalValue(valueOf(headers, name))}\n`;
  return `${lines}\n${names.join(';')}\n${hash('sha256', body)}`;
}

function valueOf(headers: Headers, name: string): string {
  // HTTP/2 has no host, but what stands for it.
  const value = Object.hasOwn(headers, name) ? headers[name] : name === 'host' ? headers[':authority'] : undefined;
  return Array.isArray(value) ? value.join(',') : (value ?? '');
}

function canonicalValue(value: string): string {
  return trimmed(value).replace(/ {2,}/g, ' ');
}

/** Without the white space of HTTP at its ends, which is less than JavaScript's. */
function trimmed(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && isWhiteSpace(text.charCodeAt(start))) start++;
  while (end > start && isWhiteSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isWhiteSpace(unit: number): boolean {
  return unit === 0x20 || unit === 0x09;
}

/** A text before and after the first occurrence of a separator. */
export function cutAt(text: string, separator: string): [before: string, after: string] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + separator.length)];
}
