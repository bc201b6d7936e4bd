import { timestampMs } from '@bufbuild/protobuf/wkt';
import { afterAll, describe, expect, it } from 'vitest';
import { KeyState } from '../../src/gen/hmacd/v1/key_pb.ts';
import { ControlledStore } from '../records/controlled-store.ts';
import { failureOf } from '../support/clients.ts';
import { FakeClock, startService } from '../support/running-service.ts';
import { DAY, makeKey, openSealer, paths } from './fixture.ts';

const clock = new FakeClock();
const store = new ControlledStore({ exclusive: true });
const running = await startService({}, { clock, store, sealer: openSealer });
afterAll(async () => {
  await running[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
});
const { keys, aliases, mac } = running.clients.gRPC;

async function metadataOf(keyId: string) {
  return (await keys.describeKey({ keyId })).keyMetadata!;
}

async function pendingDeletions(): Promise<string[]> {
  return (await store.paths()).filter((path) => path.startsWith(paths.pendingDeletions));
}

describe('UpdateKeyDescription', () => {
  it.each([
    ['another text', 'a new one, with ünïcödé 🔑'],
    ['nothing', ''],
    ['8,192 characters', 'd'.repeat(8_192)],
  ])('puts %s in its place, and changes nothing else', async (_, description) => {
    const { keyId } = await makeKey(running.clients.gRPC);
    const before = await metadataOf(keyId);
    await keys.updateKeyDescription({ keyId, description });
    expect(await metadataOf(keyId)).toEqual({ ...before, description });
  });

  it('refuses one that is missing or too long', async () => {
    const { keyId } = await makeKey(running.clients.gRPC);
    expect((await failureOf(keys.updateKeyDescription({ keyId }))).message).toBe(
      "1 validation error detected: Value null at 'description' failed to satisfy constraint: Member must not be null",
    );
    const tooLong = await failureOf(keys.updateKeyDescription({ keyId, description: 'd'.repeat(8_193) }));
    expect(tooLong.message).toMatch(/at 'description' .* Member must have length less than or equal to 8192$/);
    expect((await metadataOf(keyId)).description).toBe('');
  });
});

describe('EnableKey and DisableKey', () => {
  it('write nothing for a key that is in the state already', async () => {
    const { keyId } = await makeKey(running.clients.gRPC);
    const commits = store.counts.commit;
    await keys.enableKey({ keyId });
    expect(store.counts.commit).toBe(commits);
    await keys.disableKey({ keyId });
    await keys.disableKey({ keyId });
    expect(store.counts.commit).toBe(commits + 1);
    expect((await metadataOf(keyId)).keyState).toBe(KeyState.DISABLED);
  });

  it('change the state and nothing else, by ID and by ARN', async () => {
    const { keyId, arn } = await makeKey(running.clients.gRPC);
    const before = await metadataOf(keyId);
    await keys.disableKey({ keyId: arn });
    expect(await metadataOf(keyId)).toEqual({ ...before, enabled: false, keyState: KeyState.DISABLED });
    await keys.enableKey({ keyId });
    expect(await metadataOf(keyId)).toEqual(before);
  });
});

const shape = (days: number, bound: string) =>
  `1 validation error detected: Value '${days}' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value ${bound}`;

describe('ScheduleKeyDeletion', () => {
  it.each([
    [7, 7],
    [30, 30],
    [undefined, 30],
  ])('with a window of %s days ends the key after %i', async (pendingWindowInDays, days) => {
    const { keyId, arn } = await makeKey(running.clients.gRPC);
    const before = await metadataOf(keyId);
    const answer = await keys.scheduleKeyDeletion({
      keyId,
      ...(pendingWindowInDays !== undefined && { pendingWindowInDays }),
    });
    expect(answer).toMatchObject({ keyId: arn, keyState: KeyState.PENDING_DELETION, pendingWindowInDays: days });
    expect(timestampMs(answer.deletionDate!)).toBe(clock.now() + days * DAY);
    expect(await metadataOf(keyId)).toEqual({
      ...before,
      enabled: false,
      keyState: KeyState.PENDING_DELETION,
      deletionDate: answer.deletionDate,
    });
    expect(await pendingDeletions()).toContain(paths.pendingDeletion(new Date(clock.now() + days * DAY), keyId));
  });

  it.each([
    [6, 'PendingWindowInDays must be between 7 and 30'],
    [1, 'PendingWindowInDays must be between 7 and 30'],
    [31, 'PendingWindowInDays must be between 7 and 30'],
    [365, 'PendingWindowInDays must be between 7 and 30'],
    [0, shape(0, 'greater than or equal to 1')],
    [-7, shape(-7, 'greater than or equal to 1')],
    [366, shape(366, 'less than or equal to 365')],
  ])('refuses a window of %i days', async (pendingWindowInDays, message) => {
    const { keyId } = await makeKey(running.clients.gRPC);
    expect(await failureOf(keys.scheduleKeyDeletion({ keyId, pendingWindowInDays }))).toMatchObject({
      exception: 'ValidationException',
      code: 'InvalidArgument',
      message,
    });
    expect((await metadataOf(keyId)).keyState).toBe(KeyState.ENABLED);
  });
});

describe('CancelKeyDeletion', () => {
  it('keeps the key with its aliases, disabled, and answers its ARN', async () => {
    const { keyId, arn } = await makeKey(running.clients.gRPC);
    await aliases.createAlias({ aliasName: 'alias/kept', targetKeyId: keyId });
    const before = await metadataOf(keyId);
    const pending = await pendingDeletions();
    await keys.scheduleKeyDeletion({ keyId });
    expect(await keys.cancelKeyDeletion({ keyId })).toMatchObject({ keyId: arn });
    expect(await metadataOf(keyId)).toEqual({ ...before, enabled: false, keyState: KeyState.DISABLED });
    expect(await pendingDeletions()).toEqual(pending);
    await keys.enableKey({ keyId });
    expect((await mac.generateMac({ keyId: 'alias/kept', macAlgorithm: 2, message: Buffer.of(1) })).keyId).toBe(arn);
  });
});

const arn = (text: string) => `arn:aws:kms:us-east-1:${text}`;

describe('what names a key', () => {
  const unknown = '00000000-0000-4000-8000-000000000000';
  it.each([
    ['an unknown key ID', unknown, 'NotFoundException', `Key '${arn(`000000000000:key/${unknown}`)}' does not exist`],
    [
      'an unknown ARN',
      arn(`000000000000:key/${unknown}`),
      'NotFoundException',
      `Key '${arn(`000000000000:key/${unknown}`)}' does not exist`,
    ],
    ['no identifier', 'key_id', 'NotFoundException', "Invalid keyId 'key_id'"],
    [
      'a key ID without dashes',
      '134f2428cec14b25a1ae9048164dba47',
      'NotFoundException',
      "Invalid keyId '134f2428cec14b25a1ae9048164dba47'",
    ],
    [
      'a key ID in capitals',
      unknown.toUpperCase().replace('8', 'A'),
      'NotFoundException',
      expect.stringMatching(/^Invalid keyId '/),
    ],
    ['a multi-Region key', 'mrk-fake-key-id', 'NotFoundException', "Invalid keyId 'mrk-fake-key-id'"],
    [
      'an ARN of another Region',
      `arn:aws:kms:eu-west-1:000000000000:key/${unknown}`,
      'NotFoundException',
      'Invalid arn eu-west-1',
    ],
    [
      'an ARN of another partition',
      `arn:aws-cn:kms:us-east-1:000000000000:key/${unknown}`,
      'NotFoundException',
      expect.stringMatching(/^Invalid arn arn:aws-cn:/),
    ],
    [
      'an ARN of another account',
      arn(`111111111111:key/${unknown}`),
      'AccessDeniedException',
      expect.stringMatching(
        /^User: arn:aws:iam::000000000000:root is not authorized to perform: kms:DisableKey on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access$/,
      ),
    ],
    ['an alias', 'alias/kept', 'InvalidArnException', 'Key Aliases are not supported for this operation.'],
    [
      'an alias ARN',
      arn('000000000000:alias/kept'),
      'InvalidArnException',
      'Key Aliases are not supported for this operation.',
    ],
  ])('refuses %s where a key ID or key ARN is asked for', async (_, keyId, exception, message) => {
    expect(await failureOf(keys.disableKey({ keyId }))).toMatchObject({
      exception,
      message,
      keyArn: undefined,
    });
  });
});
