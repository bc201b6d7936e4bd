import { cors } from '@connectrpc/connect';
import { type HttpRequest, type HttpResponse, respond } from './http-listener.ts';

/** Which web pages and which names may reach the HTTP listener. */
export interface WebAccess {
  /** Origins that browsers may call from: `https://app.example.org`. */
  readonly corsOrigins: readonly string[];
  /** The only names, without port, that a request may be addressed to; `undefined` for any. */
  readonly allowedHosts: readonly string[] | undefined;
}

/** What pages may send beside what Connect needs: credentials, and what AWS's SDKs send. */
const HEADERS = [
  'authorization',
  'amz-sdk-invocation-id',
  'amz-sdk-request',
  'x-amz-content-sha256',
  'x-amz-date',
  'x-amz-security-token',
  'x-amz-target',
  'x-amz-user-agent',
];

/**
 * Whether a request is to be served. Answers it otherwise: what comes by a name or from a page that it should not, and
 * preflights.
 */
export function admits(
  request: HttpRequest,
  response: HttpResponse,
  { allowedHosts, corsOrigins }: WebAccess,
): boolean {
  const host = hostOf(request);
  if (host === undefined || allowedHosts?.includes(host) === false) {
    const reason = 'This service is not to be reached by this name; see HMACD_ALLOWED_HOSTS.\n';
    respond(response, 421, { 'content-type': 'text/plain' }, reason);
    return false;
  }
  const { origin } = request.headers;
  if (origin === undefined || !corsOrigins.includes(origin)) return true;
  response.setHeader('access-control-allow-origin', origin);
  response.setHeader('vary', 'origin');
  response.setHeader('access-control-expose-headers', [...cors.exposedHeaders, 'x-amzn-requestid'].join(', '));
  if (request.method !== 'OPTIONS') return true;
  respond(response, 204, {
    'access-control-allow-methods': cors.allowedMethods.join(', '),
    'access-control-allow-headers': [...cors.allowedHeaders, ...HEADERS].join(', '),
    'access-control-max-age': '7200',
  });
  return false;
}

/** The last authority, and the name in it: mostly the next request is addressed alike. */
let last: { readonly authority: string | undefined; readonly host: string | undefined } | undefined;

/** The name that a request is addressed to, without the port; `undefined` when it is addressed to no possible one. */
function hostOf(request: HttpRequest): string | undefined {
  const authority = 'authority' in request ? request.authority : request.headers.host;
  if (last === undefined || last.authority !== authority)
    last = { authority, host: hostIn(`http://${authority ?? ''}`) };
  return last.host;
}

function hostIn(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).hostname : undefined;
}
