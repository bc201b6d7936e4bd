import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Http2Session, Http2Stream } from 'node:http2';

/**
 * Replaces the tables in which node:http2 keeps the streams of a session, in every session of this process that a
 * client opens from now on. Calling it again changes nothing.
 *
 * node:http2 has a Map and a Set for each session. Every call adds to both and deletes again, so that V8 makes them a
 * new table every few calls, and has the old one point to its successor. Once such a table has grown old, it keeps its
 * successor alive, although it is dead itself, through every collection of the young generation; that one keeps the
 * next, and all of them the streams that were open at their time. Copying those costs a quarter of the throughput.
 * Arrays that are changed in place leave nothing behind.
 *
 * They are not part of Node's interface. A session is left as it is where it does not look as expected, and in a version
 * of Node whose use of them has not been looked at: {@link KNOWN}.
 */
export function replaceStreamTables(): void {
  if (!KNOWN.test(process.versions.node)) return;
  unsubscribe(STREAM_CREATED, replaceTablesOf);
  subscribe(STREAM_CREATED, replaceTablesOf);
}

/** The versions of Node in which the tables are used as here: `get`, `set`, `add`, `delete`, `has`, `size`, `forEach`. */
const KNOWN = /^24\./;

/** Node's channel for every stream that a client has opened; the one public way to every session. */
const STREAM_CREATED = 'http2.server.stream.created';

interface Tables {
  streams: StreamsById | Map<number, Http2Stream>;
  pendingStreams: PendingStreams | Set<Http2Stream>;
}

/** Node's own key of the tables in a session, once one has been seen. */
let stateKey: symbol | undefined;

function replaceTablesOf(message: unknown): void {
  const { stream } = message as { stream: Http2Stream }; // As Node documents the channel.
  const tables = stream.session && tablesOf(stream.session);
  if (tables === undefined || tables.streams instanceof StreamsById) return;
  // The stream has its ID by now. Were others without one, a later stream would find the time.
  if (tables.pendingStreams.size > 0) return;
  const { streams } = tables;
  tables.streams = new StreamsById();
  streams.forEach((open, id) => tables.streams.set(id, open));
  tables.pendingStreams = new PendingStreams();
}

/** @returns undefined if the session does not keep its streams as known here */
export function tablesOf(session: Http2Session): Tables | undefined {
  stateKey ??= Object.getOwnPropertySymbols(session).find(({ description }) => description === 'state');
  const state: unknown = stateKey && Reflect.get(session, stateKey);
  return isTables(state) ? state : undefined;
}

function isTables(state: unknown): state is Tables {
  if (typeof state !== 'object' || state === null || !('streams' in state && 'pendingStreams' in state)) return false;
  const { streams, pendingStreams } = state;
  return (
    (streams instanceof StreamsById && pendingStreams instanceof PendingStreams) ||
    (tagOf(streams) === 'Map' && tagOf(pendingStreams) === 'Set')
  );
}

/** Tells what a thing is; Node's own collections are not instances of `Map` and `Set`, but subclasses without a past. */
function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice('[object '.length, -1);
}

/**
 * What node:http2 does with the Map of a session's open streams. They are looked for one by one, which takes no longer
 * than a table as long as there are no more than the 1,000 that the listeners allow.
 */
export class StreamsById {
  readonly #ids: number[] = [];
  readonly #streams: Http2Stream[] = [];

  get size(): number {
    return this.#ids.length;
  }

  get(id: number): Http2Stream | undefined {
    const index = this.#ids.indexOf(id);
    return index === -1 ? undefined : this.#streams[index];
  }

  has(id: number): boolean {
    return this.#ids.includes(id);
  }

  set(id: number, stream: Http2Stream): this {
    const index = this.#ids.indexOf(id);
    if (index === -1) {
      this.#ids.push(id);
      this.#streams.push(stream);
    } else this.#streams[index] = stream;
    return this;
  }

  delete(id: number): boolean {
    const index = this.#ids.indexOf(id);
    if (index === -1) return false;
    removeAt(this.#ids, index);
    removeAt(this.#streams, index);
    return true;
  }

  /** Streams may be deleted meanwhile. */
  forEach(callback: (stream: Http2Stream, id: number) => void): void {
    const ids = this.#ids.slice();
    this.#streams.slice().forEach((stream, index) => callback(stream, ids[index]!));
  }
}

/** What node:http2 does with the Set of a session's streams without an ID; a server has one for a moment. */
export class PendingStreams {
  readonly #streams: Http2Stream[] = [];

  get size(): number {
    return this.#streams.length;
  }

  has(stream: Http2Stream): boolean {
    return this.#streams.includes(stream);
  }

  add(stream: Http2Stream): this {
    if (!this.has(stream)) this.#streams.push(stream);
    return this;
  }

  delete(stream: Http2Stream): boolean {
    const index = this.#streams.indexOf(stream);
    if (index === -1) return false;
    removeAt(this.#streams, index);
    return true;
  }

  /** Streams may be deleted meanwhile. */
  forEach(callback: (stream: Http2Stream) => void): void {
    this.#streams.slice().forEach((stream) => callback(stream));
  }
}

/** Takes an element out of an array whose order does not matter. */
function removeAt(array: unknown[], index: number): void {
  const last = array.pop();
  if (last !== undefined && index < array.length) array[index] = last;
}
