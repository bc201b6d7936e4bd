import type { RecordStore } from '../../src/records/record-store.ts';

/** A store of which some members are others. */
export function alteredStore(store: RecordStore, alterations: Partial<RecordStore>): RecordStore {
  return {
    storeId: store.storeId,
    exclusive: store.exclusive,
    getMany: (paths) => store.getMany(paths),
    list: (prefix, after, limit) => store.list(prefix, after, limit),
    pathsOf: (prefix, after, limit) => store.pathsOf(prefix, after, limit),
    count: (prefix) => store.count(prefix),
    commit: (commit) => store.commit(commit),
    changes: (since) => store.changes(since),
    close: () => store.close(),
    ...alterations,
  };
}

/** A store whose replica believes itself alone, and so never waits for others. */
export function takenForExclusive(store: RecordStore): RecordStore {
  return alteredStore(store, { exclusive: true });
}

/** A store whose log of changes never tells of any. */
export function withSilentLog(store: RecordStore): RecordStore {
  return alteredStore(store, { changes: async (since) => ({ ...(await store.changes(since)), paths: [] }) });
}
