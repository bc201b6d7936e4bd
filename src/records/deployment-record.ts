import type { Deployment } from '../arn.ts';
import { DeploymentSchema } from '../gen/hmacd/store/v1/records_pb.ts';
import { ConflictError, type RecordStore } from './record-store.ts';
import { createRecord, type Entry, type Records } from './records.ts';
import { UnsealError } from './sealer.ts';

/** What every replica of a deployment must agree on. */
export interface Agreement {
  readonly deployment: Deployment;
  /** In milliseconds. */
  readonly keyCacheTtl: number;
}

/** Where it is kept. */
export function deploymentPath({ accountId }: Deployment): string {
  return `${accountId}/deployment`;
}

/**
 * Makes sure that the store was made for this deployment: the first replica writes down what it is, every other one
 * compares. It is also how a wrong root key is found out.
 *
 * @throws Error with one sentence for the operator, when they do not agree or the root key is a wrong one.
 */
export async function agreeOnDeployment(
  records: Records,
  store: RecordStore,
  agreement: Agreement,
  rootKeyIds: readonly string[],
): Promise<void> {
  const path = deploymentPath(agreement.deployment);
  for (let attempt = 0; ; attempt++) {
    const found = await readDeployment(records, path, rootKeyIds);
    if (found !== undefined) return requireAgreement(agreement, found);
    const [first] = await store.list('', '', 1);
    if (first !== undefined) {
      // Another replica may have come first in between.
      if (attempt === 0) continue;
      const [accountId] = first.path.split('/', 1);
      if (accountId !== agreement.deployment.accountId) throw otherDeployment('accountId', accountId, agreement);
      throw new Error('the store has records, but none that says what it was made for: it is damaged');
    }
    const { deployment, keyCacheTtl } = agreement;
    try {
      const init = { ...deployment, keyCacheTtlMs: keyCacheTtl };
      return await records.commit([createRecord(path, DeploymentSchema, init)], 'adds');
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
    }
  }
}

/**
 * Makes sure that the store is still what this deployment agreed on.
 *
 * @throws Error with one sentence for the operator, when it is not
 * @throws StoreUnavailableError
 */
export async function confirmDeployment(
  records: Records,
  agreement: Agreement,
  rootKeyIds: readonly string[],
): Promise<void> {
  const found = await readDeployment(records, deploymentPath(agreement.deployment), rootKeyIds);
  if (found === undefined) throw new Error('the store no longer says what it was made for: it is damaged');
  requireAgreement(agreement, found);
}

/** The record, if there is one; throws an Error that says which root key it wants, when it does not open. */
export async function readDeployment(
  records: Records,
  path: string,
  rootKeyIds: readonly string[],
): Promise<Entry<typeof DeploymentSchema> | undefined> {
  try {
    return await records.get(DeploymentSchema, path);
  } catch (error) {
    if (!(error instanceof UnsealError)) throw error;
    const reason =
      error.foreignRootKeyId === undefined
        ? 'the store is damaged'
        : `the store was sealed under the root key ${error.foreignRootKeyId}, and HMACD_ROOT_KEY_FILE has ${rootKeyIds.join(', ')}`;
    throw new Error(`${reason} (${error.message})`, { cause: error });
  }
}

function requireAgreement(agreement: Agreement, { message }: Entry<typeof DeploymentSchema>): void {
  const { deployment, keyCacheTtl } = agreement;
  for (const name of ['partition', 'region', 'accountId'] as const) {
    if (message[name] !== deployment[name]) throw otherDeployment(name, message[name], agreement);
  }
  if (message.keyCacheTtlMs !== keyCacheTtl) {
    throw new Error(
      `the store's key cache TTL is ${message.keyCacheTtlMs}ms, and HMACD_KEY_CACHE_TTL is ${keyCacheTtl}ms; to change it, stop every replica and run "hmacd set-key-cache-ttl ${keyCacheTtl}ms"`,
    );
  }
}

function otherDeployment(name: keyof Deployment, made: string | undefined, { deployment }: Agreement): Error {
  return new Error(`the store was made for the ${name} ${made}, and this service is set to ${deployment[name]}`);
}
