import { type Logger } from 'pino';
import { anonymousAuthenticator, CredentialAuthenticator } from './access/authenticator.ts';
import { Authorizer } from './access/authorizer.ts';
import { LivePrincipals } from './access/live-principals.ts';
import { noAuditLog, openAuditLog } from './calls/audit-log.ts';
import { Dispatcher } from './calls/dispatcher.ts';
import {
  aliasLimits,
  grantLimits,
  importLimits,
  inapplicableLimits,
  keyLimits,
  macLimits,
  rotationLimits,
  validator,
} from './calls/limits.ts';
import { Metrics } from './calls/metrics.ts';
import { alikeOperationsOf, operationsOf } from './calls/operation.ts';
import { Throttle } from './calls/throttle.ts';
import { type Clock, systemClock } from './clock.ts';
import type { Config } from './config.ts';
import * as inapplicable from './gen/hmacd/aws/v1/inapplicable_pb.ts';
import * as alias from './gen/hmacd/v1/alias_pb.ts';
import * as grant from './gen/hmacd/v1/grant_pb.ts';
import * as imports from './gen/hmacd/v1/import_pb.ts';
import * as key from './gen/hmacd/v1/key_pb.ts';
import * as mac from './gen/hmacd/v1/mac_pb.ts';
import * as rotation from './gen/hmacd/v1/rotation_pb.ts';
import { GrantBook } from './grants/grant-book.ts';
import { GrantExpiry } from './grants/grant-expiry.ts';
import { GrantPaths } from './grants/grant-paths.ts';
import { GrantRecords } from './grants/grant-records.ts';
import { SeedGrants } from './grants/seed-grants.ts';
import { GrantService } from './grants/grant-service.ts';
import { grantTokenKey } from './grants/grant-token-key.ts';
import { AliasService } from './keys/alias-service.ts';
import { ImportService } from './keys/import-service.ts';
import { InapplicableService } from './keys/inapplicable-service.ts';
import { KeyCache } from './keys/key-cache.ts';
import { KeyDeletion } from './keys/key-deletion.ts';
import { KeyPaths } from './keys/key-paths.ts';
import { KeyReader } from './keys/key-reader.ts';
import { KeyService } from './keys/key-service.ts';
import { LastUsages } from './keys/last-usages.ts';
import { MaterialExpiry } from './keys/material-expiry.ts';
import { KeyPolicies } from './keys/protected-key.ts';
import { RotationService } from './keys/rotation-service.ts';
import { readSeedFile } from './keys/seed-file.ts';
import { type GrantAdditions, plantSeed } from './keys/seeder.ts';
import { MacService } from './macs/mac-service.ts';
import { ChangeFollower } from './records/change-follower.ts';
import { agreeOnDeployment, confirmDeployment, sealAsAgreed } from './records/deployment-record.ts';
import { DeploymentWatch } from './records/deployment-watch.ts';
import { describeStore, openRecordStore } from './records/open-record-store.ts';
import { type RecordStore, StoreUnavailableError } from './records/record-store.ts';
import { Records } from './records/records.ts';
import { rootKeysOfStore } from './records/root-keys-of-store.ts';
import { RootKeySealer, type Sealer, type UnsealError } from './records/sealer.ts';
import { AdminWire } from './wires/admin.ts';
import { GrpcWire } from './wires/grpc.ts';
import { HttpWire } from './wires/http.ts';
import { replaceStreamTables } from './wires/http2-stream-tables.ts';
import { Tls } from './wires/tls.ts';

/** How many keys a replica remembers, and as many aliases, grants and grant tokens. */
const CACHE_CAPACITY = 100_000;

/** A service, wired and with its store open, that does not listen yet. */
export interface Service {
  readonly grpc: GrpcWire;
  readonly http: HttpWire;
  readonly admin: AdminWire;
  /** The certificate of the listeners; `undefined` without TLS. */
  readonly tls: Tls | undefined;
  /** Who may call; `undefined` when everybody may. */
  readonly principals: LivePrincipals | undefined;
  /** Whether calls are served: says so to `/readyz` and to gRPC's health checks. */
  setServing(serving: boolean): void;
  /** Ends the work in the background, writes what is not written, and lets go of the store. */
  close(): Promise<void>;
}

/** What a test puts in the place of the real thing. */
export interface Replacements {
  readonly clock?: Clock;
  readonly store?: RecordStore;
  readonly sealer?: Sealer;
}

/**
 * Builds a service: opens the store, agrees with the other replicas, plants the seed, and wires everything up.
 *
 * @param onFatal told when the service must not go on, with a sentence for the operator
 * @throws Error with one sentence for the operator; nothing is left open then
 */
export async function build(
  config: Config,
  log: Logger,
  onFatal: (sentence: string) => void,
  replacements: Replacements = {},
): Promise<Service> {
  const { clock = systemClock } = replacements;
  const { deployment } = config;
  const seed = config.seedFile === undefined ? [] : readSeedFile(config.seedFile, deployment.partition);

  replaceStreamTables();
  // Last in, first out: what is open has to be closed, also when a later step fails.
  await using open = new AsyncDisposableStack();
  const tls =
    config.tls && open.adopt(new Tls(config.tls, (sentence) => log.error(sentence)), (opened) => opened.close());
  const principals =
    config.principalsFile === undefined
      ? undefined
      : open.adopt(new LivePrincipals(config.principalsFile, log), (opened) => opened.close());
  const authenticator =
    principals === undefined
      ? anonymousAuthenticator(deployment)
      : new CredentialAuthenticator(principals, deployment, clock, log);
  const store = open.adopt(
    replacements.store ?? (await openRecordStore(config.store, { ...config, ...deployment }, log)),
    (opened) => opened.close(),
  );
  const rootKeys = await rootKeysOfStore(config.store, store, config.rootKeyFiles);
  const sealer = replacements.sealer ?? new RootKeySealer(store.storeId, rootKeys);
  const rootKeySealer = sealer instanceof RootKeySealer ? sealer : undefined;

  let wanted = false;
  let health: ((serving: boolean) => void) | undefined;
  const follower = open.adopt(
    new ChangeFollower(store, config.keyCacheTtl, clock, (available, cause) => {
      if (available) log.info(`the ${describeStore(config.store)} answers again`);
      else log.error({ err: cause }, `the ${describeStore(config.store)} does not answer`);
      health?.(wanted && available);
    }),
    (opened) => opened.close(),
  );
  const metrics = new Metrics(
    () => follower.available,
    () => principals?.inForce !== false,
  );
  const onDamage = (error: UnsealError): void => {
    metrics.damagedRecord();
    log.error({ err: error }, 'a record is damaged');
  };
  const records = new Records(store, sealer, follower, clock, onDamage);
  const rootKeyIds = rootKeySealer?.rootKeyIds ?? [];
  const agreed = await agreeOnDeployment(records, store, config, rootKeyIds);
  if (rootKeySealer !== undefined) sealAsAgreed(agreed, rootKeySealer);
  follower.listen(
    new DeploymentWatch(records, config, rootKeySealer, (sentence) => {
      follower.close();
      onFatal(sentence);
    }),
  );

  const paths = new KeyPaths(deployment.accountId);
  const grantPaths = new GrantPaths(paths, deployment.accountId);
  const tokenKey = await grantTokenKey(records, grantPaths);
  const grants = new GrantBook(records, follower, grantPaths, tokenKey, config.grantTokenTtl, clock, CACHE_CAPACITY);
  const authorizer = new Authorizer(grants, { deployment, clock, secureTransport: tls !== undefined });
  const policies = new KeyPolicies(deployment);
  const cache = new KeyCache(
    records,
    follower,
    authorizer,
    policies,
    deployment,
    paths,
    clock,
    metrics,
    CACHE_CAPACITY,
  );
  await follower.start();
  // Again, now that no change of it can be missed.
  const confirmed = await confirmDeployment(records, config, rootKeyIds);
  if (rootKeySealer !== undefined) sealAsAgreed(confirmed, rootKeySealer);
  const grantRecords = new GrantRecords(records, grantPaths, config.grantDelay, clock, config.quotas.grantsPerKey);
  const failureOf = (work: string) => (error: unknown) => {
    // Everything waits for a store that is away, and the log has the outage already.
    if (error instanceof StoreUnavailableError) log.warn(`${work} waits for the store: ${error.message}`);
    else log.error({ err: error }, `${work} failed`);
  };
  const deletion = open.adopt(
    new KeyDeletion(
      records,
      paths,
      (keyId) => grantRecords.removeAll(keyId),
      clock,
      failureOf('the destruction of keys'),
    ),
    (opened) => opened.close(),
  );
  const grantViolations = validator(grant.CreateGrantRequestSchema, grantLimits.createGrant);
  const seedGrants = new SeedGrants(grantRecords, deployment, clock, grantViolations);
  const additions: GrantAdditions = (keyId, given) => seedGrants.additions(keyId, given);
  const warn = (sentence: string): void => log.warn(sentence);
  await plantSeed(seed, records, paths, clock, additions, (keyId) => deletion.destroyEnded(keyId), onDamage, warn);
  deletion.start();

  const audit = open.adopt(
    config.auditLog === undefined
      ? noAuditLog
      : await openAuditLog(config.auditLog, clock, (error) =>
          log.error({ err: error }, 'the audit log is not written'),
        ),
    (opened) => opened.close(),
  );
  const dispatcher = new Dispatcher(
    ({ evidence }) => authenticator.authenticate(evidence),
    follower,
    audit,
    metrics,
    log,
    clock,
    config.requestRates.length === 0 ? undefined : new Throttle(config.requestRates, clock),
  );
  const reader = new KeyReader(records, authorizer, policies, deployment, paths, clock);
  const usages = open.adopt(
    new LastUsages(records, paths, clock, failureOf('the storing of when keys were last used')),
    (opened) => opened.close(),
  );
  usages.start();
  const operations = [
    ...operationsOf(mac.MacService, macLimits, new MacService(cache, authorizer, usages), ['generateMac', 'verifyMac']),
    ...operationsOf(
      key.KeyService,
      keyLimits,
      new KeyService(records, reader, authorizer, policies, usages, deployment, paths, clock, config.quotas),
      ['describeKey'],
    ),
    ...operationsOf(
      alias.AliasService,
      aliasLimits,
      new AliasService(records, reader, authorizer, deployment, paths, clock, config.quotas.aliasesPerKey),
      [],
    ),
    ...operationsOf(rotation.RotationService, rotationLimits, new RotationService(records, reader, clock), []),
    ...operationsOf(imports.ImportService, importLimits, new ImportService(records, reader, paths, clock), []),
    ...operationsOf(
      grant.GrantService,
      grantLimits,
      new GrantService(records, grantRecords, reader, authorizer, deployment, grantPaths, tokenKey, clock),
      [],
    ),
  ];
  const refusals = new InapplicableService(reader);
  const awsOperations = alikeOperationsOf(inapplicable.InapplicableService, inapplicableLimits, (request, call) =>
    refusals.refuse(request as inapplicable.InapplicableRequest, call),
  );
  const expiry = open.adopt(
    new GrantExpiry(records, grantRecords, grantPaths, clock, failureOf('the removal of grants that have expired')),
    (opened) => opened.close(),
  );
  expiry.start();
  const materialExpiry = open.adopt(
    new MaterialExpiry(records, paths, clock, failureOf('the destruction of imported material that has ended')),
    (opened) => opened.close(),
  );
  materialExpiry.start();

  const grpc = new GrpcWire(operations, dispatcher, config, tls);
  health = (serving) => grpc.setServing(serving);
  const http = new HttpWire(operations, awsOperations, dispatcher, config, tls);
  const admin = new AdminWire(metrics, () => wanted && follower.available);
  const owned = open.move();
  return {
    grpc,
    http,
    admin,
    tls,
    principals,
    setServing(serving) {
      wanted = serving;
      grpc.setServing(serving && follower.available);
    },
    close: () => owned.disposeAsync(),
  };
}
