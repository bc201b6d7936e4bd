import { readConfig } from '../config.ts';
import { DeploymentSchema } from '../gen/hmacd/store/v1/records_pb.ts';
import { sealAsAgreed } from '../records/deployment-record.ts';
import { replaceRecord } from '../records/records.ts';
import { openDeployment } from './open-deployment.ts';

/**
 * `set-key-cache-ttl DURATION [flags]`: changes the key cache TTL of a deployment whose replicas are stopped, and answers
 * the exit code. One that still runs stops when it notices; this returns when its lease has ended.
 */
export async function setKeyCacheTtl([duration, ...args]: readonly string[]): Promise<number> {
  if (duration === undefined) throw new Error('usage: hmacd set-key-cache-ttl DURATION');
  const config = readConfig(process.env, [...args, '--key-cache-ttl', duration]);
  await using open = await openDeployment(config);
  const { records, sealer, agreed } = open;
  sealAsAgreed(agreed, sealer);
  // Waits as long as a lease of the old length lasts.
  await records.commit(
    [replaceRecord(agreed, DeploymentSchema, { ...agreed.message, keyCacheTtlMs: config.keyCacheTtl })],
    'takes away',
  );
  process.stdout.write(`start every replica with HMACD_KEY_CACHE_TTL=${duration} from now on\n`);
  return 0;
}
