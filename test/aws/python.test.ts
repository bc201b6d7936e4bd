import { join } from 'node:path';
import { getOption } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { beyond_aws_rpc } from '../../src/gen/hmacd/v1/options_pb.ts';
import { AliasService } from '../../src/gen/hmacd/v1/alias_pb.ts';
import { GrantService } from '../../src/gen/hmacd/v1/grant_pb.ts';
import { ImportService } from '../../src/gen/hmacd/v1/import_pb.ts';
import { KeyService } from '../../src/gen/hmacd/v1/key_pb.ts';
import { MacService } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { RotationService } from '../../src/gen/hmacd/v1/rotation_pb.ts';
import { pythonEnvironment, run } from '../support/python-environment.ts';
import { AWS_ENVIRONMENT, AwsWorld } from './world.ts';

const environment = await pythonEnvironment('boto3', join(import.meta.dirname, 'requirements.txt'));
if (environment.missing !== undefined) console.warn(`BOTO3 TESTS LEFT OUT: ${environment.missing}`);

const operations = [MacService, KeyService, RotationService, ImportService, AliasService, GrantService]
  .flatMap((service) => service.methods)
  .filter((method) => !getOption(method, beyond_aws_rpc)).length;

describe.skipIf(environment.missing !== undefined)('boto3', () => {
  it('makes every call, gets every exception, and walks over every list', async () => {
    const world = await AwsWorld.start();
    const script = join(import.meta.dirname, 'every_call.py');
    const ended = await run(environment.program('python'), [script, world.url], AWS_ENVIRONMENT);
    expect(ended).toEqual({ code: 0, stdout: `${operations} operations\n`, stderr: '' });
  });
});
