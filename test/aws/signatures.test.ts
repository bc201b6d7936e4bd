import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { CreateKeyCommand, GenerateMacCommand, ListKeysCommand } from '@aws-sdk/client-kms';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/deployment.ts';
import { FakeClock } from '../support/running-service.ts';
import { AwsWorld, captured, PEOPLE, type RawRequest, sendRaw, SESSION_END, SESSION_TOKEN } from './world.ts';

const MINUTE = 60_000;
const WRONG =
  'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.';
const UNKNOWN = 'The security token included in the request is invalid.';

const basic = (time: number): string => new Date(time).toISOString().replace(/[-:]|\.\d{3}/g, '');

const incomplete = (message: string) => ['IncompleteSignatureException', message];
const seed = Date.now() % 2 ** 31;
let state = seed;
/** A random number below another: the same ones again for the same seed. */
const pick = (below: number): number => {
  state = (Math.imul(state, 1_103_515_245) + 12_345) % 2 ** 31;
  return Math.floor((Math.abs(state) / 2 ** 31) * below);
};

/** A service whose clock stands at a signed request's time, and such a request. */
async function makeRequest(config: object = {}, person: keyof typeof PEOPLE = 'root') {
  const clock = new FakeClock(Math.floor(Date.now() / 1_000) * 1_000);
  const world = await AwsWorld.start({}, { clock });
  const request = await captured(world, (kms) => kms.send(new ListKeysCommand({ Limit: 10 })), person, config);
  const header = (name: string, value: string | undefined): RawRequest => {
    const { [name]: _, ...others } = request.headers;
    return { ...request, headers: value === undefined ? others : { ...others, [name]: value } };
  };
  const authorization = (pattern: string | RegExp, by: string): RawRequest =>
    header('authorization', request.headers['authorization']!.replace(pattern, by));
  const refusal = async (sent: RawRequest): Promise<[unknown, unknown]> => {
    const { status, body } = await sendRaw(world, sent);
    expect(status).toBe(400);
    return [body['__type'], body['message']];
  };
  return { clock, world, request, header, authorization, refusal };
}

describe('a signed request', () => {
  it('is of whose access key it is signed with', async () => {
    const { world, request } = await makeRequest();
    expect((await sendRaw(world, request)).status).toBe(200);
  });

  it.each([
    ['body', (request: RawRequest) => ({ ...request, body: request.body.replace('10', '11') })],
    ['path', (request: RawRequest) => ({ ...request, path: '/?x=1' })],
  ])('with another %s is refused', async (_, alter) => {
    const { request, refusal } = await makeRequest();
    expect(await refusal(alter(request))).toEqual(['InvalidSignatureException', WRONG]);
  });

  it('with another signature, signed header, date or operation is refused', async () => {
    const { request, header, authorization, refusal } = await makeRequest();
    const wrong = ['InvalidSignatureException', WRONG];
    expect(await refusal(authorization(/Signature=../, 'Signature=00'))).toEqual(wrong);
    expect(await refusal(authorization(/Signature=.*/, 'Signature=xyz'))).toEqual(wrong);
    expect(await refusal(authorization('content-length;', ''))).toEqual(wrong);
    expect(await refusal(header('x-amz-target', 'TrentService.ListAliases'))).toEqual(wrong);
    const date = request.headers['x-amz-date']!;
    const next = `${date.slice(0, 13)}${(Number(date.slice(13, 15)) + 1) % 60}`.padEnd(15, '0').slice(0, 15);
    expect(await refusal(header('x-amz-date', `${next}Z`))).toEqual(wrong);
    expect(await refusal(header('x-amz-user-agent', 'another'))).toEqual(wrong);
  });

  it('by another secret, or an access key that there is not, is refused', async () => {
    const secret = { credentials: { accessKeyId: PEOPLE.root.id, secretAccessKey: PEOPLE.orders.secret } };
    const wrong = await makeRequest(secret);
    expect(await wrong.refusal(wrong.request)).toEqual(['InvalidSignatureException', WRONG]);
    const unknown = await makeRequest({ credentials: { accessKeyId: 'AKIANOBODYNOBODYNOBO', secretAccessKey: 'x' } });
    expect(await unknown.refusal(unknown.request)).toEqual(['UnrecognizedClientException', UNKNOWN]);
  });

  it('may be up to 5 minutes off', async () => {
    const { clock, world, request, refusal } = await makeRequest();
    const date = request.headers['x-amz-date']!;
    const time = Date.parse(date.replace(/(....)(..)(..T..)(..)(..Z)/, '$1-$2-$3:$4:$5'));
    for (const offset of [-5 * MINUTE, 5 * MINUTE]) {
      clock.set(time + offset);
      expect((await sendRaw(world, request)).status).toBe(200);
    }
    clock.set(time + 5 * MINUTE + 1_000);
    expect(await refusal(request)).toEqual([
      'InvalidSignatureException',
      `Signature expired: ${date} is now earlier than ${basic(time + 1_000)} (${basic(time + 5 * MINUTE + 1_000)} - 5 min.)`,
    ]);
    clock.set(time - 5 * MINUTE - 1_000);
    expect(await refusal(request)).toEqual([
      'InvalidSignatureException',
      `Signature not yet current: ${date} is still later than ${basic(time - 1_000)} (${basic(time - 5 * MINUTE - 1_000)} + 5 min.)`,
    ]);
  });

  it('of another Region, service or day is refused', async () => {
    const { request, authorization, refusal } = await makeRequest();
    const region = 'Credential should be scoped to a valid region. ';
    const service = "Credential should be scoped to correct service: 'kms'. ";
    const cases: [RegExp, string, string][] = [
      [/us-east-1/, 'eu-west-1', region],
      [/\/kms\//, '/s3/', service],
      [/us-east-1\/kms/, 'eu-west-1/s3', region + service],
      [/aws4_request/, 'aws4', "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws4'. "],
    ];
    for (const [pattern, by, message] of cases) {
      expect(await refusal(authorization(pattern, by))).toEqual(['InvalidSignatureException', message]);
    }
    const date = request.headers['x-amz-date']!;
    expect(await refusal(authorization(/\/\d{8}\//, '/20000101/'))).toEqual([
      'InvalidSignatureException',
      `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20000101' != '${date.slice(0, 8)}', from '${date}'.`,
    ]);
    const elsewhere = await makeRequest({ region: 'eu-west-1' });
    expect(await elsewhere.refusal(elsewhere.request)).toEqual(['InvalidSignatureException', region]);
  });

  it('that is not complete is told what is missing', async () => {
    const { request, header, authorization, refusal } = await makeRequest();
    const parameters = request.headers['authorization']!.slice('AWS4-HMAC-SHA256 '.length).split(', ');
    const without = (name: string) =>
      header(
        'authorization',
        `AWS4-HMAC-SHA256 ${parameters.filter((parameter) => !parameter.startsWith(name)).join(', ')}`,
      );
    for (const name of ['Credential', 'Signature', 'SignedHeaders']) {
      const sent = without(name);
      const shown = sent.headers['authorization']!.trim();
      expect(shown.length).toBeLessThanOrEqual(256);
      expect(await refusal(sent)).toEqual(
        incomplete(`Authorization header requires '${name}' parameter. Authorization=${shown}`),
      );
    }
    expect(await refusal(header('authorization', 'AWS4-HMAC-SHA256 x'))).toEqual(
      incomplete(
        "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization=AWS4-HMAC-SHA256 x",
      ),
    );
    const { 'x-amz-date': __, ...dateless } = request.headers;
    const nothing = { ...request, headers: { ...dateless, authorization: 'X' } };
    for (const path of ['/', '/?X-Amz-Algorith']) {
      expect(await refusal({ ...nothing, path })).toEqual(
        incomplete(
          "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=X",
        ),
      );
    }
    expect(await refusal({ ...nothing, path: '/?X-Amz-Algorithm' })).toEqual([
      'InvalidSignatureException',
      "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
    ]);
    for (const between of [' ', ',', ', ']) {
      const shown = `AWS4- Signature=b${between}Credential=a`;
      expect(await refusal({ ...request, headers: { ...dateless, date: 'a', authorization: shown } })).toEqual(
        incomplete(`Authorization header requires 'SignedHeaders' parameter. Authorization=${shown}`),
      );
    }
    const { date: _, ...headers } = header('x-amz-date', undefined).headers;
    expect(String((await refusal({ ...request, headers }))[1])).toContain(
      "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=AWS4",
    );
    expect(await refusal(header('x-amz-date', 'yesterday'))).toEqual(
      incomplete("Date must be in ISO-8601 'basic format'. Got 'yesterday'. See http://en.wikipedia.org/wiki/ISO_8601"),
    );
    expect(await refusal(authorization(/Credential=[^,]+/, 'Credential=a/b/c/d'))).toEqual(
      incomplete(
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'a/b/c/d'",
      ),
    );
    expect(await refusal(authorization('AWS4-HMAC-SHA256', 'AWS4-ECDSA-P256-SHA256'))).toEqual(
      incomplete("Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256'."),
    );
    expect(await refusal({ ...request, path: '/?X-Amz-Algorithm=AWS4-HMAC-SHA256' })).toEqual([
      'InvalidSignatureException',
      "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
    ]);
  });

  it('with a parameter or a signed header twice, in another order, or unknown is refused', async () => {
    const { request, authorization, refusal } = await makeRequest();
    const credential = /Credential=[^,]+/.exec(request.headers['authorization']!)![0];
    for (const by of [`${credential}, ${credential}`, `${credential}, Other=1`, `${credential},`, `, ${credential}`]) {
      const [exception] = await refusal(authorization(/Credential=[^,]+/, by));
      expect(exception).toBe('IncompleteSignatureException');
    }
    // As one that is complete, it has commas.
    expect((await refusal(authorization(/, Signed/, ' Signed')))[0]).toBe('IncompleteSignatureException');
    expect((await refusal(authorization(/, Signature/, '\t Signature')))[0]).toBe('IncompleteSignatureException');
    for (const by of ['SignedHeaders=host;host;', 'SignedHeaders=z;host;', 'SignedHeaders=HOST;']) {
      expect(await refusal(authorization(/SignedHeaders=/, by))).toEqual(['InvalidSignatureException', WRONG]);
    }
  });

  it('must be signed with all that says what is asked for', async () => {
    const { authorization, refusal } = await makeRequest();
    for (const [name, shown] of [
      ['host', "'Host' or ':authority'"],
      ['x-amz-target', "'x-amz-target'"],
      ['x-amz-date', "'x-amz-date'"],
    ] as const) {
      expect(await refusal(authorization(new RegExp(`;?${name}(?=[;,])`), ''))).toEqual([
        'InvalidSignatureException',
        `${shown} must be a 'SignedHeader' in the AWS Authorization.`,
      ]);
    }
  });

  it('of a temporary access key needs its token, until it ends', async () => {
    const { clock, world, request, refusal } = await makeRequest({}, 'session');
    expect((await sendRaw(world, request)).status).toBe(200);
    const credentials = { accessKeyId: PEOPLE.session.id, secretAccessKey: PEOPLE.session.secret };
    const invalid = ['UnrecognizedClientException', UNKNOWN];
    const list = (config: object) => captured(world, (kms) => kms.send(new ListKeysCommand({})), 'root', config);
    expect(await refusal(await list({ credentials }))).toEqual(invalid);
    expect(await refusal(await list({ credentials: { ...credentials, sessionToken: 'x' } }))).toEqual(invalid);
    const ofRoot = { accessKeyId: PEOPLE.root.id, secretAccessKey: PEOPLE.root.secret, sessionToken: SESSION_TOKEN };
    expect(await refusal(await list({ credentials: ofRoot }))).toEqual(invalid);
    const late = await list({
      credentials: { ...credentials, sessionToken: SESSION_TOKEN },
      systemClockOffset: SESSION_END - Date.now(),
    });
    clock.set(SESSION_END + MINUTE);
    expect(await refusal(late)).toEqual([
      'ExpiredTokenException',
      'The security token included in the request is expired',
    ]);
  });
});

it('The audit log says why a signature was refused', async () => {
  const auditLog = join(temporaryFolder(), 'audit.log');
  const world = await AwsWorld.start({ AUDIT_LOG: auditLog });
  const list = (config: object = {}) => captured(world, (kms) => kms.send(new ListKeysCommand({})), 'root', config);
  const late = await list({ systemClockOffset: -6 * MINUTE });
  const early = await list({ systemClockOffset: 6 * MINUTE });
  const elsewhere = await list({ region: 'eu-west-1' });
  const altered = await list();
  const unknown = await list({ credentials: { accessKeyId: 'AKIANOBODYNOBODYNOBO', secretAccessKey: 'x' } });
  const broken = { ...altered, headers: { ...altered.headers, authorization: 'AWS4-HMAC-SHA256 x' } };
  for (const sent of [late, early, elsewhere, { ...altered, path: '/?x=1' }, unknown, broken])
    await sendRaw(world, sent);
  await world.running.service.close();
  const lines = readFileSync(auditLog, 'utf8').trim().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as { decidedBy: string }).decidedBy)).toEqual([
    'the signature is too old',
    'the signature is of a time to come',
    'the signature is for another Region, service or day',
    'the signature is not that of the access key',
    'the access key is none of the principals file',
    'the signature is not complete, or malformed',
  ]);
});

/** A request as bytes, and where in them the values are that its signature covers. */
function bytesOf({ method, path, headers, body }: RawRequest): { bytes: Buffer; signed: [from: number, to: number][] } {
  const signedHeaders = /SignedHeaders=([^,]+)/.exec(headers['authorization']!)![1]!.split(';');
  let head = `${method} ${path} HTTP/1.1\r\n`;
  const signed: [number, number][] = [[0, head.length - 11]];
  for (const [name, value] of Object.entries(headers)) {
    head += `${name}: `;
    if (name === 'authorization' || signedHeaders.includes(name))
      signed.push([head.length, head.length + value.length]);
    head += `${value}\r\n`;
  }
  head += 'connection: close\r\n\r\n';
  signed.push([head.length, head.length + body.length]);
  return { bytes: Buffer.from(head + body, 'latin1'), signed };
}

/** What a socket answers to some bytes; empty when it only closes. */
async function answerTo(port: number, bytes: Buffer): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.end(bytes);
  return await text(socket).catch(() => '');
}

it('No altered request of 10,000 gets a MAC, or fails the service', { timeout: 120_000 }, async () => {
  const world = await AwsWorld.start();
  const port = world.running.httpPort;
  const made = await world.kms().send(new CreateKeyCommand({ KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' }));
  const request = await captured(world, (kms) =>
    kms.send(
      new GenerateMacCommand({
        KeyId: made.KeyMetadata!.KeyId,
        MacAlgorithm: 'HMAC_SHA_256',
        Message: Buffer.from('a message to authenticate'),
      }),
    ),
  );
  const { bytes, signed } = bytesOf({ ...request, headers: { host: `127.0.0.1:${port}`, ...request.headers } });
  expect(await answerTo(port, bytes)).toContain('"Mac":"');
  const positions = signed
    .flatMap(([from, to]) => Array.from({ length: to - from }, (_, n) => from + n))
    // Between the parameters of the header, a tab would do as well as a space.
    .filter((at) => bytes.toString('latin1', at - 1, at + 1) !== ', ');
  const outcomes = new Map<string, number>();
  const once = async (): Promise<void> => {
    const altered = Buffer.from(bytes);
    for (let n = pick(3); n >= 0; n--) {
      const at = positions[pick(positions.length)]!;
      // Capitals of the name of a host or of hexadecimal digits would be the same to some.
      altered[at] = (bytes[at]! + 1 + pick(255)) % 256;
    }
    const answer = await answerTo(port, altered);
    const status = /^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 'closed';
    if (status.startsWith('5') || answer.includes('"Mac"')) {
      throw new Error(`by the seed ${seed}: ${altered.toString('latin1')}\n--- ended in\n${answer}`);
    }
    const outcome = /"__type":"(\w+)"/.exec(answer)?.[1] ?? status;
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  };
  for (let n = 0; n < 10_000; n += 50) await Promise.all(Array.from({ length: 50 }, once));
  const total = [...outcomes.values()].reduce((sum, count) => sum + count, 0);
  console.log(
    `${total} altered requests: ${[...outcomes].map(([outcome, count]) => `${count} ${outcome}`).join(', ')}`,
  );
  expect(total).toBe(10_000);
  expect(outcomes.get('InvalidSignatureException')).toBeGreaterThan(1_000);
  expect(await answerTo(port, bytes)).toContain('"Mac":"');
});
