import { readConfig } from '../config.ts';
import { COMMIT_LIFETIME, ConflictError } from '../records/record-store.ts';
import { resealRecords, type Survey, surveyRecords } from '../records/resealing.ts';
import { RootKeyChange } from '../records/root-key-change.ts';
import { rootKeyIdOf } from '../records/sealer.ts';
import { setTimeout as delay } from 'node:timers/promises';
import { openDeployment } from './open-deployment.ts';

/**
 * `reseal [flags]`: makes the first root key the one that seals, seals all records anew under it, and says when the others
 * can go; answers the exit code.
 */
export async function reseal(args: readonly string[]): Promise<number> {
  const config = readConfig(process.env, args);
  await using open = await openDeployment(config);
  const { store, records, sealer, rootKeys, agreed } = open;
  const rootKeyId = rootKeys[0].id.toString('hex');
  const change = new RootKeyChange(records, sealer, config.deployment.accountId, rootKeyId);
  const [deployment] = await store.getMany([agreed.path]);
  await change.begin(deployment === undefined ? rootKeyId : rootKeyIdOf(deployment.value));
  say(`the root key ${rootKeyId} seals from now on`);
  say(`${await resealRecords(store, sealer, rootKeyId)} records were sealed anew under it`);

  // A commit that was sealed before may still be on its way.
  if (!store.exclusive) await delay(COMMIT_LIFETIME);
  const settled = await change.agreed();
  const survey = await surveyRecords(store, sealer, rootKeyId);
  tellDamaged(survey);
  if (survey.elsewhere.length > 0) {
    throw new Error(
      `${survey.elsewhere.length} of ${survey.recordCount} records are still sealed under another root key, the first at ${survey.elsewhere[0]}: a replica wrote them meanwhile; keep the old root key, and run this again`,
    );
  }
  const former = await change.end(settled).catch((error: unknown) => {
    if (!(error instanceof ConflictError)) throw error;
    throw new Error('the root key was changed by somebody else meanwhile; keep all root keys, and run this again', {
      cause: error,
    });
  });
  say(`all ${survey.recordCount - survey.damaged.length} records are sealed under it`);
  if (former.length === 0) return 0;
  say(`the root key ${former.join(', ')} can go from HMACD_ROOT_KEY_FILE; backups that were made before still need it`);
  return 0;
}

function tellDamaged({ damaged: [first, ...others] }: Survey): void {
  if (first === undefined) return;
  const more = others.length === 0 ? '' : `, and ${others.length} more do not`;
  process.stderr.write(`hmacd: warning: ${first.message}${more}; it stays as it is\n`);
}

function say(sentence: string): void {
  process.stdout.write(`${sentence}\n`);
}
