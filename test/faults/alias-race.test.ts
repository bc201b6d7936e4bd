import { describe, expect, it } from 'vitest';
import { AliasSchema, KeyAliasesSchema } from '../../src/gen/hmacd/store/v1/records_pb.ts';
import { makeKey } from '../keys/fixture.ts';
import type { Clients } from '../support/clients.ts';
import { findSerialOrder, type Observation, type SerialObject } from '../support/serial-order.ts';
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
  withoutUnansweredReads,
} from './race.ts';

const NAMES = ['alias/a', 'alias/b', 'alias/c', 'alias/d'];
const KEYS = 3;

interface Input {
  readonly operation: 'CreateAlias' | 'UpdateAlias' | 'DeleteAlias' | 'DescribeKey';
  readonly aliasName: string;
  /** The key ID that the alias is given; empty where it is given none. */
  readonly to: string;
}

const OPERATIONS = ['CreateAlias', 'UpdateAlias', 'UpdateAlias', 'DeleteAlias', 'DescribeKey'] as const;

function isRead(operation: Input['operation']): boolean {
  return operation === 'DescribeKey';
}

/** An alias: the ID of its key, or empty where there is none. */
const ALIAS: SerialObject<string, Input, string> = {
  initial: '',
  next(state, { operation, to }, output) {
    const there = state !== '';
    if (output === 'not found') return there || operation === 'CreateAlias' ? undefined : state;
    if (output === 'already exists') return there && operation === 'CreateAlias' ? state : undefined;
    if (operation === 'DescribeKey') return output === state ? state : undefined;
    return output === 'OK' && there === (operation !== 'CreateAlias') ? to : undefined;
  },
  changes: ({ operation }, output) => output === 'OK' && !isRead(operation),
};

function callOf(operation: Input['operation'], aliasName: string, key: string, client: Clients): RacingCall<Input> {
  const { aliases, keys } = client;
  const gives = operation === 'CreateAlias' || operation === 'UpdateAlias';
  const make = {
    CreateAlias: () => told(aliases.createAlias({ aliasName, targetKeyId: key })),
    UpdateAlias: () => told(aliases.updateAlias({ aliasName, targetKeyId: key })),
    DeleteAlias: () => told(aliases.deleteAlias({ aliasName })),
    DescribeKey: () => told(keys.describeKey({ keyId: aliasName }), ({ keyMetadata }) => keyMetadata!.keyId),
  }[operation];
  const input = { operation, aliasName, to: gives ? key : '' };
  return { input, make: async () => inShort(await make(), aliasName) };
}

/** AWS's sentences about an alias, without its ARN. */
function inShort(output: string, aliasName: string): string {
  const arn = `arn:aws:kms:us-east-1:\\d{12}:${aliasName}`;
  if (new RegExp(`^NotFoundException: Alias ${arn} is not found\\.$`).test(output)) return 'not found';
  const existing = new RegExp(`^AlreadyExistsException: An alias with the name ${arn} already exists$`);
  return existing.test(output) ? 'already exists' : output;
}

/** What each key's own record says of its aliases, and what the aliases' records say. */
async function recordedAliases({ records, paths }: Track, keyIds: readonly string[]) {
  const found = await records.list(AliasSchema, paths.aliases, '', 1_000);
  const byAlias = found.map(({ message }) => message!);
  const byKey = await records.find(
    KeyAliasesSchema,
    keyIds.map((keyId) => paths.keyAliases(keyId)),
  );
  return {
    marks: byAlias.filter(({ deleted }) => deleted).length,
    byAlias: byAlias.map(({ aliasName, targetKeyId }) => `${targetKeyId} ${aliasName}`).toSorted(),
    byKey: byKey
      .flatMap(({ path, message }) =>
        message!.aliasNames.map((name) => `${keyIds.find((keyId) => paths.keyAliases(keyId) === path)} ${name}`),
      )
      .toSorted(),
  };
}

/** Has callers give, move and delete a few aliases, and looks at what is there in the end. */
async function raceForAliases(track: Track, callers = CALLERS) {
  const client = track.clients[0]!;
  const keyIds: string[] = [];
  for (let n = 0; n < KEYS; n++) keyIds.push((await makeKey(client)).keyId);
  const callAt = (n: number, by: Clients): RacingCall<Input> => {
    const name = NAMES[chosen(n, 0, NAMES.length)]!;
    return callOf(OPERATIONS[chosen(n, 1, OPERATIONS.length)]!, name, keyIds[chosen(n, 2, KEYS)]!, by);
  };
  const raced = withoutUnansweredReads(await race(track, callAt, callers), ({ operation }) => isRead(operation));
  const ends = await Promise.all(NAMES.map((name) => observe(callOf('DescribeKey', name, '', client))));
  const histories = NAMES.map((name) => {
    const ofName = [...raced, ...ends].filter(({ input }) => input.aliasName === name);
    const committed = track.committed(AliasSchema, track.paths.alias(name));
    const states = committed.map(({ at, state }) => ({
      at,
      state: state === undefined || state.deleted ? '' : state.targetKeyId,
    }));
    return withLikelyTimes(ofName, ALIAS, [{ at: 0, state: ALIAS.initial }, ...states]);
  });
  return { keyIds, histories, ends };
}

/** The calls that no order explains, of each name. */
function unexplained(histories: readonly (readonly Observation<Input, string>[])[]): Observation<Input, string>[] {
  return histories.flatMap((history) => findSerialOrder(history, ALIAS).unexplained);
}

describe.each(Object.entries(TRACKS))('with %s', (_track, start) => {
  it(`${CALLERS} callers that give, move and delete a few aliases see one order`, { timeout: 60_000 }, async () => {
    const track = await start();
    const { keyIds, histories, ends } = await raceForAliases(track);
    const history = histories.flat();
    expect(history.filter(({ input, output }) => ALIAS.changes(input, output)).length).toBeGreaterThan(200);
    expect(history.filter(({ input }) => isRead(input.operation)).length).toBeGreaterThan(50);
    expect(unexplained(histories)).toEqual([]);
    const { marks, byAlias, byKey } = await recordedAliases(track, keyIds);
    expect(marks).toBe(0);
    expect(byKey).toEqual(byAlias);
    const there = ends.filter(({ output }) => output !== 'not found');
    expect(byAlias).toEqual(there.map(({ input, output }) => `${output} ${input.aliasName}`).toSorted());
  });
});

it('the race for aliases notices a store that applies what it must not', async () => {
  const { histories } = await raceForAliases(await startCarelessTrack(), 30);
  expect(unexplained(histories).length).toBeGreaterThan(0);
});
