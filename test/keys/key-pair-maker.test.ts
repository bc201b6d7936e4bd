import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { WrappingKeySpec } from '../../src/gen/hmacd/v1/import_pb.ts';
import { KeyPairMaker } from '../../src/keys/key-pair-maker.ts';
import { WRAPPING_KEYS } from '../../src/keys/wrapping.ts';

const RSA_2048 = WRAPPING_KEYS.find((known) => known.wrappingKeySpec === WrappingKeySpec.RSA_2048)!;
const pair = { publicKey: Buffer.from('public'), privateKey: Buffer.from('private') };

it('Key pairs are made one at a time, and those for whom there is no room to wait are told to come again', async () => {
  let atOnce = 0;
  const seen: number[] = [];
  const maker = new KeyPairMaker(async () => {
    seen.push(++atOnce);
    await setImmediate();
    atOnce--;
    return pair;
  });
  const calls = await Promise.allSettled(Array.from({ length: 20 }, () => maker.make(RSA_2048)));
  for (const call of calls.slice(0, 17)) expect(call).toEqual({ status: 'fulfilled', value: pair });
  const reason = { exception: 'ThrottlingException', retryDelay: 1_000 };
  for (const call of calls.slice(17)) expect(call).toMatchObject({ status: 'rejected', reason });
  expect(seen).toEqual(Array(17).fill(1));
  expect(await maker.make(RSA_2048)).toBe(pair);
});

it('A key pair that cannot be made keeps no room', async () => {
  let works = false;
  const maker = new KeyPairMaker(async () => {
    if (!works) throw new Error('the test says so');
    return pair;
  });
  for (let n = 0; n < 20; n++) await expect(maker.make(RSA_2048)).rejects.toThrow('the test says so');
  works = true;
  expect(await maker.make(RSA_2048)).toBe(pair);
});
