import { create } from '@bufbuild/protobuf';
import type { Deployment } from '../arn.ts';
import { type Deployment as AgreedDeployment, DeploymentSchema } from '../gen/hmacd/store/v1/records_pb.ts';
import { ConflictError, type RecordStore } from './record-store.ts';
import { type Change, createRecord, type Entry, type Records, replaceRecord } from './records.ts';
import { type RootKeySealer, UnsealError } from './sealer.ts';

/** What every replica of a deployment must agree on. */
export interface Agreement {
  readonly deployment: Deployment;
  /** In milliseconds. */
  readonly keyCacheTtl: number;
}

/** The record of it. */
export type DeploymentEntry = Entry<typeof DeploymentSchema>;

/** Where it is kept. */
export function deploymentPath({ accountId }: Pick<Deployment, 'accountId'>): string {
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
): Promise<DeploymentEntry> {
  const path = deploymentPath(agreement.deployment);
  for (let attempt = 0; ; attempt++) {
    const found = await readDeployment(records, path, rootKeyIds);
    const [rootKeyId = ''] = rootKeyIds;
    if (found !== undefined) {
      const agreed = requireAgreement(agreement, found);
      if (agreed.message.rootKeyId !== '' || rootKeyId === '') return agreed;
      // Before it was agreed on which root key seals, the first one did.
      await unlessOvertaken(records, replaceRecord(agreed, DeploymentSchema, { ...agreed.message, rootKeyId }));
      continue;
    }
    const [first] = await store.list('', '', 1);
    if (first !== undefined) {
      // Another replica may have come first in between.
      if (attempt === 0) continue;
      const [accountId] = first.path.split('/', 1);
      if (accountId !== agreement.deployment.accountId) throw otherDeployment('accountId', accountId, agreement);
      throw new Error('the store has records, but none that says what it was made for: it is damaged');
    }
    const { deployment, keyCacheTtl } = agreement;
    const init = create(DeploymentSchema, { ...deployment, keyCacheTtlMs: keyCacheTtl, rootKeyId });
    await unlessOvertaken(records, createRecord(path, DeploymentSchema, init));
  }
}

/** Commits a change, unless another replica comes first. */
async function unlessOvertaken(records: Records, change: Change): Promise<void> {
  try {
    await records.commit([change], 'adds');
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
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
): Promise<DeploymentEntry> {
  const found = await readDeployment(records, deploymentPath(agreement.deployment), rootKeyIds);
  if (found === undefined) throw new Error('the store no longer says what it was made for: it is damaged');
  return requireAgreement(agreement, found);
}

/** The IDs of the root keys that every replica must have, and that are none of these. */
export function lackingRootKeyIds(deployment: AgreedDeployment, rootKeyIds: readonly string[]): string[] {
  const { rootKeyId, otherRootKeyIds } = deployment;
  return [rootKeyId, ...otherRootKeyIds].filter((id) => id !== '' && !rootKeyIds.includes(id));
}

/**
 * Makes a sealer seal under the root key of the deployment.
 *
 * @throws Error with one sentence for the operator, when it lacks one of the root keys that every replica must have
 */
export function sealAsAgreed(deployment: DeploymentEntry, sealer: RootKeySealer): void {
  if (deployment.message.rootKeyId === '')
    throw new Error('the store is older than this hmacd: start a replica on it first');
  requireRootKeys(deployment.message, sealer.rootKeyIds);
  sealUnderItsRootKey(deployment, sealer);
}

/**
 * Demands all root keys that every replica must have.
 *
 * @throws Error with one sentence for the operator
 */
export function requireRootKeys(deployment: AgreedDeployment, rootKeyIds: readonly string[]): void {
  const lacking = lackingRootKeyIds(deployment, rootKeyIds);
  if (lacking.length === 0) return;
  throw new Error(
    `records of the store are sealed under the root key ${lacking.join(', ')}, or are about to be, and HMACD_ROOT_KEY_FILE has ${rootKeyIds.join(', ')}; until "hmacd reseal" has ended, it needs the files of the old root key and of the new one`,
  );
}

/** Makes a sealer, which may lack others of the root keys, seal under the one that seals in the deployment. */
export function sealUnderItsRootKey({ path, version, message }: DeploymentEntry, sealer: RootKeySealer): void {
  sealer.sealUnder(message.rootKeyId, { path, version });
}

/** The record, if there is one; throws an Error that says which root key it wants, when it does not open. */
export async function readDeployment(
  records: Records,
  path: string,
  rootKeyIds: readonly string[],
): Promise<DeploymentEntry | undefined> {
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

function requireAgreement(agreement: Agreement, found: DeploymentEntry): DeploymentEntry {
  const { message } = found;
  const { deployment, keyCacheTtl } = agreement;
  for (const name of ['partition', 'region', 'accountId'] as const) {
    if (message[name] !== deployment[name]) throw otherDeployment(name, message[name], agreement);
  }
  if (message.keyCacheTtlMs !== keyCacheTtl) {
    throw new Error(
      `the store's key cache TTL is ${message.keyCacheTtlMs}ms, and HMACD_KEY_CACHE_TTL is ${keyCacheTtl}ms; to change it, stop every replica and run "hmacd set-key-cache-ttl ${keyCacheTtl}ms"`,
    );
  }
  return found;
}

function otherDeployment(name: keyof Deployment, made: string | undefined, { deployment }: Agreement): Error {
  return new Error(`the store was made for the ${name} ${made}, and this service is set to ${deployment[name]}`);
}
