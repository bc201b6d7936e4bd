import { timestampDate } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import { type Key, KeySchema } from '../../src/gen/hmacd/store/v1/records_pb.ts';
import { KeyState, type Tag } from '../../src/gen/hmacd/v1/key_pb.ts';
import { makeKey } from '../keys/fixture.ts';
import type { Clients } from '../support/clients.ts';
import { findSerialOrder, type SerialObject } from '../support/serial-order.ts';
import {
  CALLERS,
  chosen,
  observe,
  race,
  type RacingCall,
  startCarelessTrack,
  told,
  type Track,
  TRACKS,
  withLikelyTimes,
} from './race.ts';

const KEYS = 4;

const OPERATIONS = [
  'EnableKey',
  'DisableKey',
  'ScheduleKeyDeletion',
  'CancelKeyDeletion',
  'CancelKeyDeletion',
  'UpdateKeyDescription',
  'TagResource',
] as const;

interface Input {
  readonly operation: (typeof OPERATIONS)[number] | 'EndState';
  readonly keyId: string;
  /** The description or the tag that it is given. */
  readonly text: string;
}

interface State {
  readonly keyState: string;
  /** In milliseconds since 1970; empty without. */
  readonly deletionDate: string;
  readonly description: string;
  readonly tag: string;
}

const REFUSED = { pending: 'is pending deletion.', notPending: 'is not pending deletion.' };

/** A key. Refusals tell on the way whether it is pending deletion, and the end state tells the rest. */
const KEY: SerialObject<State, Input, string> = {
  initial: { keyState: 'ENABLED', deletionDate: '', description: '', tag: '' },
  next(state, { operation, text }, output) {
    if (operation === 'EndState') return output === textOf(state) ? state : undefined;
    const pending = state.keyState === 'PENDING_DELETION';
    if (operation === 'CancelKeyDeletion') {
      if (output === REFUSED.notPending) return pending ? undefined : state;
      return pending && output === 'OK' ? { ...state, keyState: 'DISABLED', deletionDate: '' } : undefined;
    }
    if (pending) return output === REFUSED.pending ? state : undefined;
    if (operation === 'ScheduleKeyDeletion') {
      return /^\d+$/.test(output) ? { ...state, keyState: 'PENDING_DELETION', deletionDate: output } : undefined;
    }
    if (output !== 'OK') return undefined;
    if (operation === 'UpdateKeyDescription') return { ...state, description: text };
    if (operation === 'TagResource') return { ...state, tag: text };
    return { ...state, keyState: operation === 'EnableKey' ? 'ENABLED' : 'DISABLED' };
  },
  changes: ({ operation }, output) => operation !== 'EndState' && !Object.values(REFUSED).includes(output),
};

function textOf({ keyState, deletionDate, description, tag }: State): string {
  return [keyState, deletionDate, description, tag].join(', ');
}

/** A key as its record has it, or as DescribeKey and ListResourceTags answer. */
function stateOf(
  { keyState, deletionDate, description }: Pick<Key, 'keyState' | 'deletionDate' | 'description'>,
  tags: readonly Tag[],
): State {
  return {
    keyState: Object.entries(KeyState).find(([, value]) => value === keyState)![0],
    deletionDate: deletionDate === undefined ? '' : millisecondsOf(deletionDate),
    description,
    tag: tags[0]?.tagValue ?? '',
  };
}

async function endState({ keys }: Clients, keyId: string): Promise<State> {
  const { tags } = await keys.listResourceTags({ keyId });
  return stateOf((await keys.describeKey({ keyId })).keyMetadata!, tags);
}

function callOf(operation: Input['operation'], keyId: string, text: string, client: Clients): RacingCall<Input> {
  const { keys } = client;
  const make = {
    EnableKey: () => told(keys.enableKey({ keyId })),
    DisableKey: () => told(keys.disableKey({ keyId })),
    ScheduleKeyDeletion: () =>
      told(keys.scheduleKeyDeletion({ keyId, pendingWindowInDays: 7 }), ({ deletionDate }) =>
        millisecondsOf(deletionDate!),
      ),
    CancelKeyDeletion: () => told(keys.cancelKeyDeletion({ keyId })),
    UpdateKeyDescription: () => told(keys.updateKeyDescription({ keyId, description: text })),
    TagResource: () => told(keys.tagResource({ keyId, tags: [{ tagKey: 'turn', tagValue: text }] })),
    EndState: () => told(endState(client, keyId), textOf),
  }[operation];
  const refusal = new RegExp(`^KMSInvalidStateException: arn:aws:kms:us-east-1:\\d{12}:key/${keyId} `);
  return { input: { operation, keyId, text }, make: async () => (await make()).replace(refusal, '') };
}

function millisecondsOf(date: Parameters<typeof timestampDate>[0]): string {
  return String(timestampDate(date).getTime());
}

/** The pending deletions that are recorded beside the keys. */
async function pendingDeletions({ records, paths }: Track): Promise<string[]> {
  const found = await records.listPaths(paths.pendingDeletions, '', 1_000);
  return found.map(({ path }) => path);
}

/** Has callers change the states of a few keys, and looks at these in the end. */
async function raceForStates(track: Track, callers = CALLERS) {
  const client = track.clients[0]!;
  const keyIds: string[] = [];
  for (let n = 0; n < KEYS; n++) keyIds.push((await makeKey(client)).keyId);
  const callAt = (n: number, by: Clients): RacingCall<Input> => {
    const operation = OPERATIONS[chosen(n, 0, OPERATIONS.length)]!;
    return callOf(operation, keyIds[chosen(n, 1, KEYS)]!, `text ${chosen(n, 2, 3)}`, by);
  };
  const raced = await race(track, callAt, callers);
  const ends = await Promise.all(keyIds.map((keyId) => observe(callOf('EndState', keyId, '', client))));
  return keyIds.map((keyId) => {
    const ofKey = [...raced, ...ends].filter(({ input }) => input.keyId === keyId);
    const committed = track.committed(KeySchema, track.paths.key(keyId));
    const states = committed.map(({ at, state }) => ({ at, state: stateOf(state!, state!.tags) }));
    return { keyId, history: withLikelyTimes(ofKey, KEY, states) };
  });
}

describe.each(Object.entries(TRACKS))('with %s', (_track, start) => {
  it(`${CALLERS} callers that change the states of a few keys see one order`, { timeout: 60_000 }, async () => {
    const track = await start();
    const pending: string[] = [];
    for (const { keyId, history } of await raceForStates(track)) {
      expect(history.filter(({ input, output }) => KEY.changes(input, output)).length).toBeGreaterThan(100);
      const { order, unexplained } = findSerialOrder(history, KEY);
      expect(unexplained).toEqual([]);
      let state = KEY.initial;
      for (const { input, output } of order) state = KEY.next(state, input, output)!;
      if (state.deletionDate !== '') {
        pending.push(track.paths.pendingDeletion(new Date(Number(state.deletionDate)), keyId));
      }
    }
    expect(await pendingDeletions(track)).toEqual(pending.toSorted());
  });
});

it('the race for states notices a store that applies what it must not', async () => {
  const races = await raceForStates(await startCarelessTrack(), 30);
  const unexplained = races.flatMap(({ history }) => findSerialOrder(history, KEY).unexplained);
  expect(unexplained.length).toBeGreaterThan(0);
});
