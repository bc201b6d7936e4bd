import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, inject, it } from 'vitest';
import { redisDeployment, startReplica } from '../support/deployment.ts';
import { connectTo, generateMacs, verifyMacs } from '../support/mac-connections.ts';
import { type Answer, ask, type MacCall, MacLoad } from '../support/mac-load.ts';
import { createNamedKey } from './revocation.ts';

const TTL = 300;

/** Sends calls one after the other without waiting for their answers, until it is stopped. */
function send(calls: readonly MacCall[], pause: number): { stop(): Promise<Answer[]> } {
  const sent: Promise<Answer>[] = [];
  const stopped = new AbortController();
  const sending = (async () => {
    while (!stopped.signal.aborted) {
      for (const call of calls) sent.push(ask(call));
      await delay(pause);
    }
  })();
  return {
    async stop() {
      stopped.abort();
      await sending;
      return await Promise.all(sent);
    },
  };
}

async function startTwoWithKey() {
  const { settings } = redisDeployment({ KEY_CACHE_TTL: `${TTL}ms` });
  const running = await startReplica(settings);
  const paused = await startReplica(settings);
  const key = await createNamedKey(running.clients.gRPC, 'alias/used');
  const connections = connectTo('paused', paused, 4);
  const names = [key.keyId, key.alias];
  const calls = [...generateMacs(connections, ...names), ...verifyMacs(connections, key.mac, ...names)];
  const { keys } = running.clients.gRPC;
  return {
    paused,
    arn: key.arn,
    calls,
    disable: () => keys.disableKey({ keyId: key.keyId }),
    enable: () => keys.enableKey({ keyId: key.keyId }),
  };
}

async function untilAnswered(calls: readonly MacCall[], arn: string): Promise<void> {
  await using load = new MacLoad(calls);
  await load.until(({ keyArn }) => keyArn === arn);
}

describe.skipIf(inject('redis') === undefined)('a process that is stopped', { timeout: 60_000 }, () => {
  // The last is longer than the store may take to answer a command.
  const pauses = [0, 0, TTL, 2_500];

  it('answers no call that was sent after DisableKey was answered elsewhere, and then goes on', async () => {
    const { paused, arn, calls, disable, enable } = await startTwoWithKey();
    for (const pause of pauses) {
      await untilAnswered(calls, arn);
      const sending = send(calls, 5);
      await delay(50 + Math.random() * TTL);
      paused.kill('SIGSTOP');
      await disable();
      const disabled = performance.now();
      await delay(pause + 30);
      const continued = performance.now();
      paused.kill('SIGCONT');
      await delay(TTL);
      const answers = await sending.stop();

      expect(answers.filter(({ keyArn, sent }) => keyArn === arn && sent < disabled).length).toBeGreaterThan(20);
      const after = answers.filter(({ sent }) => sent > disabled);
      expect(after.filter(({ sent }) => sent < continued).length).toBeGreaterThan(20);
      expect(after.filter(({ keyArn }) => keyArn !== undefined)).toEqual([]);
      expect(new Set(after.map(({ exception }) => exception))).toContain('DisabledException');
      await enable();
    }
    await untilAnswered(calls, arn);
  });

  it('answers what waited for it when nothing was taken away', async () => {
    const { paused, arn, calls } = await startTwoWithKey();
    await untilAnswered(calls, arn);
    const sending = send(calls, 20);
    await delay(50);
    paused.kill('SIGSTOP');
    const stopped = performance.now();
    await delay(2 * TTL);
    paused.kill('SIGCONT');
    await delay(50);
    const waited = (await sending.stop()).filter(({ answered }) => answered > stopped + 2 * TTL);
    expect(waited.length).toBeGreaterThan(50);
    // On a busy machine the lease may lapse again before all are answered.
    expect(new Set(waited.map(({ exception }) => exception ?? 'OK'))).toContain('OK');
    const others = waited.filter(({ exception }) => exception !== undefined);
    expect(others.filter(({ exception }) => exception !== 'KeyUnavailableException')).toEqual([]);
    expect(others.length).toBeLessThan(waited.length / 2);
  });
});
