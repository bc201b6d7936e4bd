import { describe, expect, it } from 'vitest';
import { StoreUnavailableError } from '../src/records/record-store.ts';
import { openSqliteRecordStore } from '../src/records/sqlite-record-store.ts';
import { alteredStore } from './support/altered-store.ts';
import { startService } from './support/running-service.ts';

interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly err?: object;
}

const [WARN, ERROR] = [40, 50];

/** What a service logs of its work in the background that looks through lists of the store, when these fail. */
async function logged(failure: Error): Promise<LogLine[]> {
  const inner = openSqliteRecordStore(':memory:');
  const store = alteredStore(inner, {
    list: async (prefix, after, limit) => {
      // At the start it is asked whether there is anything at all.
      if (prefix !== '') throw failure;
      return await inner.list(prefix, after, limit);
    },
  });
  await using running = await startService({}, { store });
  const lines = () => running.logged.map((line) => JSON.parse(line) as LogLine).filter(({ level }) => level >= WARN);
  await expect.poll(lines).toHaveLength(2);
  return lines();
}

describe('work in the background', () => {
  it('waits for a store that is away, which is no failure of it', async () => {
    const lines = await logged(new StoreUnavailableError('the test says so'));
    for (const { level, msg, err } of lines) {
      expect({ level, err }).toEqual({ level: WARN, err: undefined });
      expect(msg).toMatch(/^the (destruction|removal) of .* waits for the store: the test says so$/);
    }
  });

  it('that fails is an error in the log, with where it came from', async () => {
    for (const { level, msg, err } of await logged(new Error('a test'))) {
      expect({ level, err }).toMatchObject({ level: ERROR, err: { message: 'a test', stack: expect.any(String) } });
      expect(msg).toMatch(/^the (destruction|removal) of .* failed$/);
    }
  });
});
