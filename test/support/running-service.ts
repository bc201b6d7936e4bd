import type { Clock } from '../../src/clock.ts';
import { type Config, readConfig } from '../../src/config.ts';
import { openLog } from '../../src/log.ts';
import { build, type Replacements, type Service } from '../../src/service.ts';
import { clientsOf, type Clients, type WireName } from './clients.ts';

/** A service in this process, on free ports of the loopback interface, with clients. */
export interface RunningService extends AsyncDisposable {
  readonly service: Service;
  readonly config: Config;
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly adminPort: number;
  readonly clients: Readonly<Record<WireName, Clients>>;
  /** What it logged: JSON lines. */
  readonly logged: readonly string[];
  /** Sentences that it said it must not go on with. */
  readonly fatal: readonly string[];
}

/**
 * Starts a service; with a store in memory, no seed and no audit log, unless the settings say otherwise.
 *
 * @param settings variables by their names, without `HMACD_`
 */
export async function startService(
  settings: Readonly<Record<string, string>> = {},
  replacements: Replacements = {},
): Promise<RunningService> {
  const defaults = {
    STORE: 'sqlite::memory:',
    SEED_FILE: 'none',
    AUDIT_LOG: 'off',
    GRPC_ADDR: '127.0.0.1:0',
    HTTP_ADDR: '127.0.0.1:0',
    ADMIN_ADDR: '127.0.0.1:0',
  };
  const env = Object.fromEntries(Object.entries({ ...defaults, ...settings }).map(([k, v]) => [`HMACD_${k}`, v]));
  const config = readConfig(env, []);
  const logged: string[] = [];
  const fatal: string[] = [];
  const log = openLog('debug', { write: (line: string) => void logged.push(line) });
  const service = await build(config, log, (sentence) => fatal.push(sentence), replacements);
  const grpcPort = await service.grpc.listen(config.grpcAddress!);
  const httpPort = await service.http.listen(config.httpAddress!);
  const adminPort = await service.admin.listen(config.adminAddress!);
  service.setServing(true);
  const clients = clientsOf(grpcPort, httpPort);
  return {
    service,
    config,
    grpcPort,
    httpPort,
    adminPort,
    clients,
    logged,
    fatal,
    async [Symbol.asyncDispose]() {
      clients[Symbol.dispose]();
      for (const listener of [service.grpc, service.http, service.admin]) {
        const drained = listener.drain();
        listener.close();
        await drained;
      }
      await service.close();
    },
  };
}

/** A clock that stands still until it is turned. */
export class FakeClock implements Clock {
  #now: number;
  #monotonic = 0;

  constructor(now = Date.UTC(2026, 0, 1)) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  /** Lets time pass on both clocks. */
  advance(milliseconds: number): void {
    this.#now += milliseconds;
    this.#monotonic += milliseconds;
  }

  /** Sets the wall clock only. */
  set(now: number): void {
    this.#now = now;
  }
}
