import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { failureOf, WIRES, type WireName } from '../support/clients.ts';
import { type RunningService, startService } from '../support/running-service.ts';
import { makeKey, type Spec, SPECS } from './specs.ts';

let running: RunningService;

beforeAll(async () => {
  running = await startService();
});

afterAll(() => running[Symbol.asyncDispose]());

/** A key with the MAC of a message, and the failure of every other MAC of that message. */
async function taggedMessage(wire: WireName, { keySpec, macAlgorithm }: Spec) {
  const clients = running.clients[wire];
  const keyArn = await makeKey(clients, keySpec);
  const message = randomBytes(100);
  const { mac } = await clients.mac.generateMac({ keyId: keyArn, message, macAlgorithm });
  return {
    mac: Buffer.from(mac),
    verify: (candidate: Uint8Array) => clients.mac.verifyMac({ keyId: keyArn, message, macAlgorithm, mac: candidate }),
    refused: {
      code: 'InvalidArgument',
      message: '',
      reason: 'KMS_INVALID_MAC',
      exception: 'KMSInvalidMacException',
      keyArn,
      violations: [],
    },
  };
}

function withBitFlipped(mac: Buffer, bit: number): Buffer {
  const flipped = Buffer.from(mac);
  flipped[bit >> 3]! ^= 1 << (bit & 7);
  return flipped;
}

/** The MAC cut or filled up to a length: what a comparison of the shorter length would take for the MAC. */
function withLength(mac: Buffer, length: number): Buffer {
  const filled = Buffer.alloc(length);
  mac.copy(filled);
  return filled;
}

describe.each(SPECS)('VerifyMac with $algorithmName over gRPC', (spec) => {
  it('refuses a MAC with any one bit flipped', async () => {
    const { mac, verify, refused } = await taggedMessage('gRPC', spec);
    for (let bit = 0; bit < spec.length * 8; bit++) {
      const failure = await failureOf(verify(withBitFlipped(mac, bit)));
      expect(failure, `bit ${bit}`).toEqual(refused);
    }
    expect((await verify(mac)).macValid).toBe(true);
  });

  it('refuses a MAC of any other length, also when it begins like the right one', async () => {
    const { mac, verify, refused } = await taggedMessage('gRPC', spec);
    const lengths = [...Array.from({ length: 80 }, (_, index) => index + 1), 6_144];
    for (const length of lengths.filter((other) => other !== spec.length)) {
      const failure = await failureOf(verify(withLength(mac, length)));
      expect(failure, `${length} bytes`).toEqual(refused);
    }
    expect((await verify(mac)).macValid).toBe(true);
  });
});

describe.each(WIRES)('VerifyMac over %s', (wire) => {
  it.each(SPECS)('refuses wrong MACs with $algorithmName', async (spec) => {
    const { mac, verify, refused } = await taggedMessage(wire, spec);
    const wrong = [
      withBitFlipped(mac, 0),
      withBitFlipped(mac, spec.length * 8 - 1),
      withLength(mac, 1),
      withLength(mac, spec.length - 1),
      withLength(mac, spec.length + 1),
      Buffer.concat([mac, mac]),
      Buffer.alloc(spec.length),
      randomBytes(spec.length),
    ];
    for (const candidate of wrong) {
      expect(await failureOf(verify(candidate)), `MAC ${candidate.toString('hex')}`).toEqual(refused);
    }
    expect((await verify(mac)).macValid).toBe(true);
  });

  it('refuses the MAC of another message, of another key, and of a longer or shorter message', async () => {
    const clients = running.clients[wire];
    const { mac: client } = clients;
    const [keyId, otherKeyId] = [await makeKey(clients), await makeKey(clients)] as const;
    const { macAlgorithm } = SPECS[1];
    const message = randomBytes(64);
    const { mac } = await client.generateMac({ keyId, message, macAlgorithm });
    const attempts = [
      { keyId, message: withBitFlipped(message, 0) },
      { keyId, message: message.subarray(0, 63) },
      { keyId, message: Buffer.concat([message, Buffer.alloc(1)]) },
      { keyId: otherKeyId, message },
    ];
    for (const attempt of attempts) {
      const failure = await failureOf(client.verifyMac({ ...attempt, macAlgorithm, mac }));
      expect(failure).toMatchObject({ exception: 'KMSInvalidMacException', keyArn: attempt.keyId });
    }
  });
});
