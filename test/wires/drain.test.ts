import { once } from 'node:events';
import { connect } from 'node:net';
import { Client, credentials } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { MacAlgorithm } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { openSqliteRecordStore } from '../../src/records/sqlite-record-store.ts';
import { makeKey } from '../macs/specs.ts';
import { alteredStore } from '../support/altered-store.ts';
import { clientsOf, failureOf, WIRES, type WireName } from '../support/clients.ts';
import { type RunningService, startService } from '../support/running-service.ts';

/** A store whose reads wait, once it is told to hold them, until they are released. */
function storeThatHolds() {
  const inner = openSqliteRecordStore(':memory:');
  let gate: Promise<void> | undefined;
  let reached = Promise.withResolvers<void>();
  const store = alteredStore(inner, {
    getMany: async (paths) => {
      if (gate !== undefined) {
        reached.resolve();
        await gate;
      }
      return await inner.getMany(paths);
    },
  });
  return {
    store,
    /** Holds reads from now on; `reached` is when the first one came. */
    hold: () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      gate = promise;
      reached = Promise.withResolvers<void>();
      return {
        reached: reached.promise,
        release: () => {
          gate = undefined;
          resolve();
        },
      };
    },
  };
}

const listenerOf = ({ service, grpcPort, httpPort }: RunningService, wire: WireName) =>
  wire === 'gRPC' ? { listener: service.grpc, port: grpcPort } : { listener: service.http, port: httpPort };

/** The code of the system's error when nobody takes connections at a port; undefined when somebody does. */
async function refusalAt(port: number): Promise<string | undefined> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  } finally {
    socket.destroy();
  }
}

async function settlesWithin(milliseconds: number, promise: Promise<unknown>): Promise<boolean> {
  const late = new Promise<boolean>((resolve) => setTimeout(resolve, milliseconds, false));
  return await Promise.race([promise.then(() => true), late]);
}

const sound = { message: Buffer.from('m'), macAlgorithm: MacAlgorithm.HMAC_SHA_256 };

const asIs = (bytes: Buffer) => bytes;

describe.each(WIRES)('a listener with a call over %s', (wire) => {
  it('answers the call under way when it is drained, takes no connection, and ends then', async () => {
    const { store, hold } = storeThatHolds();
    await using running = await startService({}, { store });
    const { listener, port } = listenerOf(running, wire);
    const keyId = await makeKey(running.clients[wire]);
    expect(await refusalAt(port)).toBeUndefined();

    const { reached, release } = hold();
    const answer = running.clients[wire].mac.generateMac({ ...sound, keyId });
    await reached;
    const drained = listener.drain();
    await expect.poll(() => refusalAt(port)).toBe('ECONNREFUSED');
    using late = clientsOf(running.grpcPort, running.httpPort);
    const refused = await failureOf(late[wire].mac.generateMac({ ...sound, keyId }, { timeoutMs: 5_000 }));
    expect(refused.code).toBe('Unavailable');
    expect(await settlesWithin(100, drained)).toBe(false);

    release();
    expect((await answer).mac).toHaveLength(32);
    // Well before a connection that is kept for the next call would be given up.
    expect(await settlesWithin(2_000, drained)).toBe(true);
  });

  it('breaks off the call under way when it is closed', async () => {
    const { store, hold } = storeThatHolds();
    await using running = await startService({}, { store });
    const { listener } = listenerOf(running, wire);
    const keyId = await makeKey(running.clients[wire]);
    const { reached, release } = hold();
    try {
      const call = failureOf(running.clients[wire].mac.generateMac({ ...sound, keyId }));
      await reached;
      const drained = listener.drain();
      listener.close();
      expect(await settlesWithin(3_000, drained)).toBe(true);
      expect(await settlesWithin(3_000, call)).toBe(true);
    } finally {
      release();
    }
  });

  it('ends at once when it is drained while its connections are idle', async () => {
    await using running = await startService();
    const { listener } = listenerOf(running, wire);
    await running.clients[wire].keys.listKeys({});
    expect(await settlesWithin(2_000, listener.drain())).toBe(true);
  });
});

describe('the gRPC listener', () => {
  it('ends when it is closed, though somebody watches its health for ever', async () => {
    await using running = await startService();
    const client = new Client(`127.0.0.1:${running.grpcPort}`, credentials.createInsecure());
    const watch = client.makeServerStreamRequest('/grpc.health.v1.Health/Watch', asIs, asIs, Buffer.alloc(0));
    watch.on('error', () => {}); // That it was broken off.
    await once(watch, 'data');
    const drained = running.service.grpc.drain();
    running.service.grpc.close();
    const ended = await settlesWithin(2_000, drained);
    watch.cancel();
    client.close();
    expect(ended).toBe(true);
  });
});

describe('the other listeners', () => {
  it('go on when one is drained', async () => {
    await using running = await startService();
    await running.service.grpc.drain();
    expect((await running.clients['Connect JSON'].keys.listKeys({})).keys).toEqual([]);
    expect((await fetch(`http://127.0.0.1:${running.adminPort}/livez`)).status).toBe(200);
  });
});
