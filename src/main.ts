#!/usr/bin/env node
import { readFileSync } from 'node:fs';

const USAGE = `usage: hmacd [serve] [--SETTING VALUE …]          runs the service; HMACD_GRPC_ADDR is --grpc-addr, and so on
       hmacd make-root-key PATH [--if-missing]   makes a root key file
       hmacd set-key-cache-ttl DURATION          changes the key cache TTL of a deployment that is stopped
       hmacd backup FILE                         writes all records of the store, sealed, into a new file
       hmacd restore FILE                        puts a backup into an empty store
       hmacd reseal                              seals all records anew, under the first root key
       hmacd healthcheck                         asks the service on this machine whether it is ready
       hmacd --version
`;

/** Runs a command; each is loaded when it is asked for, so that a health check costs little. */
async function run(args: readonly string[]): Promise<number> {
  const [command, ...others] = args;
  switch (command) {
    case 'serve':
      return await serve(others);
    case 'make-root-key':
      return (await import('./commands/make-root-key.ts')).makeRootKey(others);
    case 'set-key-cache-ttl':
      return await (await import('./commands/set-key-cache-ttl.ts')).setKeyCacheTtl(others);
    case 'backup':
      return await (await import('./commands/backup.ts')).backup(others);
    case 'restore':
      return await (await import('./commands/restore.ts')).restore(others);
    case 'reseal':
      return await (await import('./commands/reseal.ts')).reseal(others);
    case 'healthcheck':
      return await (await import('./commands/healthcheck.ts')).healthcheck(others);
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

async function serve(args: readonly string[]): Promise<number> {
  return await (await import('./commands/serve.ts')).serve(args);
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
