import { afterAll, describe, expect, it } from 'vitest';
import { KeyState } from '../../src/gen/hmacd/v1/key_pb.ts';
import { MacAlgorithm } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { failureOf } from '../support/clients.ts';
import { FakeClock, startService } from '../support/running-service.ts';
import { ARN, DAY, macRequest, makeKey } from './fixture.ts';

const clock = new FakeClock();
const running = await startService({}, { clock });
afterAll(() => running[Symbol.asyncDispose]());
const { mac, keys, aliases } = running.clients.gRPC;

const { ENABLED, DISABLED, PENDING_DELETION } = KeyState;

/** How a key comes into a state. */
const STATES = {
  Enabled: async () => {},
  Disabled: async (keyId: string) => void (await keys.disableKey({ keyId })),
  PendingDeletion: async (keyId: string) => void (await keys.scheduleKeyDeletion({ keyId, pendingWindowInDays: 7 })),
  'past its deletion date': async (keyId: string) => {
    await keys.scheduleKeyDeletion({ keyId, pendingWindowInDays: 7 });
    clock.advance(7 * DAY);
  },
} as const;
type State = keyof typeof STATES;

/** A key with an alias and a MAC of the time when it was enabled, and another key with another alias. */
interface Subject {
  readonly keyId: string;
  readonly alias: string;
  readonly mac: Uint8Array;
  readonly otherKeyId: string;
  readonly otherAlias: string;
}

type Operation = (subject: Subject) => Promise<unknown>;

let count = 0;
async function makeSubject(): Promise<Subject & { arn: string }> {
  const { keyId, arn } = await makeKey(running.clients.gRPC);
  const { keyId: otherKeyId } = await makeKey(running.clients.gRPC);
  const [alias, otherAlias] = [`alias/states-${++count}`, `alias/states-other-${count}`];
  await aliases.createAlias({ aliasName: alias, targetKeyId: keyId });
  await aliases.createAlias({ aliasName: otherAlias, targetKeyId: otherKeyId });
  const { mac: tag } = await mac.generateMac(macRequest(keyId));
  return { keyId, arn, alias, mac: tag, otherKeyId, otherAlias };
}

interface Refusal {
  readonly exception: string;
  readonly code: string;
  readonly text: (subject: Subject & { arn: string }) => string;
}

const DISABLED_KEY: Refusal = {
  exception: 'DisabledException',
  code: 'FailedPrecondition',
  text: ({ arn }) => `${arn} is disabled.`,
};
const PENDING: Refusal = {
  exception: 'KMSInvalidStateException',
  code: 'FailedPrecondition',
  text: ({ arn }) => `${arn} is pending deletion.`,
};
const NOT_PENDING: Refusal = { ...PENDING, text: ({ arn }) => `${arn} is not pending deletion.` };
const GONE: Refusal = {
  exception: 'NotFoundException',
  code: 'NotFound',
  text: ({ arn }) => `Key '${arn}' does not exist`,
};
const ALIAS_GONE: Refusal = { ...GONE, text: ({ alias }) => `Alias ${ARN}${alias} is not found.` };

/** An operation, and in each state of its key either the state that it leaves the key in, or what it is refused with. */
const TABLE: readonly (readonly [string, Operation, Readonly<Record<State, KeyState | Refusal>>])[] = [
  ['GenerateMac', ({ keyId }) => mac.generateMac(macRequest(keyId)), row(ENABLED, DISABLED_KEY, PENDING)],
  [
    'GenerateMac by alias',
    ({ alias }) => mac.generateMac(macRequest(alias)),
    row(ENABLED, DISABLED_KEY, PENDING, ALIAS_GONE),
  ],
  ['VerifyMac', (s) => mac.verifyMac({ ...macRequest(s.keyId), mac: s.mac }), row(ENABLED, DISABLED_KEY, PENDING)],
  ['DescribeKey', ({ keyId }) => keys.describeKey({ keyId }), row(ENABLED, DISABLED, PENDING_DELETION)],
  [
    'DescribeKey by alias',
    ({ alias }) => keys.describeKey({ keyId: alias }),
    row(ENABLED, DISABLED, PENDING_DELETION, ALIAS_GONE),
  ],
  ['EnableKey', ({ keyId }) => keys.enableKey({ keyId }), row(ENABLED, ENABLED, PENDING)],
  ['DisableKey', ({ keyId }) => keys.disableKey({ keyId }), row(DISABLED, DISABLED, PENDING)],
  [
    'ScheduleKeyDeletion',
    ({ keyId }) => keys.scheduleKeyDeletion({ keyId }),
    row(PENDING_DELETION, PENDING_DELETION, PENDING),
  ],
  ['CancelKeyDeletion', ({ keyId }) => keys.cancelKeyDeletion({ keyId }), row(NOT_PENDING, NOT_PENDING, DISABLED)],
  [
    'UpdateKeyDescription',
    ({ keyId }) => keys.updateKeyDescription({ keyId, description: 'd' }),
    row(ENABLED, DISABLED, PENDING),
  ],
  [
    'CreateAlias',
    (s) => aliases.createAlias({ aliasName: `${s.alias}-2`, targetKeyId: s.keyId }),
    row(ENABLED, DISABLED, PENDING),
  ],
  [
    'UpdateAlias to the key',
    (s) => aliases.updateAlias({ aliasName: s.otherAlias, targetKeyId: s.keyId }),
    row(ENABLED, DISABLED, PENDING),
  ],
  [
    'UpdateAlias from the key',
    (s) => aliases.updateAlias({ aliasName: s.alias, targetKeyId: s.otherKeyId }),
    row(ENABLED, DISABLED, PENDING_DELETION, ALIAS_GONE),
  ],
  [
    'DeleteAlias',
    ({ alias }) => aliases.deleteAlias({ aliasName: alias }),
    row(ENABLED, DISABLED, PENDING_DELETION, ALIAS_GONE),
  ],
  ['ListAliases', ({ keyId }) => aliases.listAliases({ keyId }), row(ENABLED, DISABLED, PENDING_DELETION)],
];

function row(
  enabled: KeyState | Refusal,
  disabled: KeyState | Refusal,
  pending: KeyState | Refusal,
  gone: Refusal = GONE,
): Readonly<Record<State, KeyState | Refusal>> {
  return { Enabled: enabled, Disabled: disabled, PendingDeletion: pending, 'past its deletion date': gone };
}

/** The state of a key as DescribeKey tells it, `undefined` when there is no such key. */
async function stateOf(keyId: string): Promise<KeyState | undefined> {
  const described = keys.describeKey({ keyId });
  const { keyMetadata } = await described.catch(() => ({ keyMetadata: undefined }));
  expect(keyMetadata?.enabled ?? false).toBe(keyMetadata?.keyState === ENABLED);
  expect(keyMetadata?.deletionDate !== undefined).toBe(keyMetadata?.keyState === PENDING_DELETION);
  return keyMetadata?.keyState;
}

const cases = TABLE.flatMap(([name, operation, expected]) =>
  (Object.keys(STATES) as State[]).map((state) => ({ name, operation, state, expected: expected[state] })),
);

describe('the table of key states', () => {
  const successes = cases.flatMap(({ expected, ...rest }) =>
    typeof expected === 'number' ? [{ ...rest, expected }] : [],
  );
  it.each(successes)('$name succeeds on a key that is $state', async ({ operation, state, expected }) => {
    const subject = await makeSubject();
    await STATES[state](subject.keyId);
    await operation(subject);
    expect(await stateOf(subject.keyId)).toBe(expected);
  });

  const refusals = cases.flatMap(({ expected, ...rest }) =>
    typeof expected === 'number' ? [] : [{ ...rest, expected }],
  );
  it.each(refusals)('$name is refused on a key that is $state', async ({ operation, state, expected }) => {
    const subject = await makeSubject();
    await STATES[state](subject.keyId);
    const before = await stateOf(subject.keyId);
    const { exception, code, message } = await failureOf(operation(subject));
    expect({ exception, code, message }).toEqual({
      exception: expected.exception,
      code: expected.code,
      message: expected.text(subject),
    });
    expect(await stateOf(subject.keyId)).toBe(before);
  });

  it('looks at the state before the algorithm, and after the key', async () => {
    const { keyId, arn } = await makeSubject();
    const wrong = { ...macRequest(keyId), macAlgorithm: MacAlgorithm.HMAC_SHA_512 };
    expect((await failureOf(mac.generateMac(wrong))).exception).toBe('InvalidKeyUsageException');
    await keys.disableKey({ keyId });
    expect((await failureOf(mac.generateMac(wrong))).message).toBe(`${arn} is disabled.`);
  });
});
