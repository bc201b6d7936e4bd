import { once } from 'node:events';
import { type ClientHttp2Stream, connect, createServer, type Http2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { startService } from '../support/running-service.ts';
import { PendingStreams, replaceStreamTables, StreamsById, tablesOf } from '../../src/wires/http2-stream-tables.ts';

it('The tables of streams are replaced by the service', async () => {
  const seen: Http2Session[] = [];
  const see = (message: unknown): void => void seen.push((message as { stream: ServerHttp2Stream }).stream.session!);
  subscribe('http2.server.stream.created', see);
  try {
    await using running = await startService();
    await running.clients.gRPC.keys.listKeys({});
    expect(tablesOf(seen.at(-1)!)?.streams).toBeInstanceOf(StreamsById);
  } finally {
    unsubscribe('http2.server.stream.created', see);
  }
});

/** A server of node:http2 that answers `/` and leaves `/open` open, with a client's session. */
async function startPair() {
  replaceStreamTables();
  const server = createServer();
  const sessions: Http2Session[] = [];
  const open: ServerHttp2Stream[] = [];
  server.on('session', (session) => sessions.push(session));
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    if (headers[':path'] === '/open') open.push(stream);
    else {
      stream.respond({ ':status': 200 });
      stream.end('answer');
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  client.on('error', () => {});
  return {
    client,
    open,
    session: (): Http2Session => sessions[0]!,
    async get(): Promise<string> {
      const stream = client.request({ ':path': '/' });
      return Buffer.concat(await stream.toArray()).toString();
    },
    async hold(): Promise<ClientHttp2Stream> {
      const stream = client.request({ ':path': '/open' });
      stream.on('error', () => {});
      const before = open.length;
      while (open.length === before) await new Promise((resolve) => setImmediate(resolve));
      return stream;
    },
    async [Symbol.asyncDispose]() {
      client.destroy();
      for (const session of sessions) session.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

describe('the tables of streams', () => {
  it('are replaced in this version of Node', async () => {
    await using pair = await startPair();
    expect(await pair.get()).toBe('answer');
    const tables = tablesOf(pair.session());
    expect(tables?.streams).toBeInstanceOf(StreamsById);
    expect(tables?.pendingStreams).toBeInstanceOf(PendingStreams);
  });

  it('hold the open streams and let go of the ended ones', async () => {
    await using pair = await startPair();
    const held = [await pair.hold(), await pair.hold(), await pair.hold()];
    for (let call = 0; call < 50; call++) await pair.get();
    const { streams, pendingStreams } = tablesOf(pair.session())!;
    expect(streams.size).toBe(3);
    for (const stream of pair.open) expect(streams.get(stream.id!)).toBe(stream);
    held[1]!.close();
    await once(pair.open[1]!, 'close');
    expect(pair.open.map(({ id }) => streams.has(id!))).toEqual([true, false, true]);
    expect(pendingStreams.size).toBe(0);
  });

  it('let a session that is destroyed end all its streams', async () => {
    await using pair = await startPair();
    for (let call = 0; call < 5; call++) await pair.hold();
    const ends = pair.open.map((stream) => once(stream, 'close'));
    pair.session().destroy();
    await Promise.all(ends);
    expect(pair.open.every(({ destroyed }) => destroyed)).toBe(true);
    expect(tablesOf(pair.session())!.streams.size).toBe(0);
  });

  it('let a session that is closed wait for its streams', async () => {
    await using pair = await startPair();
    const held = await pair.hold();
    let closed = false;
    pair.session().close(() => (closed = true));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(closed).toBe(false);
    held.close();
    await once(pair.session(), 'close');
  });

  it('are left alone where a session looks otherwise', () => {
    expect(tablesOf({} as Http2Session)).toBeUndefined();
  });
});

// Only what the tables do with them matters: that they are told apart.
const stream = () => ({}) as ServerHttp2Stream;

describe('StreamsById', () => {
  it('does what a Map does', () => {
    const [one, two, three, other] = [stream(), stream(), stream(), stream()];
    const streams = new StreamsById().set(1, one).set(3, two).set(5, three).set(3, other);
    expect(streams.size).toBe(3);
    expect([1, 3, 5, 7].map((id) => streams.get(id))).toEqual([one, other, three, undefined]);
    expect(streams.get(3)).toBe(other);
    expect([streams.delete(1), streams.delete(1), streams.delete(7)]).toEqual([true, false, false]);
    expect([streams.has(1), streams.has(3), streams.has(5), streams.size]).toEqual([false, true, true, 2]);
    const seen: number[] = [];
    streams.forEach((_, id) => {
      seen.push(id);
      streams.delete(id);
    });
    expect(new Set(seen)).toEqual(new Set([3, 5]));
    expect(streams.size).toBe(0);
  });
});

describe('PendingStreams', () => {
  it('does what a Set does', () => {
    const [one, two, three] = [stream(), stream(), stream()];
    const streams = new PendingStreams().add(one).add(two).add(three).add(two);
    expect(streams.size).toBe(3);
    expect([streams.delete(two), streams.delete(two)]).toEqual([true, false]);
    expect([streams.has(one), streams.has(two), streams.has(three)]).toEqual([true, false, true]);
    let seen = 0;
    streams.forEach((each) => {
      seen++;
      streams.delete(each);
    });
    expect([seen, streams.size]).toEqual([2, 0]);
  });
});
