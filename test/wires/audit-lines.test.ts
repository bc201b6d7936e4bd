import { describe, expect, it } from 'vitest';
import { principalOf } from '../../src/access/principal.ts';
import { openAuditLog } from '../../src/calls/audit-log.ts';
import { MacAlgorithm } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { makeKey } from '../macs/specs.ts';
import { type Clients, failureOf, WIRES } from '../support/clients.ts';
import { FakeClock } from '../support/running-service.ts';
import { startAuditedService } from './audited-service.ts';

const WIRE_IN_LINES = {
  gRPC: 'grpc',
  'Connect JSON': 'connect',
  'Connect binary': 'connect',
  'gRPC-Web': 'grpc-web',
} as const;
const ROOT = 'arn:aws:iam::123456789012:root';
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const sound = { message: Buffer.from('m'), macAlgorithm: MacAlgorithm.HMAC_SHA_256 };

/** A call, and what its line says besides what every line of the wire says. */
interface AuditedCall {
  readonly what: string;
  readonly call: (clients: Clients, keyArn: string) => Promise<unknown>;
  readonly line: (keyArn: string) => object;
}

/** What allows a call on a key, and one on the account, to everybody in anonymous mode. */
const BY_KEY = { decidedBy: 'key policy: Enable IAM User Permissions' };
const BY_ROOT = { decidedBy: 'the root of the account' };
const MAC_ALGORITHM = { macAlgorithm: 'HMAC_SHA_256' };

const CALLS: readonly AuditedCall[] = [
  {
    what: 'GenerateMac by alias, with the key that the alias stands for',
    call: ({ mac }) => mac.generateMac({ ...sound, keyId: 'alias/audited' }),
    line: (keyArn) => ({ operation: 'GenerateMac', keyArn, ...MAC_ALGORITHM, ...BY_KEY, outcome: 'OK' }),
  },
  {
    what: 'VerifyMac of a wrong MAC',
    call: ({ mac }, keyId) => failureOf(mac.verifyMac({ ...sound, keyId, mac: Buffer.alloc(32) })),
    line: (keyArn) => ({
      operation: 'VerifyMac',
      keyArn,
      ...MAC_ALGORITHM,
      ...BY_KEY,
      outcome: 'KMSInvalidMacException',
    }),
  },
  {
    what: 'GenerateMac with DryRun',
    call: ({ mac }, keyId) => failureOf(mac.generateMac({ ...sound, keyId, dryRun: true })),
    line: (keyArn) => ({
      operation: 'GenerateMac',
      keyArn,
      ...MAC_ALGORITHM,
      ...BY_KEY,
      outcome: 'DryRunOperationException',
    }),
  },
  {
    what: 'GenerateMac of an unknown key, without what the request called it',
    call: ({ mac }) => failureOf(mac.generateMac({ ...sound, keyId: 'no"such\nkey' })),
    line: () => ({ operation: 'GenerateMac', ...MAC_ALGORITHM, outcome: 'NotFoundException' }),
  },
  {
    what: 'GenerateMac that is out of its limits',
    call: ({ mac }) => failureOf(mac.generateMac({})),
    line: () => ({ operation: 'GenerateMac', outcome: 'ValidationException' }),
  },
  {
    what: 'PutKeyPolicy of a policy that is no JSON, which AWS does not say',
    call: ({ keys }, keyId) => failureOf(keys.putKeyPolicy({ keyId, policy: '{,}' })),
    line: (keyArn) => ({
      operation: 'PutKeyPolicy',
      keyArn,
      decidedBy: 'the policy is no JSON',
      outcome: 'MalformedPolicyDocumentException',
    }),
  },
  {
    what: 'RotateKeyOnDemand of a key that cannot be rotated, which AWS does not say',
    call: ({ rotation }, keyId) => failureOf(rotation.rotateKeyOnDemand({ keyId })),
    line: (keyArn) => ({
      operation: 'RotateKeyOnDemand',
      keyArn,
      decidedBy: 'the key was made without rotation_enabled',
      outcome: 'UnsupportedOperationException',
    }),
  },
  {
    what: 'DescribeKey',
    call: ({ keys }, keyId) => keys.describeKey({ keyId }),
    line: (keyArn) => ({ operation: 'DescribeKey', keyArn, ...BY_KEY, outcome: 'OK' }),
  },
  {
    what: 'ListKeys, which is about no key',
    call: ({ keys }) => keys.listKeys({}),
    line: () => ({ operation: 'ListKeys', ...BY_ROOT, outcome: 'OK' }),
  },
  {
    what: 'DeleteAlias, with the key that the alias stood for',
    call: ({ aliases }) => aliases.deleteAlias({ aliasName: 'alias/audited' }),
    line: (keyArn) => ({ operation: 'DeleteAlias', keyArn, ...BY_KEY, outcome: 'OK' }),
  },
];

describe.each(WIRES)('over %s', (wire) => {
  it('every call is one line of JSON, whether or not it succeeds, with all that is known of it', async () => {
    const clock = new FakeClock(Date.UTC(2026, 1, 28, 23, 59, 59, 7));
    await using service = await startAuditedService({ ACCOUNT_ID: '123456789012' }, { clock });
    const clients = service.running.clients[wire];
    const keyArn = await makeKey(clients);
    await clients.aliases.createAlias({ aliasName: 'alias/audited', targetKeyId: keyArn });
    for (const { call } of CALLS) await call(clients, keyArn);
    const common = {
      time: '2026-02-28T23:59:59.007Z',
      requestId: expect.stringMatching(UUID) as string,
      wire: WIRE_IN_LINES[wire],
      sourceAddress: '127.0.0.1',
      principal: ROOT,
      authentication: 'anonymous',
      milliseconds: 0,
    };
    const lines = await service.lines(CALLS.length + 2);
    expect(lines).toEqual([
      { ...common, operation: 'CreateKey', keyArn, ...BY_ROOT, outcome: 'OK' },
      { ...common, operation: 'CreateAlias', keyArn, ...BY_KEY, outcome: 'OK' },
      ...CALLS.map(({ line }) => ({ ...common, ...line(keyArn) })),
    ]);
    expect(new Set(lines.map(({ requestId }) => requestId)).size).toBe(lines.length);
  });
});

describe('the audit log', () => {
  it('has the time of each call, and how long it took', async () => {
    const clock = new FakeClock(Date.UTC(2026, 0, 1));
    await using service = await startAuditedService({}, { clock });
    const { keys } = service.running.clients.gRPC;
    await keys.listKeys({});
    clock.advance(1_500);
    await keys.listKeys({});
    const lines = await service.lines(2);
    expect(lines.map(({ time }) => time)).toEqual(['2026-01-01T00:00:00.000Z', '2026-01-01T00:00:01.500Z']);
  });

  it('has every line of many calls at once, each whole, and those of the last moment too', async () => {
    await using service = await startAuditedService();
    const { mac } = service.running.clients.gRPC;
    const keyId = await makeKey(service.running.clients.gRPC);
    await Promise.all(Array.from({ length: 500 }, () => mac.generateMac({ ...sound, keyId })));
    await service.end();
    const lines = (await service.text()).trimEnd().split('\n');
    expect(lines).toHaveLength(501);
    expect(lines.map((line) => (JSON.parse(line) as { outcome: string }).outcome)).toEqual(lines.map(() => 'OK'));
  });

  it('writes the lines that wait for others before it closes', async () => {
    await using service = await startAuditedService();
    const log = await openAuditLog(service.file, new FakeClock(), () => {});
    const call = {
      requestId: '00000000-0000-4000-8000-000000000000',
      operation: 'ListKeys',
      wire: 'grpc',
      sourceAddress: '',
      principal: principalOf(ROOT, [], 'anonymous'),
      keyArn: undefined,
      macAlgorithm: undefined,
      grantId: undefined,
      decidedBy: undefined,
    } as const;
    log.record(call, 'OK', 0.0004);
    await log.close();
    expect(JSON.parse(await service.text())).toMatchObject({ operation: 'ListKeys', outcome: 'OK', milliseconds: 0 });
  });

  it('is for its owner only', async () => {
    await using service = await startAuditedService();
    expect(await service.mode()).toBe(0o600);
  });
});
