import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CreateAliasCommand, CreateGrantCommand, CreateKeyCommand } from '@aws-sdk/client-kms';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/deployment.ts';
import { pythonEnvironment, run } from '../support/python-environment.ts';
import { AWS_ENVIRONMENT, AwsWorld, PEOPLE } from './world.ts';

/** The AWS CLI of a version; `undefined` with a word to whoever runs the tests, where it cannot be had. */
async function cliOf(version: 1 | 2): Promise<{ program: string; output: string } | undefined> {
  const environment =
    version === 1
      ? await pythonEnvironment('awscli', join(import.meta.dirname, 'requirements-cli.txt'))
      : { missing: undefined, program: () => '/usr/bin/aws' };
  const program = environment.program('aws');
  const output = environment.missing === undefined ? (await run(program, ['--version'])).stdout : '';
  if (output.startsWith(`aws-cli/${version}.`)) return { program, output };
  console.warn(
    `TESTS OF THE AWS CLI ${version} LEFT OUT: ${environment.missing ?? `${program} is none of its version`}`,
  );
  return undefined;
}

const clis = [await cliOf(1), await cliOf(2)];

describe.each([1, 2] as const)('the AWS CLI %d', (version) => {
  const cli = clis[version - 1];
  const message = 'Hello World';

  /** A key, and the CLI for it; `file` makes a file for an argument. */
  async function start() {
    const world = await AwsWorld.start();
    const kms = world.kms();
    const made = await kms.send(new CreateKeyCommand({ KeySpec: 'HMAC_384', KeyUsage: 'GENERATE_VERIFY_MAC' }));
    const keyId = made.KeyMetadata!.KeyId!;
    const folder = temporaryFolder();
    const file = (name: string, content: string | Uint8Array): string => {
      writeFileSync(join(folder, name), content);
      return join(folder, name);
    };
    const aws = (...args: string[]) =>
      run(cli!.program, ['kms', ...args, '--endpoint-url', world.url], AWS_ENVIRONMENT);
    const json = async (...args: string[]): Promise<Record<string, unknown>> => {
      const { code, stdout, stderr } = await aws(...args);
      if (code !== 0) throw new Error(stderr);
      return JSON.parse(stdout) as Record<string, unknown>;
    };
    const fileb = `fileb://${file('message', message)}`;
    const own = ['--key-id', keyId, '--mac-algorithm', 'HMAC_SHA_384', '--message', fileb];
    return { world, kms, keyId, arn: made.KeyMetadata!.Arn!, file, aws, json, own };
  }

  it.skipIf(cli === undefined)('generates and verifies a MAC of a file, as its manual shows', async () => {
    const { arn, json, own, file } = await start();
    const generated = await json('generate-mac', ...own);
    expect(generated).toEqual({ Mac: expect.any(String), MacAlgorithm: 'HMAC_SHA_384', KeyId: arn });
    const mac = Buffer.from(generated['Mac'] as string, 'base64');
    expect(mac.length).toBe(48);
    const verified = await json('verify-mac', ...own, '--mac', `fileb://${file('mac', mac)}`);
    expect(verified).toEqual({ KeyId: arn, MacValid: true, MacAlgorithm: 'HMAC_SHA_384' });
  });

  it.skipIf(cli === undefined)('tells AWS errors by name and text', async () => {
    const { own, aws, keyId, file } = await start();
    const wrong = await aws('verify-mac', ...own, '--mac', `fileb://${file('mac', Buffer.alloc(48))}`);
    expect(wrong.code).not.toBe(0);
    expect(wrong.stderr).toContain('An error occurred (KMSInvalidMacException) when calling the VerifyMac operation');
    const other = await aws('generate-mac', ...own.with(3, 'HMAC_SHA_256'));
    expect(other.stderr).toContain(
      'An error occurred (InvalidKeyUsageException) when calling the GenerateMac operation: Algorithm HMAC_SHA_256 is incompatible with key spec HMAC_384.',
    );
    const unknown = await aws('generate-mac', ...own.with(1, 'alias/none'));
    expect(unknown.stderr).toContain('(NotFoundException)');
    const invalid = await aws('generate-mac', ...own.with(3, 'HMAC_SHA_1'));
    expect(invalid.stderr).toContain(
      "1 validation error detected: Value 'HMAC_SHA_1' at 'macAlgorithm' failed to satisfy constraint",
    );
    expect(keyId).toHaveLength(36);
  });

  it.skipIf(cli === undefined)('takes its input from a file, and makes skeletons', async () => {
    const { arn, aws, json, own, keyId, file } = await start();
    const input = { KeyId: keyId, MacAlgorithm: 'HMAC_SHA_384', Message: btoa(message) };
    const mac = (await json('generate-mac', ...own))['Mac'];
    // Version 1 takes a blob in JSON as it is.
    const written = version === 1 ? { ...input, Message: message } : input;
    const path = file('input.json', JSON.stringify(written));
    expect(await json('generate-mac', '--cli-input-json', `file://${path}`)).toMatchObject({ Mac: mac, KeyId: arn });
    // Of an answer with a blob, such as that of generate-mac, the CLI cannot make a sample.
    const sample = ['--mac', `fileb://${file('mac', 'x')}`, '--generate-cli-skeleton', 'output'];
    expect(await json('verify-mac', ...own, ...sample)).toMatchObject({ MacValid: true, KeyId: 'KeyId' });
    const skeleton = await aws('generate-mac', '--generate-cli-skeleton');
    expect(JSON.parse(skeleton.stdout)).toHaveProperty('GrantTokens');
  });

  // Version 1 has no YAML.
  it.skipIf(cli === undefined || version === 1)('takes its input from a file of YAML', async () => {
    const { arn, json, keyId, file } = await start();
    const yaml = file('input.yaml', `KeyId: ${keyId}\nMacAlgorithm: HMAC_SHA_384\nMessage: ${btoa(message)}\n`);
    expect(await json('generate-mac', '--cli-input-yaml', `file://${yaml}`)).toMatchObject({ KeyId: arn });
  });

  it.skipIf(cli === undefined)('shows what is asked of the answer, in a table', async () => {
    const { arn, aws, own } = await start();
    const queried = await aws('generate-mac', ...own, '--query', 'KeyId', '--output', 'text');
    expect(queried).toMatchObject({ code: 0, stdout: `${arn}\n` });
    const table = await aws('generate-mac', ...own, '--output', 'table');
    expect(table.stdout).toMatch(/\|\s+GenerateMac\s+\|/);
    expect(table.stdout).toContain(arn);
  });

  it.skipIf(cli === undefined)('uses grant tokens', async () => {
    const { kms, keyId, aws, own, json } = await start();
    const GranteePrincipal = PEOPLE.root.arn;
    const made = await kms.send(
      new CreateGrantCommand({ KeyId: keyId, GranteePrincipal, Operations: ['GenerateMac'] }),
    );
    expect(await json('generate-mac', ...own, '--grant-tokens', made.GrantToken!)).toHaveProperty('Mac');
    const wrong = await aws('generate-mac', ...own, '--grant-tokens', 'x');
    expect(wrong.stderr).toContain('An error occurred (InvalidGrantTokenException)');
  });

  // The version of Debian does not know of dry runs yet.
  it.skipIf(cli === undefined || version === 2)('makes a dry run', async () => {
    const { aws, own } = await start();
    const dry = await aws('generate-mac', ...own, '--dry-run');
    expect(dry.stderr).toContain(
      'An error occurred (DryRunOperationException) when calling the GenerateMac operation: The request would have succeeded, but the DryRun option is set.',
    );
    expect(await aws('generate-mac', ...own, '--no-dry-run')).toMatchObject({ code: 0 });
  });

  it.skipIf(cli === undefined)('walks over pages', async () => {
    const { kms, keyId, json } = await start();
    for (let n = 0; n < 5; n++) {
      await kms.send(new CreateAliasCommand({ AliasName: `alias/${n}`, TargetKeyId: keyId }));
    }
    const { Aliases } = await json('list-aliases', '--page-size', '2');
    expect((Aliases as { AliasName: string }[]).map(({ AliasName }) => AliasName)).toEqual(
      [0, 1, 2, 3, 4].map((n) => `alias/${n}`),
    );
    const some = await json('list-aliases', '--max-items', '2');
    expect(some['NextToken']).toBeDefined();
    const rest = await json('list-aliases', '--starting-token', some['NextToken'] as string);
    expect((rest['Aliases'] as object[]).length).toBe(3);
  });
});
