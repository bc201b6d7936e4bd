import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { ListKeysResponseSchema } from '../../src/gen/hmacd/v1/key_pb.ts';
import { GenerateMacResponseSchema, MacAlgorithm, VerifyMacResponseSchema } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { encoderOf } from '../../src/wires/message-encoder.ts';

function bothWays<D extends DescMessage>(desc: D, init: MessageInitShape<D>): [string, string] {
  const message = create(desc, init);
  return [encoderOf(desc)(message), toBinary(desc, message)].map((bytes) => Buffer.from(bytes).toString('hex')) as [
    string,
    string,
  ];
}

describe('the encoder of a message', () => {
  it.each([
    ['every field', { mac: new Uint8Array(64).fill(255), macAlgorithm: MacAlgorithm.HMAC_SHA_512, keyId: 'arn:é' }],
    ['no field', {}],
    ['one field', { keyId: 'k' }],
    ['an enum value that the contract does not have', { macAlgorithm: 300 as MacAlgorithm }],
    ['a long text', { keyId: 'k'.repeat(100_000) }],
  ])('writes what toBinary writes, with %s', (_, init) => {
    const [own, library] = bothWays(GenerateMacResponseSchema, init);
    expect(own).toBe(library);
  });

  it('writes booleans, and messages with fields that it leaves to the library', () => {
    for (const macValid of [true, false]) {
      const [own, library] = bothWays(VerifyMacResponseSchema, { keyId: 'k', macValid, macAlgorithm: 2 });
      expect(own).toBe(library);
    }
    const [own, library] = bothWays(ListKeysResponseSchema, { keys: [{ keyId: 'k', keyArn: 'a' }], truncated: true });
    expect(own).toBe(library);
  });

  it('leaves nothing of a message that cannot be written to the next', () => {
    const encode = encoderOf(GenerateMacResponseSchema);
    const broken = create(GenerateMacResponseSchema, { mac: Buffer.from('mac'), keyId: 'k' });
    Object.defineProperty(broken, 'keyId', {
      get() {
        throw new Error('no text');
      },
    });
    expect(() => encode(broken)).toThrow('no text');
    const next = create(GenerateMacResponseSchema, { keyId: 'next' });
    expect(encode(next)).toEqual(toBinary(GenerateMacResponseSchema, next));
  });

  it('gives bytes of its own to each message', () => {
    const encode = encoderOf(GenerateMacResponseSchema);
    const first = encode(create(GenerateMacResponseSchema, { keyId: 'first' }));
    const copy = Uint8Array.from(first);
    encode(create(GenerateMacResponseSchema, { keyId: 'other' }));
    expect(first).toEqual(copy);
  });
});
