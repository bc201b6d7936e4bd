/** What every ARN of a deployment shares: a deployment owns one account in one Region. */
export interface Deployment {
  /** Such as `aws`. */
  readonly partition: string;
  /** Such as `us-east-1`. */
  readonly region: string;
  /** 12 digits. */
  readonly accountId: string;
}

/** The ARN of a key: https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id-key-ARN */
export function keyArn({ partition, region, accountId }: Deployment, keyId: string): string {
  return `arn:${partition}:kms:${region}:${accountId}:key/${keyId}`;
}

/** The ARN of an alias, whose name begins with `alias/`. */
export function aliasArn({ partition, region, accountId }: Deployment, aliasName: string): string {
  return `arn:${partition}:kms:${region}:${accountId}:${aliasName}`;
}

/** The ARN of the account's root principal, who stands for the account itself. */
export function accountRootArn({ partition, accountId }: Deployment): string {
  return `arn:${partition}:iam::${accountId}:root`;
}
