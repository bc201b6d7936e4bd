import { hash } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import { CreateGrantRequestSchema, GrantOperation } from '../src/gen/hmacd/v1/grant_pb.ts';
import { benchKey } from './key.ts';
import { callOn, clientOf } from './unary-call.ts';

/** What the caller of every benchmark shows; only some servers ask for it. */
export const bearerToken = 'the-token-of-the-caller';
const administratorToken = 'the-token-of-the-administrator';

/** What the calls over AWS's wire are signed with, by the root of the account. */
export const accessKey = { id: 'AKIABENCHBENCHBENCHB', secret: 'the-secret-of-the-administrator' };

const account = 'arn:aws:iam::000000000000';
const caller = `${account}:role/caller`;

/** Who may call, where that is asked: the caller has policies that look at every call, and allow it none of the MACs. */
export const principals = {
  principals: [
    {
      arn: caller,
      bearer_tokens: [{ sha256: hash('sha256', bearerToken) }],
      policies: [
        {
          Version: '2012-10-17',
          Statement: [
            { Effect: 'Allow', Action: ['kms:DescribeKey', 'kms:List*'], Resource: '*' },
            {
              Effect: 'Deny',
              Action: 'kms:GenerateMac',
              Resource: '*',
              Condition: { StringNotEquals: { 'kms:MacAlgorithm': 'HMAC_SHA_256' } },
            },
            {
              Effect: 'Deny',
              Action: '*',
              Resource: '*',
              Condition: { NotIpAddress: { 'aws:SourceIp': ['127.0.0.0/8', '::1/128'] } },
            },
          ],
        },
      ],
    },
    {
      arn: `${account}:root`,
      bearer_tokens: [{ sha256: hash('sha256', administratorToken) }],
      access_keys: [{ id: accessKey.id, secret_file: 'secret' }],
    },
  ],
};

/** Makes grants on the key: one to the caller, which is what allows its calls, and the others to others. */
export async function makeGrants(address: string, count: number): Promise<void> {
  const client = clientOf(address);
  const headers = { authorization: `Bearer ${administratorToken}` };
  const make = async (granteePrincipal: string): Promise<void> => {
    const operations = [GrantOperation.GENERATE_MAC];
    const request = create(CreateGrantRequestSchema, { keyId: benchKey.arn, granteePrincipal, operations });
    await callOn(client, '/hmacd.v1.GrantService/CreateGrant', toBinary(CreateGrantRequestSchema, request), headers);
  };
  try {
    await make(caller);
    for (let made = 1; made < count; made++) await make(`${account}:role/other-${made}`);
  } finally {
    client.close();
  }
}
