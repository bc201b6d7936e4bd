import { ListKeysCommand } from '@aws-sdk/client-kms';
import { expect, it } from 'vitest';
import { FakeClock } from '../support/running-service.ts';
import { AwsWorld, captured, sendRaw } from './world.ts';

const TEXT = 'You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.';

it("A throttled call over AWS's wire has the status 400, and is an error that AWS's clients try again", async () => {
  const world = await AwsWorld.start({ REQUEST_RATES: 'ListKeys=1' }, { clock: new FakeClock(Date.now()) });
  const request = await captured(world, (client) => client.send(new ListKeysCommand()));
  expect((await sendRaw(world, request)).status).toBe(200);
  const { status, body } = await sendRaw(world, request);
  expect([status, body]).toEqual([400, { __type: 'ThrottlingException', message: TEXT }]);
  const failed = world.kms().send(new ListKeysCommand());
  await expect(failed).rejects.toMatchObject({ name: 'ThrottlingException', message: TEXT });
});

it('A client of AWS that tries again succeeds once it may', async () => {
  const world = await AwsWorld.start({ REQUEST_RATES: 'ListKeys=5' });
  const client = world.kms('root', { maxAttempts: 10 });
  const answers = await Promise.all(Array.from({ length: 8 }, () => client.send(new ListKeysCommand())));
  expect(answers.map(({ Keys }) => Keys)).toEqual(Array.from({ length: 8 }, () => []));
});

it('Only callers that are known take of a rate: nobody else can use it up', async () => {
  const world = await AwsWorld.start({ REQUEST_RATES: 'ListKeys=1' }, { clock: new FakeClock(Date.now()) });
  const request = await captured(world, (client) => client.send(new ListKeysCommand()));
  const { authorization: _, ...unsigned } = request.headers;
  for (let n = 0; n < 3; n++) {
    expect((await sendRaw(world, { ...request, headers: unsigned })).body['__type']).toBe(
      'MissingAuthenticationTokenException',
    );
  }
  expect((await sendRaw(world, request)).status).toBe(200);
  expect((await sendRaw(world, request)).body['__type']).toBe('ThrottlingException');
});
