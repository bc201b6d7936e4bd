import { InapplicableService } from '../gen/hmacd/aws/v1/inapplicable_pb.ts';
import { AliasService } from '../gen/hmacd/v1/alias_pb.ts';
import { GrantService } from '../gen/hmacd/v1/grant_pb.ts';
import { ImportService } from '../gen/hmacd/v1/import_pb.ts';
import { KeyService } from '../gen/hmacd/v1/key_pb.ts';
import { MacService } from '../gen/hmacd/v1/mac_pb.ts';
import { RotationService } from '../gen/hmacd/v1/rotation_pb.ts';

/** How often some operations may be called, all of them together. */
export interface RequestRate {
  /** AWS's names; at least one. */
  readonly operations: readonly string[];
  /** Calls a second: from one a day to 1,000,000 a second. Less than one is one in several seconds. */
  readonly perSecond: number;
}

/** Request rates as they are set: some of one's own, and AWS's for the operations that these do not name. */
export interface RequestRateSetting {
  readonly own: readonly RequestRate[];
  readonly aws: boolean;
}

/** In calls a second. With a lower one, whoever called once would wait for longer than anybody means. */
const LEAST = 1 / (24 * 60 * 60);
const MOST = 1_000_000;

/** Every operation that there is, also those that are refused. */
const OPERATIONS: ReadonlySet<string> = new Set(
  [MacService, KeyService, RotationService, ImportService, AliasService, GrantService, InapplicableService].flatMap(
    (service) => service.methods.map(({ name }) => name),
  ),
);

/**
 * Reads request rates: `off`, or `aws` and any number of `OPERATION=RATE` or `OPERATION+OPERATION=RATE`, separated by
 * commas. Operations that are joined by `+` share their rate.
 *
 * @throws Error with everything that is wrong
 */
export function readRequestRates(text: string): RequestRateSetting {
  if (text === 'off') return { own: [], aws: false };
  const items = text.split(',').map((item) => item.trim());
  const problems: string[] = [];
  const own = items.filter((item) => item !== 'aws').map((item) => readRate(item, problems));
  const named = [...own.flatMap(({ operations }) => operations), ...items.filter((item) => item === 'aws')];
  for (const name of new Set(named.filter((one, index) => named.indexOf(one) !== index))) {
    problems.push(`${name} stands there twice`);
  }
  if (problems.length > 0) throw new Error(problems.join('; '));
  return { own, aws: items.includes('aws') };
}

function readRate(item: string, problems: string[]): RequestRate {
  const [, names, rate = ''] = /^([^=]+)=(.*)$/.exec(item) ?? [];
  if (names === undefined) {
    problems.push(`"${item}" is not off, aws, or a rate such as CreateKey=5 or GenerateMac+VerifyMac=5500`);
    return { operations: [], perSecond: NaN };
  }
  const operations = names.split('+').map((name) => name.trim());
  for (const name of operations) if (!OPERATIONS.has(name)) problems.push(`"${name}" is not an operation`);
  const perSecond = /^\d+(\.\d+)?$/.test(rate.trim()) ? Number(rate) : NaN;
  if (!(perSecond >= LEAST && perSecond <= MOST)) {
    problems.push(`"${rate}" is not a number of calls a second, at least 0.0000116 (one a day) and at most ${MOST}`);
  }
  return { operations, perSecond };
}

/** The rates that are meant by a setting in a Region; none for `off`. No operation is in two of them. */
export function requestRatesIn(region: string, { own, aws }: RequestRateSetting): readonly RequestRate[] {
  if (!aws) return own;
  const named = new Set(own.flatMap(({ operations }) => operations));
  const others = awsRequestRates(region).map(({ operations, perSecond }) => ({
    operations: operations.filter((name) => !named.has(name)),
    perSecond,
  }));
  return [...own, ...others.filter(({ operations }) => operations.length > 0)];
}

/**
 * AWS's rates, for an account that has not asked for others, of the operations that HMAC keys have a use for.
 *
 * @see https://docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html
 */
export function awsRequestRates(region: string): readonly RequestRate[] {
  // Cryptographic operations share their rate, which is the only one that differs by Region.
  const cryptographic = {
    operations: ['GenerateMac', 'VerifyMac'],
    perSecond: AWS_CRYPTOGRAPHIC_BY_REGION.get(region) ?? AWS_CRYPTOGRAPHIC,
  };
  const others = Object.entries(AWS_BY_OPERATION).map(([name, perSecond]) => ({ operations: [name], perSecond }));
  return [cryptographic, ...others];
}

const AWS_CRYPTOGRAPHIC = 10_000;
const AWS_CRYPTOGRAPHIC_BY_REGION: ReadonlyMap<string, number> = new Map([
  ['us-east-1', 100_000],
  ['us-west-2', 100_000],
  ['eu-west-1', 100_000],
  ['us-east-2', 20_000],
  ['ap-southeast-1', 20_000],
  ['ap-southeast-2', 20_000],
  ['ap-northeast-1', 20_000],
  ['eu-central-1', 20_000],
  ['eu-west-2', 20_000],
]);

const AWS_BY_OPERATION: Readonly<Record<string, number>> = {
  CancelKeyDeletion: 5,
  CreateAlias: 5,
  CreateGrant: 50,
  CreateKey: 5,
  DeleteAlias: 15,
  DeleteImportedKeyMaterial: 15,
  DescribeKey: 2_000,
  DisableKey: 5,
  DisableKeyRotation: 5,
  EnableKey: 5,
  EnableKeyRotation: 15,
  GetKeyLastUsage: 5,
  GetKeyPolicy: 1_000,
  GetKeyRotationStatus: 1_000,
  GetParametersForImport: 1,
  ImportKeyMaterial: 15,
  ListAliases: 500,
  ListGrants: 100,
  ListKeyPolicies: 100,
  ListKeyRotations: 100,
  ListKeys: 500,
  ListResourceTags: 2_000,
  ListRetirableGrants: 100,
  PutKeyPolicy: 15,
  RetireGrant: 50,
  // AWS has none: as often as what makes versions.
  RetireKeyVersion: 5,
  RevokeGrant: 50,
  RotateKeyOnDemand: 5,
  ScheduleKeyDeletion: 15,
  TagResource: 10,
  UntagResource: 5,
  UpdateAlias: 5,
  UpdateKeyDescription: 5,
};
