import { type DescEnum, type DescEnumValue, getOption, hasOption } from '@bufbuild/protobuf';
import { aws_name } from './gen/hmacd/v1/options_pb.ts';

/** AWS's spelling of a value of an enum: `PendingDeletion` for KEY_STATE_PENDING_DELETION. */
export function awsNameOf(value: DescEnumValue): string {
  return hasOption(value, aws_name) ? getOption(value, aws_name) : value.localName;
}

/** AWS's spelling of a number of an enum; `undefined` of the one for none, and of those that the enum has not. */
export function awsNameIn(desc: DescEnum, number: number): string | undefined {
  const value = number === 0 ? undefined : desc.value[number];
  return value && awsNameOf(value);
}
