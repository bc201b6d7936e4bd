import { describe, expect, it } from 'vitest';
import type { RequestRate } from '../../src/calls/request-rates.ts';
import { Throttle } from '../../src/calls/throttle.ts';
import { KmsError } from '../../src/errors.ts';
import { FakeClock } from '../support/running-service.ts';

function throttled(...rates: RequestRate[]) {
  const clock = new FakeClock();
  const throttle = new Throttle(rates, clock);
  /** What a call ends in: `OK`, or after how many milliseconds it is to be made again. */
  const call = (operation: string): number | 'OK' => {
    try {
      throttle.admit(operation);
      return 'OK';
    } catch (error) {
      if (!(error instanceof KmsError) || error.retryDelay === undefined) throw error;
      return error.retryDelay;
    }
  };
  /** How many calls in a row are admitted. */
  const admitted = (operation: string, most = 1_000_000): number => {
    for (let count = 0; count < most; count++) if (call(operation) !== 'OK') return count;
    return most;
  };
  return { clock, throttle, call, admitted };
}

const rate = (perSecond: number, ...operations: string[]): RequestRate => ({ operations, perSecond });

describe('a throttle', () => {
  it('refuses with the text of AWS', () => {
    const { throttle } = throttled(rate(1, 'CreateKey'));
    throttle.admit('CreateKey');
    expect(() => throttle.admit('CreateKey')).toThrow(
      new KmsError(
        'ThrottlingException',
        'You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.',
      ).retryAfter(1_000),
    );
  });

  it.each([1, 5, 100, 5_500])('lets a second of calls through at once, and then as many a second (%i)', (perSecond) => {
    const { clock, admitted } = throttled(rate(perSecond, 'CreateKey'));
    expect(admitted('CreateKey')).toBe(perSecond);
    for (let second = 0; second < 50; second++) {
      clock.advance(1_000);
      expect(admitted('CreateKey')).toBe(perSecond);
    }
  });

  it('saves up no more than one second of calls', () => {
    const { clock, admitted } = throttled(rate(5, 'CreateKey'));
    clock.advance(3_600_000);
    expect(admitted('CreateKey')).toBe(5);
    clock.advance(3_600_000);
    expect(admitted('CreateKey')).toBe(5);
    clock.advance(400);
    expect(admitted('CreateKey')).toBe(2);
  });

  it('lets one call through in several seconds where the rate is less than one', () => {
    const { clock, call } = throttled(rate(0.25, 'GetParametersForImport'));
    const answers: (number | string)[] = [];
    for (let second = 0; second <= 8; second++) {
      answers.push(call('GetParametersForImport'));
      clock.advance(1_000);
    }
    expect(answers).toEqual(['OK', 3_000, 2_000, 1_000, 'OK', 3_000, 2_000, 1_000, 'OK']);
  });

  it.each([0.3, 1, 3, 7, 77, 999, 5_500, 100_000])('tells the moment at which a call succeeds (%d)', (perSecond) => {
    const { clock, call, admitted } = throttled(rate(perSecond, 'CreateKey'));
    clock.advance(123_456.789);
    admitted('CreateKey');
    for (let n = 0; n < 200; n++) {
      const delay = call('CreateKey');
      if (delay === 'OK') throw new Error('there was a token left');
      expect(delay).toBeGreaterThanOrEqual(1);
      expect(Number.isInteger(delay)).toBe(true);
      clock.advance(delay - 1);
      // Not much sooner: in the last millisecond at most.
      expect(call('CreateKey')).toBe(1);
      clock.advance(1);
      expect(call('CreateKey')).toBe('OK');
      admitted('CreateKey');
    }
  });

  it('takes nothing for a call that it refuses', () => {
    const { clock, call, admitted } = throttled(rate(2, 'CreateKey'));
    admitted('CreateKey');
    for (let n = 0; n < 1_000; n++) expect(call('CreateKey')).toBe(500);
    clock.advance(500);
    expect(admitted('CreateKey')).toBe(1);
  });

  it('counts operations that share a rate together, and every other one alone', () => {
    const { clock, call, admitted } = throttled(rate(4, 'GenerateMac', 'VerifyMac'), rate(2, 'CreateKey'));
    expect(admitted('GenerateMac', 3)).toBe(3);
    expect(admitted('VerifyMac')).toBe(1);
    expect(call('GenerateMac')).toBe(250);
    expect(admitted('CreateKey')).toBe(2);
    clock.advance(250);
    expect(call('VerifyMac')).toBe('OK');
    expect(call('GenerateMac')).toBe(250);
  });

  it('lets operations without a rate come as they like', () => {
    const { admitted } = throttled(rate(1, 'CreateKey'));
    expect(admitted('ListKeys', 10_000)).toBe(10_000);
  });

  it('goes by the clock that nobody sets', () => {
    const { clock, call } = throttled(rate(1, 'CreateKey'));
    call('CreateKey');
    clock.set(clock.now() + 3_600_000);
    expect(call('CreateKey')).toBe(1_000);
    clock.set(0);
    clock.advance(1_000);
    expect(call('CreateKey')).toBe('OK');
  });
});
