import { createRemoteJWKSet, customFetch, type FetchImplementation, type RemoteJWKSet } from 'jose';
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import { codeOf } from '../system-error.ts';

/** How long an issuer's keys are used before they are fetched anew, in milliseconds. */
const KEY_SET_MAX_AGE = 10 * 60_000;
/** How long an issuer is not asked again for a key that it did not have, in milliseconds. */
const COOLDOWN = 30_000;
/** How long an issuer that did not answer is left alone, in milliseconds. */
const PAUSE = 5_000;
/** How long an issuer may take to answer, in milliseconds. */
const TIMEOUT = 5_000;
/** The longest answer, in bytes. */
const LONGEST = 512 * 1_024;

/** An issuer's keys could not be fetched, so that nothing can be said of its tokens. */
export class IssuerUnavailableError extends Error {
  override readonly name = 'IssuerUnavailableError';
}

/**
 * The keys at a URL: fetched when a token first needs them, when they are old, and for a key that is not among them; but
 * however many tokens come, neither often nor while the issuer does not answer.
 */
export class RemoteKeySet {
  /** For jose; rejects with IssuerUnavailableError when the keys are needed and cannot be had. */
  readonly keys: RemoteJWKSet;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #onChange: () => void;
  #fetchedAt = -Infinity;
  #failedAt = -Infinity;
  #failing = false;
  #content: string | undefined;

  /** @param onChange told when the issuer has other keys than before */
  constructor(url: URL, clock: Clock, log: Logger, onChange: () => void) {
    this.#clock = clock;
    this.#log = log;
    this.#onChange = onChange;
    this.keys = createRemoteJWKSet(url, {
      timeoutDuration: TIMEOUT,
      cooldownDuration: COOLDOWN,
      cacheMaxAge: KEY_SET_MAX_AGE,
      [customFetch]: async (...request) => await this.#fetch(...request),
    });
  }

  /** The time until which the keys are used without being fetched anew. */
  get freshUntil(): number {
    return this.#fetchedAt + KEY_SET_MAX_AGE;
  }

  async #fetch(...[url, options]: Parameters<FetchImplementation>): Promise<Response> {
    if (this.#clock.monotonic() - this.#failedAt < PAUSE)
      throw new IssuerUnavailableError('it did not answer just now');
    const asked = this.#clock.now();
    try {
      const content = await fetched(url, options);
      this.#fetchedAt = asked;
      if (this.#failing) this.#log.info(`${url} answers again`);
      this.#failing = false;
      if (this.#content !== undefined && content !== this.#content) this.#onChange();
      this.#content = content;
      return new Response(content);
    } catch (error) {
      this.#failedAt = this.#clock.monotonic();
      const { cause = error } = error as Error;
      if (!this.#failing) this.#log.error(`the keys at ${url} cannot be fetched: ${codeOf(cause)}`);
      this.#failing = true;
      throw new IssuerUnavailableError('its keys cannot be fetched', { cause: error });
    }
  }
}

/** The text of a JSON Web Key Set. */
async function fetched(...[url, options]: Parameters<FetchImplementation>): Promise<string> {
  const response = await fetch(url, options);
  if (response.status !== 200 || response.body === null) throw new Error(`its status is ${response.status}`);
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body) {
    length += chunk.length;
    if (length > LONGEST) throw new Error('it is too long');
    chunks.push(chunk);
  }
  const content = Buffer.concat(chunks).toString();
  if (!Array.isArray((JSON.parse(content) as { keys?: unknown } | null)?.keys)) throw new Error('it is no key set');
  return content;
}
