import { hash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KMSClient } from '@aws-sdk/client-kms';
import { onTestFinished } from 'vitest';
import type { Replacements } from '../../src/service.ts';
import { temporaryFolder } from '../support/deployment.ts';
import { type RunningService, startService } from '../support/running-service.ts';

export const ACCOUNT = '000000000000';
export const REGION = 'us-east-1';
export const SESSION_TOKEN = 'the-token-of-the-session';

/** Who may call, by the names of their access keys. */
export const PEOPLE = {
  root: { arn: `arn:aws:iam::${ACCOUNT}:root`, id: 'AKIAROOTROOTROOTROOT', secret: 'the/secret+of/the+root' },
  orders: { arn: `arn:aws:iam::${ACCOUNT}:role/orders`, id: 'AKIAORDERSORDERSORDE', secret: 'the-secret-of-orders' },
  session: {
    arn: `arn:aws:sts::${ACCOUNT}:assumed-role/session/1`,
    id: 'ASIASESSIONSESSIONSE',
    secret: 'the-secret-of-the-session',
  },
  partner: { arn: 'arn:aws:iam::111111111111:role/partner', id: 'AKIAPARTNERPARTNERPA', secret: 'partner-secret' },
} as const;
export type Person = keyof typeof PEOPLE;

/** Where programs of AWS find the root's access key and the Region, and nothing else. */
export const AWS_ENVIRONMENT = {
  AWS_ACCESS_KEY_ID: PEOPLE.root.id,
  AWS_SECRET_ACCESS_KEY: PEOPLE.root.secret,
  AWS_REGION: REGION,
  AWS_DEFAULT_REGION: REGION,
  AWS_CONFIG_FILE: '/dev/null',
  AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_PAGER: '',
};

/** When the session's access key ends. */
export const SESSION_END = Math.ceil(Date.now() / 1_000) * 1_000 + 3_600_000;

/** Writes a principals file of everybody, with what it names; its path. */
export function writePrincipals(): string {
  const folder = temporaryFolder();
  const everything = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: 'kms:*', Resource: '*' }] };
  const principals = Object.entries(PEOPLE).map(([person, { arn, id, secret }]) => {
    writeFileSync(join(folder, person), secret);
    const temporary = {
      session_token_sha256: hash('sha256', SESSION_TOKEN),
      expires_at: new Date(SESSION_END).toISOString(),
    };
    return {
      arn,
      access_keys: [{ id, secret_file: person, ...(person === 'session' && temporary) }],
      ...((person === 'partner' || person === 'session') && { policies: [everything] }),
    };
  });
  const path = join(folder, 'principals.yaml');
  writeFileSync(path, JSON.stringify({ principals }));
  return path;
}

/** A service that asks for signatures, and AWS's own clients of it. It ends with the test. */
export class AwsWorld {
  readonly running: RunningService;

  private constructor(running: RunningService) {
    this.running = running;
  }

  static async start(
    settings: Readonly<Record<string, string>> = {},
    replacements: Replacements = {},
  ): Promise<AwsWorld> {
    const running = await startService({ PRINCIPALS_FILE: writePrincipals(), ...settings }, replacements);
    onTestFinished(() => running[Symbol.asyncDispose]());
    return new AwsWorld(running);
  }

  get url(): string {
    return `http://127.0.0.1:${this.running.httpPort}`;
  }

  /** A client of AWS's SDK that tries once. */
  kms(person: Person = 'root', config: ConstructorParameters<typeof KMSClient>[0] = {}): KMSClient {
    const { id, secret } = PEOPLE[person];
    const client = new KMSClient({
      endpoint: this.url,
      region: REGION,
      maxAttempts: 1,
      credentials: {
        accessKeyId: id,
        secretAccessKey: secret,
        ...(person === 'session' && { sessionToken: SESSION_TOKEN }),
      },
      ...config,
    });
    onTestFinished(() => client.destroy());
    return client;
  }
}

/** What a request says, unsigned. */
export interface RawRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The request that AWS's SDK would send, signed. */
export async function captured(
  world: AwsWorld,
  send: (client: KMSClient) => Promise<unknown>,
  person: Person = 'root',
  config: ConstructorParameters<typeof KMSClient>[0] = {},
): Promise<RawRequest> {
  let request: RawRequest | undefined;
  const handle = async (sent: { method: string; path: string; headers: Record<string, string>; body: string }) => {
    request = { method: sent.method, path: sent.path, headers: sent.headers, body: sent.body };
    throw new Error('captured');
  };
  await send(world.kms(person, { ...config, requestHandler: { handle } as never })).catch(() => {});
  if (request === undefined) throw new Error('nothing was sent');
  return request;
}

/** What came back. */
export interface RawResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON, where it is. */
  readonly body: Readonly<Record<string, unknown>>;
}

/** Sends a request as it is. */
export async function sendRaw(world: AwsWorld, { method, path, headers, body }: RawRequest): Promise<RawResponse> {
  const response = await fetch(world.url + path, {
    method,
    headers: { ...headers },
    ...(method !== 'GET' && { body }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: text.startsWith('{') ? JSON.parse(text) : {},
  };
}

/** A call of an anonymous client, by the name of its operation. */
export function unsigned(operation: string, body: unknown = {}): RawRequest {
  return {
    method: 'POST',
    path: '/',
    headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `TrentService.${operation}` },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  };
}
