import type { Config } from '../config.ts';
import { systemClock } from '../clock.ts';
import { openLog } from '../log.ts';
import { ChangeFollower } from '../records/change-follower.ts';
import { type DeploymentEntry, deploymentPath, readDeployment } from '../records/deployment-record.ts';
import { describeStore, openExistingRecordStore } from '../records/open-record-store.ts';
import type { RecordStore } from '../records/record-store.ts';
import { Records } from '../records/records.ts';
import { readRootKeys, type RootKey } from '../records/root-keys.ts';
import { RootKeySealer } from '../records/sealer.ts';

/** The store of a deployment, for a command. */
export interface OpenDeployment extends AsyncDisposable {
  readonly store: RecordStore;
  readonly rootKeys: readonly [RootKey, ...RootKey[]];
  readonly sealer: RootKeySealer;
  /** A commit to them that takes away waits for the leases of the replicas. */
  readonly records: Records;
  /** What the replicas have agreed on. */
  readonly agreed: DeploymentEntry;
}

/** Opens the store of a deployment, which has to be there; throws an Error with one sentence for the operator. */
export async function openDeployment(config: Config): Promise<OpenDeployment> {
  const { deployment } = config;
  const rootKeys = readRootKeys(config.rootKeyFiles);
  const store = await openExistingRecordStore(config.store, { ...config, ...deployment }, openLog('warn'));
  try {
    const sealer = new RootKeySealer(store.storeId, rootKeys);
    const recordsWaiting = (ttl: number): Records =>
      new Records(store, sealer, new ChangeFollower(store, ttl, systemClock, () => {}), systemClock);
    const agreed = await readDeployment(recordsWaiting(0), deploymentPath(deployment), sealer.rootKeyIds);
    if (agreed === undefined) {
      throw new Error(`the ${describeStore(config.store)} has no deployment of the account ${deployment.accountId}`);
    }
    const records = recordsWaiting(agreed.message.keyCacheTtlMs);
    return { store, rootKeys, sealer, records, agreed, [Symbol.asyncDispose]: () => store.close() };
  } catch (error) {
    await store.close();
    throw error;
  }
}
