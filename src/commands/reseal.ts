import { readConfig } from '../config.ts';
import { resealRecords } from '../records/resealing.ts';
import { RootKeyChange } from '../records/root-key-change.ts';
import type { UnsealError } from '../records/sealer.ts';
import { openDeployment } from './open-deployment.ts';

/**
 * `reseal [flags]`: makes the first root key the one that seals, seals all records anew under it, and says when the others
 * can go; answers the exit code.
 */
export async function reseal(args: readonly string[]): Promise<number> {
  const config = readConfig(process.env, args);
  await using open = await openDeployment(config);
  const { store, records, sealer, rootKeys } = open;
  const rootKeyId = rootKeys[0].id.toString('hex');
  const change = new RootKeyChange(records, sealer, config.deployment.accountId, rootKeyId);
  await change.begin();
  say(`the root key ${rootKeyId} seals from now on`);
  const agreed = await change.agreed();
  const { recordCount, resealedCount, damagedCount } = await resealRecords(store, sealer, rootKeyId, tellDamage);
  say(`${resealedCount} records were sealed anew under it`);
  await change.end(agreed);
  say(`all ${recordCount - damagedCount} records ${damagedCount === 0 ? '' : 'that open '}are sealed under it`);
  const others = sealer.rootKeyIds.filter((id) => id !== rootKeyId);
  say(
    others.length === 0
      ? 'HMACD_ROOT_KEY_FILE has no other root key'
      : `the root key ${others.join(', ')} can go from HMACD_ROOT_KEY_FILE; backups that were made before still need it`,
  );
  return 0;
}

function tellDamage({ message }: UnsealError): void {
  process.stderr.write(`hmacd: warning: ${message}; it stays as it is\n`);
}

function say(sentence: string): void {
  process.stdout.write(`${sentence}\n`);
}
