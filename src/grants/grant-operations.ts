import { awsNameOf } from '../aws-name.ts';
import { type GrantOperation, GrantOperationSchema } from '../gen/hmacd/v1/grant_pb.ts';

const OPERATIONS: ReadonlyMap<string, GrantOperation> = new Map(
  GrantOperationSchema.values
    .filter(({ number }) => number !== 0)
    .map((value) => [awsNameOf(value), value.number as GrantOperation]),
);

/** AWS's name of an operation that grants can allow, such as `GenerateMac`. */
export function grantOperationName(operation: GrantOperation): string {
  return awsNameOf(GrantOperationSchema.value[operation]!);
}

/** The operation of AWS's name; `undefined` where grants cannot allow it. */
export function grantOperationOf(awsName: string): GrantOperation | undefined {
  return OPERATIONS.get(awsName);
}
