import { getOption, hasOption } from '@bufbuild/protobuf';
import { type GrantOperation, GrantOperationSchema } from '../gen/hmacd/v1/grant_pb.ts';
import { aws_name } from '../gen/hmacd/v1/options_pb.ts';

const NAMES: ReadonlyMap<number, string> = new Map(
  GrantOperationSchema.values
    .filter((value) => hasOption(value, aws_name))
    .map((value) => [value.number, getOption(value, aws_name)]),
);
const OPERATIONS: ReadonlyMap<string, GrantOperation> = new Map(
  [...NAMES].map(([number, name]) => [name, number as GrantOperation]),
);

/** AWS's name of an operation that grants can allow, such as `GenerateMac`. */
export function awsNameOf(operation: GrantOperation): string {
  return NAMES.get(operation) ?? String(operation);
}

/** The operation of AWS's name; `undefined` where grants cannot allow it. */
export function grantOperationOf(awsName: string): GrantOperation | undefined {
  return OPERATIONS.get(awsName);
}
