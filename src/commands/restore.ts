import { fromBinary } from '@bufbuild/protobuf';
import { readConfig } from '../config.ts';
import { DeploymentSchema } from '../gen/hmacd/store/v1/records_pb.ts';
import { openLog } from '../log.ts';
import { BackupReader } from '../records/backup-reader.ts';
import { deploymentPath, requireRootKeys } from '../records/deployment-record.ts';
import { beginRestoration, describeStore } from '../records/open-record-store.ts';
import type { StoredRecord } from '../records/record-store.ts';
import { restore as restoreRecords } from '../records/restore.ts';
import { readRootKeys } from '../records/root-keys.ts';
import { RootKeySealer } from '../records/sealer.ts';
import { UnopenedRecords } from './unopened-records.ts';

/** `restore FILE [flags]`: puts a backup into an empty store; answers the exit code. */
export async function restore([path, ...args]: readonly string[]): Promise<number> {
  if (path === undefined || path.startsWith('--')) throw new Error('usage: hmacd restore FILE');
  const config = readConfig(process.env, args);
  const { deployment } = config;
  const rootKeys = readRootKeys(config.rootKeyFiles);
  using backup = new BackupReader(path, rootKeys);
  let agreed: StoredRecord | undefined;
  const { header, recordCount } = backup.verify((record) => {
    if (record.path === deploymentPath(deployment)) agreed = record;
  });
  for (const name of ['partition', 'region', 'accountId'] as const) {
    if (header[name] !== deployment[name]) {
      throw new Error(
        `the backup ${path} was made for the ${name} ${header[name]}, and this is set to ${deployment[name]}`,
      );
    }
  }
  const sealer = new RootKeySealer(header.storeId, rootKeys);
  if (agreed !== undefined) requireRootKeys(fromBinary(DeploymentSchema, sealer.open(agreed)), sealer.rootKeyIds);
  const unopened = new UnopenedRecords(sealer);
  const access = { ...config, ...deployment };
  const restoration = await beginRestoration(config.store, header.storeId, access, openLog('warn'));
  try {
    await restoreRecords(backup, restoration, (record: StoredRecord) => unopened.look(record));
  } finally {
    await restoration.store.close();
  }
  unopened.warn();
  process.stdout.write(`${recordCount} records of ${path} are in the ${describeStore(config.store)}\n`);
  return 0;
}
