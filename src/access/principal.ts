import type { Policy } from './policy.ts';

/** How a caller showed who it is; `none` until it has. */
export type Authentication = 'none' | 'anonymous' | 'bearer' | 'jwt' | 'tls' | 'sigv4';

/** Who calls. */
export interface Principal {
  /** Of a user, a role, a session of a role, or the root of an account: `arn:aws:sts::000000000000:assumed-role/orders/1`. */
  readonly arn: string;
  /** The 12 digits of its account. */
  readonly accountId: string;
  /**
   * The ARNs by which policies and grants may mean it, most narrow first: its own; of a session, its role's too. The root
   * of its account, which stands for everybody there, is not among them, unless it is the root itself.
   */
  readonly names: readonly string[];
  /**
   * The same as `names`, with roles by their names alone: those are unique in an account whatever their paths, and the ARN
   * of a session does not have the path.
   */
  readonly pathless: readonly string[];
  /** The ARN of the root of its account. */
  readonly accountArn: string;
  /** Identity policies; the root of an account has none, and needs none. */
  readonly policies: readonly Policy[];
  readonly authentication: Authentication;
}

/** Stands for the caller until it is known who it is; may do nothing. */
export const NOBODY: Principal = Object.freeze({
  arn: '',
  accountId: '',
  names: [],
  pathless: [],
  accountArn: '',
  policies: [],
  authentication: 'none',
});

/** Allows no character that JSON escapes: the audit log writes ARNs as they are. */
const PRINCIPAL_ARN =
  /^arn:([a-z0-9-]+):(?:iam::(\d{12}):(?:root|(?:user|role)\/[\w+=,.@/-]+)|sts::(\d{12}):(?:assumed-role\/([\w+=,.@-]+)\/[\w+=,.@-]+|federated-user\/[\w+=,.@-]+))$/;

/** Whether a text is the ARN of a principal that can call: a user, a role, a session, or the root of an account. */
export function isPrincipalArn(text: string): boolean {
  return PRINCIPAL_ARN.test(text);
}

/**
 * The principal of an ARN.
 *
 * The ARN of a session does not have the path of its role; among its names, the role's is without it, too.
 *
 * @throws Error when the text is no ARN of a principal
 */
export function principalOf(arn: string, policies: readonly Policy[], authentication: Authentication): Principal {
  const [, partition, iamAccount, stsAccount, roleName] = PRINCIPAL_ARN.exec(arn) ?? [];
  const accountId = iamAccount ?? stsAccount;
  if (accountId === undefined)
    throw new Error(`${arn} is not the ARN of a user, a role, a session or an account's root`);
  const role = roleName === undefined ? [] : [`arn:${partition}:iam::${accountId}:role/${roleName}`];
  return {
    arn,
    accountId,
    names: [arn, ...role],
    pathless: [arn, ...role].map(withoutRolePath),
    accountArn: `arn:${partition}:iam::${accountId}:root`,
    policies,
    authentication,
  };
}

/** The ARN of a role without the path of the role; any other as it is. */
export function withoutRolePath(arn: string): string {
  return arn.replace(/:role\/.*\//, ':role/');
}

/** Whether a principal is the root of its account. */
export function isAccountRoot({ arn, accountArn }: Principal): boolean {
  return arn !== '' && arn === accountArn;
}
