// What every operation answers for a key in every state, on AWS and here.
// https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html

/** The states of the columns; the last one of each origin is no state of AWS's page, or only of that origin. */
export const COLUMNS = [
  'AWS_KMS Enabled',
  'AWS_KMS Disabled',
  'AWS_KMS PendingDeletion',
  'AWS_KMS destroyed',
  'EXTERNAL Enabled',
  'EXTERNAL Disabled',
  'EXTERNAL PendingDeletion',
  'EXTERNAL PendingImport',
] as const;
export type Column = (typeof COLUMNS)[number];

/**
 * `ok`: it succeeds, and leaves the key in its state, or in the one that is named. Everything else is a refusal.
 */
const TABLE = `
GenerateMac                ok          disabled     deletion     none    ok                disabled          deletion     import
VerifyMac                  ok          disabled     deletion     none    ok                disabled          deletion     import
DescribeKey                ok          ok           ok           none    ok                ok                ok           ok
EnableKey                  ok          ok:Enabled   deletion     none    ok                ok:Enabled        deletion     import
DisableKey                 ok:Disabled ok           deletion     none    ok:Disabled       ok                deletion     import
UpdateKeyDescription       ok          ok           deletion     none    ok                ok                deletion     ok
ScheduleKeyDeletion        ok:PendingDeletion ok:PendingDeletion deletion none ok:PendingDeletion ok:PendingDeletion deletion ok:PendingDeletion
CancelKeyDeletion          notPending  notPending   ok:Disabled  none    notPending        notPending        ok:Disabled  notPending
GetKeyPolicy               ok          ok           ok           none    ok                ok                ok           ok
PutKeyPolicy               ok          ok           ok           none    ok                ok                ok           ok
ListKeyPolicies            ok          ok           ok           none    ok                ok                ok           ok
TagResource                ok          ok           deletion     none    ok                ok                deletion     ok
UntagResource              ok          ok           deletion     none    ok                ok                deletion     ok
ListResourceTags           ok          ok           ok           none    ok                ok                ok           ok
GetKeyLastUsage            ok          ok           ok           none    ok                ok                ok           ok
EnableKeyRotation          unsupported disabled     deletion     none    external          external          external     external
DisableKeyRotation         ok          disabled     deletion     none    external          external          external     external
GetKeyRotationStatus       ok          ok           ok           none    ok                ok                ok           ok
ListKeyRotations           ok          ok           ok           none    ok                ok                ok           ok
RotateKeyOnDemand          unsupported disabled     deletion     none    unsupported       disabled          deletion     import
RetireKeyVersion           noVersions  noVersions   noVersions   none    noVersions        noVersions        noVersions   noVersions
GetParametersForImport     awsKms      awsKms       awsKms       none    ok                ok                deletion     ok
ImportKeyMaterial          awsKms      awsKms       awsKms       none    ok                ok:Enabled        deletion     ok:Enabled
DeleteImportedKeyMaterial  awsKms      awsKms       awsKms       none    ok:PendingImport  ok:PendingImport  ok           ok
CreateAlias                ok          ok           deletion     none    ok                ok                deletion     ok
UpdateAlias                ok          ok           deletion     none    ok                ok                deletion     ok
DeleteAlias                ok          ok           ok           noAlias ok                ok                ok           ok
ListAliases                ok          ok           ok           none    ok                ok                ok           ok
CreateGrant                ok          disabled     deletion     none    ok                disabled          deletion     import
ListGrants                 ok          ok           ok           none    ok                ok                ok           ok
RetireGrant                ok          ok           ok           none    ok                ok                ok           ok
RevokeGrant                ok          ok           ok           none    ok                ok                ok           ok
`;

/** An operation on a key in a state: what it answers. */
export interface Cell {
  readonly operation: string;
  readonly column: Column;
  /** `ok`, or what it is refused with. */
  readonly outcome: string;
  /** The state that a success leaves the key in. */
  readonly after: string | undefined;
}

export const CELLS: readonly Cell[] = TABLE.trim()
  .split('\n')
  .flatMap((line) => {
    const [operation = '', ...cells] = line.split(/\s+/);
    if (cells.length !== COLUMNS.length) throw new Error(`${operation} has ${cells.length} cells`);
    return cells.map((cell, index) => {
      const column = COLUMNS[index]!;
      const [outcome = '', after = column.split(' ')[1]] = cell.split(':');
      return { operation, column, outcome, after };
    });
  });

/** The exception and the text of each refusal of the table, for a key. */
export function refusalOf(
  outcome: string,
  arn: string,
  aliasArn: string,
): readonly [exception: string, message: string] {
  switch (outcome) {
    case 'disabled':
      return ['DisabledException', `${arn} is disabled.`];
    case 'deletion':
      return ['KMSInvalidStateException', `${arn} is pending deletion.`];
    case 'import':
      return ['KMSInvalidStateException', `${arn} is pending import.`];
    case 'notPending':
      return ['KMSInvalidStateException', `${arn} is not pending deletion.`];
    case 'unsupported':
      return ['UnsupportedOperationException', ''];
    case 'noVersions':
      return ['UnsupportedOperationException', `${arn} has no versions: it was made without rotation_enabled.`];
    case 'external':
      return ['UnsupportedOperationException', `${arn} origin is EXTERNAL which is not valid for this operation.`];
    case 'awsKms':
      return ['UnsupportedOperationException', `${arn} origin is AWS_KMS which is not valid for this operation.`];
    case 'none':
      return ['NotFoundException', `Key '${arn}' does not exist`];
    case 'noAlias':
      return ['NotFoundException', `Alias ${aliasArn} is not found.`];
    default:
      throw new Error(`the table has no ${outcome}`);
  }
}
