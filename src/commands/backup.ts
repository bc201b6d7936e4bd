import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { create } from '@bufbuild/protobuf';
import { timestampNow } from '@bufbuild/protobuf/wkt';
import { readConfig } from '../config.ts';
import { BackupHeaderSchema } from '../gen/hmacd/store/v1/backup_pb.ts';
import { backUp } from '../records/back-up.ts';
import { describeStore } from '../records/open-record-store.ts';
import { openDeployment } from './open-deployment.ts';
import { UnopenedRecords } from './unopened-records.ts';

/** `backup FILE [flags]`: writes all records of the store, sealed as they are, into a new file; answers the exit code. */
export async function backup([path, ...args]: readonly string[]): Promise<number> {
  if (path === undefined || path.startsWith('--')) throw new Error('usage: hmacd backup FILE');
  const config = readConfig(process.env, args);
  // Before the work; whether there still is none is seen again when the file gets its name.
  if (existsSync(path)) throw new Error(`${path} exists; a backup takes the place of no other file`);
  await using open = await openDeployment(config);
  const { store, rootKeys, agreed, sealer } = open;
  const { partition, region, accountId, rootKeyId } = agreed.message;
  const rootKey = rootKeys.find(({ id }) => id.toString('hex') === rootKeyId) ?? rootKeys[0];
  const header = create(BackupHeaderSchema, {
    storeId: store.storeId,
    partition,
    region,
    accountId,
    creationDate: timestampNow(),
    rootKeyId: rootKey.id.toString('hex'),
    salt: randomBytes(32),
  });
  const unopened = new UnopenedRecords(sealer);
  const count = await backUp(store, header, rootKey, path, (record) => {
    unopened.look(record);
    // Else the backup could need a root key of which it was said meanwhile that it can go.
    if (record.path === agreed.path && record.version !== agreed.version) {
      throw new Error('what the replicas agree on, such as the root key, was changed meanwhile; run this again');
    }
  });
  unopened.warn();
  process.stdout.write(`${count} records of the ${describeStore(config.store)} are in ${path}\n`);
  return 0;
}
