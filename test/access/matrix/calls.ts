import { create } from '@bufbuild/protobuf';
import type { Call } from '../../../src/access/call.ts';
import type { Principal } from '../../../src/access/principal.ts';
import * as grant from '../../../src/gen/hmacd/v1/grant_pb.ts';
import * as key from '../../../src/gen/hmacd/v1/key_pb.ts';
import * as mac from '../../../src/gen/hmacd/v1/mac_pb.ts';
import type { GrantService } from '../../../src/grants/grant-service.ts';
import type { KeyService } from '../../../src/keys/key-service.ts';
import type { MacService } from '../../../src/macs/mac-service.ts';
import { algorithmOf, type Cell } from './cells.ts';
import type { Subject } from './foundation.ts';
import type { NaiveTags, OperationName } from './naive-evaluator.ts';
import { CALLERS, TAG_KEYS_TAKEN, TAGS_GIVEN } from './people.ts';

export const MESSAGE = Buffer.from('message');

interface Services {
  readonly macs: MacService;
  readonly keys: KeyService;
  readonly grants: GrantService;
}

/** The calls of a cell on a key, by operation: dry runs where there are any. */
export function callsOf(
  { macs, keys, grants }: Services,
  cell: Cell,
  { arn: keyId, grantId = 'f'.repeat(64), grantToken, policy, mac: tag }: Subject,
  call: Call,
  otherToken: string,
): Readonly<Record<OperationName, () => unknown>> {
  const tokens = { none: undefined, own: grantToken, 'other key': otherToken, malformed: 'AQAAAA' };
  const token = tokens[cell.token];
  const grantTokens = token === undefined ? [] : [token];
  const dryRun = true;
  const macAlgorithm = mac.MacAlgorithm[algorithmOf(cell)];
  const ofMac = { keyId, grantTokens, dryRun, message: MESSAGE, macAlgorithm };
  const passing = { granteePrincipal: CALLERS.user.arn, operations: [grant.GrantOperation.GENERATE_MAC] };
  const retired = token === undefined ? { keyId, grantId } : { grantToken: token };
  return {
    GenerateMac: () => macs.generateMac(create(mac.GenerateMacRequestSchema, ofMac), call),
    VerifyMac: () => macs.verifyMac(create(mac.VerifyMacRequestSchema, { ...ofMac, mac: tag }), call),
    DescribeKey: () => keys.describeKey(create(key.DescribeKeyRequestSchema, { keyId, grantTokens }), call),
    GetKeyPolicy: () => keys.getKeyPolicy(create(key.GetKeyPolicyRequestSchema, { keyId }), call),
    PutKeyPolicy: () => keys.putKeyPolicy(create(key.PutKeyPolicyRequestSchema, { keyId, policy }), call),
    DisableKey: () => keys.disableKey(create(key.DisableKeyRequestSchema, { keyId }), call),
    CreateGrant: () =>
      grants.createGrant(create(grant.CreateGrantRequestSchema, { keyId, grantTokens, dryRun, ...passing }), call),
    ListGrants: () => grants.listGrants(create(grant.ListGrantsRequestSchema, { keyId }), call),
    RetireGrant: () => grants.retireGrant(create(grant.RetireGrantRequestSchema, { ...retired, dryRun }), call),
    RevokeGrant: () => grants.revokeGrant(create(grant.RevokeGrantRequestSchema, { keyId, grantId, dryRun }), call),
    TagResource: () =>
      keys.tagResource(create(key.TagResourceRequestSchema, { keyId, tags: tagsOf(TAGS_GIVEN) }), call),
    UntagResource: () =>
      keys.untagResource(create(key.UntagResourceRequestSchema, { keyId, tagKeys: TAG_KEYS_TAKEN }), call),
  };
}

/** Tags as requests have them. */
export function tagsOf(tags: NaiveTags) {
  return Object.entries(tags).map(([tagKey, tagValue]) => ({ tagKey, tagValue }));
}

export function callOf(operation: string, principal: Principal): Call {
  return {
    requestId: '00000000-0000-0000-0000-000000000000',
    operation,
    wire: 'grpc',
    sourceAddress: '127.0.0.1',
    principal,
    keyArn: undefined,
    macAlgorithm: undefined,
    grantId: undefined,
    decidedBy: undefined,
  };
}
