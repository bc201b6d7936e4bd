import {
  CreateKeyCommand,
  DescribeKeyCommand,
  KeyUnavailableException,
  KMSInternalException,
} from '@aws-sdk/client-kms';
import { expect, it, onTestFinished } from 'vitest';
import { StoreUnavailableError } from '../../src/records/record-store.ts';
import { ControlledStore } from '../records/controlled-store.ts';
import { AwsWorld } from './world.ts';

it.each([
  ['does not answer', new StoreUnavailableError('the test says so'), KeyUnavailableException],
  ['fails otherwise', new Error('the test says so'), KMSInternalException],
])('A store that %s is the fault of the service, which tells the SDK nothing of it', async (_, failure, exception) => {
  const store = new ControlledStore({ exclusive: true });
  onTestFinished(() => store[Symbol.asyncDispose]());
  const world = await AwsWorld.start({}, { store });
  const kms = world.kms();
  const made = await kms.send(new CreateKeyCommand({ KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' }));
  store.before = (method) => {
    if (method === 'getMany') throw failure;
  };
  const call = kms.send(new DescribeKeyCommand({ KeyId: made.KeyMetadata!.KeyId }));
  await expect(call).rejects.toBeInstanceOf(exception);
  await expect(call).rejects.toMatchObject({ $metadata: { httpStatusCode: 500 } });
  await expect(call).rejects.not.toMatchObject({ message: expect.stringContaining('the test says so') });
});
