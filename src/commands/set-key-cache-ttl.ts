import { readConfig } from '../config.ts';
import { systemClock } from '../clock.ts';
import { openLog } from '../log.ts';
import { DeploymentSchema } from '../gen/hmacd/store/v1/records_pb.ts';
import { ChangeFollower } from '../records/change-follower.ts';
import { deploymentPath, readDeployment, sealAsAgreed } from '../records/deployment-record.ts';
import { openRecordStore } from '../records/open-record-store.ts';
import { Records, replaceRecord } from '../records/records.ts';
import { rootKeysOfStore } from '../records/root-keys-of-store.ts';
import { RootKeySealer } from '../records/sealer.ts';

/**
 * `set-key-cache-ttl DURATION [flags]`: changes the key cache TTL of a deployment whose replicas are stopped, and answers
 * the exit code. One that still runs stops when it notices; this returns when its lease has ended.
 */
export async function setKeyCacheTtl([duration, ...args]: readonly string[]): Promise<number> {
  if (duration === undefined) throw new Error('usage: hmacd set-key-cache-ttl DURATION');
  const config = readConfig(process.env, [...args, '--key-cache-ttl', duration]);
  const { deployment, keyCacheTtl } = config;
  const store = await openRecordStore(config.store, { ...config, ...deployment }, openLog('warn'));
  try {
    const rootKeys = await rootKeysOfStore(config.store, store, config.rootKeyFiles);
    const sealer = new RootKeySealer(store.storeId, rootKeys);
    const recordsWaiting = (ttl: number): Records =>
      new Records(store, sealer, new ChangeFollower(store, ttl, systemClock, () => {}), systemClock);
    const found = await readDeployment(recordsWaiting(0), deploymentPath(deployment), sealer.rootKeyIds);
    if (found === undefined) throw new Error('the store is new: start a replica with the key cache TTL that you want');
    sealAsAgreed(found, sealer);
    // Waits as long as a lease of the old length lasts.
    await recordsWaiting(found.message.keyCacheTtlMs).commit(
      [replaceRecord(found, DeploymentSchema, { ...found.message, keyCacheTtlMs: keyCacheTtl })],
      'takes away',
    );
    return 0;
  } finally {
    await store.close();
  }
}
