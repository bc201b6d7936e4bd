#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { healthcheck } from './commands/healthcheck.ts';
import { makeRootKey } from './commands/make-root-key.ts';
import { serve } from './commands/serve.ts';
import { setKeyCacheTtl } from './commands/set-key-cache-ttl.ts';

const USAGE = `usage: hmacd [serve] [--SETTING VALUE …]          runs the service; HMACD_GRPC_ADDR is --grpc-addr, and so on
       hmacd make-root-key PATH [--if-missing]   makes a root key file
       hmacd set-key-cache-ttl DURATION          changes the key cache TTL of a deployment that is stopped
       hmacd healthcheck                         asks the service on this machine whether it is ready
       hmacd --version
`;

async function run(args: readonly string[]): Promise<number> {
  const [command, ...others] = args;
  switch (command) {
    case 'serve':
      return await serve(others);
    case 'make-root-key':
      return makeRootKey(others);
    case 'set-key-cache-ttl':
      return await setKeyCacheTtl(others);
    case 'healthcheck':
      return await healthcheck(others);
    case '--help':
      process.stdout.write(USAGE);
      return 0;
    case '--version':
      process.stdout.write(`${version()}\n`);
      return 0;
    default:
      if (command === undefined || command.startsWith('--')) return await serve(args);
      process.stderr.write(USAGE);
      return 2;
  }
}

function version(): string {
  const { version: text } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return text;
}

run(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`hmacd: ${(error as Error).message}\n`);
    process.exit(1);
  },
);
