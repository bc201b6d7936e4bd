/**
 * The policy that AWS gives to a key for which none was given, in AWS's own layout: it lets the identity policies of the
 * account decide.
 *
 * @param accountRootArn the ARN of the root of the account
 * @see https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
 */
export function defaultKeyPolicy(accountRootArn: string): string {
  return `{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "${accountRootArn}"
    },
    "Action" : "kms:*",
    "Resource" : "*"
  } ]
}`;
}
