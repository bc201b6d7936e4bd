import { setFlagsFromString } from 'node:v8';
import { type Config, ConfigError, DEMO_SEED_FILE, readConfig } from '../config.ts';
import { type Logger, openLog } from '../log.ts';
import { codeOf } from '../system-error.ts';
import { build, type Service } from '../service.ts';
import type { TlsFiles } from '../wires/tls.ts';
import { type Address, formatAddress, type Listener } from '../wires/listener.ts';

/** Where the listeners are, `undefined` for those that are off. */
interface Listening {
  readonly grpc: Address | undefined;
  readonly http: Address | undefined;
  readonly admin: Address | undefined;
}

/** How long after a signal the same one is taken for an echo, in milliseconds: npm passes on what the terminal has sent too. */
const ECHO = 300;

/** Runs the service until a signal ends it; answers the exit code. */
export async function serve(args: readonly string[]): Promise<number> {
  let service: Service | undefined;
  const stop = Promise.withResolvers<string>();
  watchSignals(stop.resolve);
  // V8 would make objects old at birth that one busy moment kept from dying young. They then die only in a major
  // collection, and until then keep alive everything of their call: most of what collecting costs.
  setFlagsFromString('--no-allocation-site-pretenuring');
  // Nobody may be reading.
  process.stderr.on('error', () => {});
  try {
    const config = readConfig(process.env, args);
    const log = openLog(config.logLevel);
    service = await build(config, log, (sentence) => {
      log.fatal(sentence);
      process.exitCode = 1;
      stop.resolve('it must not go on');
    });
    const listening = await listen(service, config);
    service.setServing(true);
    announce(config, listening, log);
    log.info(`stopping: ${await stop.promise}`);
    service.setServing(false);
    await drain([service.grpc, service.http], config.shutdownGrace, log);
    await drain([service.admin], 0, log);
    await service.close();
    log.info('stopped');
    return Number(process.exitCode ?? 0);
  } catch (error) {
    process.stderr.write(explain(error));
    await service?.close();
    return 1;
  }
}

async function listen({ grpc, http, admin }: Service, config: Config): Promise<Listening> {
  return {
    grpc: await listenOn('gRPC', grpc, config.grpcAddress),
    http: await listenOn('HTTP', http, config.httpAddress),
    admin: await listenOn('admin', admin, config.adminAddress),
  };
}

async function listenOn(name: string, listener: Listener, address: Address | undefined): Promise<Address | undefined> {
  if (address === undefined) return undefined;
  try {
    return { host: address.host, port: await listener.listen(address) };
  } catch (error) {
    throw new Error(`the ${name} listener cannot listen on ${formatAddress(address)}: ${codeOf(error)}`, {
      cause: error,
    });
  }
}

function announce(config: Config, listening: Listening, log: Logger): void {
  const anonymous = config.auth === 'anonymous';
  if (config.exposed && anonymous) {
    log.warn('HMACD_AUTH=anonymous: whoever can reach the listeners is the root of the account, and may do everything');
  }
  if (config.exposed && !anonymous && config.tls === undefined) {
    log.warn('without TLS, whoever is on the network between can read the credentials of callers');
  }
  const addresses = Object.entries(listening).flatMap(([name, address]) =>
    address === undefined ? [] : [[name, formatAddress(address)]],
  );
  log.info(Object.fromEntries(addresses), 'ready');
  // Others have to know where they reach it, and what it has.
  if (config.seedFile === DEMO_SEED_FILE && anonymous && !config.exposed)
    process.stderr.write(`${linesToPaste(listening, config.tls).join('\n')}\n`);
}

function linesToPaste({ grpc, http }: Listening, tls: TlsFiles | undefined): string[] {
  const [scheme, curlTls, grpcurlTls] =
    tls === undefined
      ? ['http', '', '-plaintext ']
      : ['https', `--cacert ${tls.certFile} `, `-cacert ${tls.certFile} `];
  const request = '{"keyId":"alias/demo","macAlgorithm":"MAC_ALGORITHM_HMAC_SHA_256","message":"aGVsbG8="}';
  const call = 'hmacd.v1.MacService/GenerateMac';
  return [
    ...(http === undefined
      ? []
      : [
          `curl -s ${curlTls}-H 'content-type: application/json' -d '${request}' ${scheme}://${formatAddress(http)}/${call}`,
        ]),
    ...(grpc === undefined ? [] : [`grpcurl ${grpcurlTls}-d '${request}' ${formatAddress(grpc)} ${call}`]),
    `kill ${process.pid}   # or Ctrl-C here`,
  ];
}

/** Drains listeners, and breaks off what is still under way after the grace period. */
async function drain(listeners: readonly Listener[], grace: number, log: Logger): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, grace);
  const drained = Promise.all(listeners.map((listener) => listener.drain())).then(() => true);
  const inTime = await Promise.race([drained, late.promise.then(() => false)]);
  clearTimeout(timer);
  if (inTime) return;
  if (grace > 0) log.warn(`calls were still under way after ${grace}ms, and were broken off`);
  for (const listener of listeners) listener.close();
}

/** The first signal stops the service, a second one ends the process at once. */
function watchSignals(stop: (reason: string) => void): void {
  let first: { signal: NodeJS.Signals; at: number } | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    const at = performance.now();
    if (first === undefined) {
      first = { signal, at };
      stop(signal);
    } else if (signal !== first.signal || at - first.at > ECHO) {
      // Not by process.exit, which waits for a write to a pipe that nobody reads.
      process.kill(process.pid, 'SIGKILL');
    }
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
}

function explain(error: unknown): string {
  const { message } = error as Error;
  if (error instanceof ConfigError) return `hmacd: the settings are wrong:\n  ${message.replaceAll('\n', '\n  ')}\n`;
  return `hmacd: ${message}\n`;
}
