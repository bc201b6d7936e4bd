import { describe, expect, it } from 'vitest';
import { awsRequestRates, readRequestRates, requestRatesIn } from '../../src/calls/request-rates.ts';
import { AliasService } from '../../src/gen/hmacd/v1/alias_pb.ts';
import { GrantService } from '../../src/gen/hmacd/v1/grant_pb.ts';
import { ImportService } from '../../src/gen/hmacd/v1/import_pb.ts';
import { KeyService } from '../../src/gen/hmacd/v1/key_pb.ts';
import { MacService } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { RotationService } from '../../src/gen/hmacd/v1/rotation_pb.ts';

/** Each as `A+B=rate`. */
function ratesOf(text: string, region = 'us-east-1'): string[] {
  const rates = requestRatesIn(region, readRequestRates(text));
  return rates.map(({ operations, perSecond }) => `${operations.join('+')}=${perSecond}`);
}

const notRate = (text: string) =>
  `"${text}" is not a number of calls a second, at least 0.0000116 (one a day) and at most 1000000`;
const notItem = (text: string) =>
  `"${text}" is not off, aws, or a rate such as CreateKey=5 or GenerateMac+VerifyMac=5500`;

describe('request rates', () => {
  it.each([
    ['off', []],
    ['CreateKey=5', ['CreateKey=5']],
    ['CreateKey=0.25, ListKeys = 1000000', ['CreateKey=0.25', 'ListKeys=1000000']],
    ['CreateKey=0.0000116', ['CreateKey=0.0000116']],
    ['GenerateMac+VerifyMac=5500,CreateKey=5', ['GenerateMac+VerifyMac=5500', 'CreateKey=5']],
    ['Encrypt=1', ['Encrypt=1']],
  ])('are read from %j', (text, rates) => expect(ratesOf(text)).toEqual(rates));

  it("are AWS's for every operation but those that are named", () => {
    const aws = awsRequestRates('us-east-1').map(({ operations, perSecond }) => `${operations.join('+')}=${perSecond}`);
    expect(ratesOf('aws')).toEqual(aws);
    expect(aws[0]).toBe('GenerateMac+VerifyMac=100000');
    const own = ratesOf('aws,GenerateMac=1,CreateKey+CreateAlias=2');
    expect(own.slice(0, 3)).toEqual(['GenerateMac=1', 'CreateKey+CreateAlias=2', 'VerifyMac=100000']);
    expect(own.slice(3)).toEqual(aws.slice(1).filter((rate) => !/^Create(Key|Alias)=/.test(rate)));
    expect(ratesOf('GenerateMac+VerifyMac=3,aws')).toEqual(['GenerateMac+VerifyMac=3', ...aws.slice(1)]);
  });

  it.each([
    ['us-east-1', 100_000],
    ['eu-central-1', 20_000],
    ['eu-north-1', 10_000],
    ['toString', 10_000],
  ])('of AWS have cryptographic operations share that of the Region (%s)', (region, perSecond) => {
    expect(awsRequestRates(region)[0]).toEqual({ operations: ['GenerateMac', 'VerifyMac'], perSecond });
  });

  it('of AWS are there for every operation that HMAC keys have a use for', () => {
    const named = awsRequestRates('us-east-1').flatMap(({ operations }) => operations);
    const served = [MacService, KeyService, RotationService, ImportService, AliasService, GrantService].flatMap(
      ({ methods }) => methods.map(({ name }) => name),
    );
    expect(served.filter((name) => !named.includes(name))).toEqual([]);
    expect(new Set(named).size).toBe(named.length);
    // Every name is one that a setting may have.
    for (const name of named) expect(ratesOf(`${name}=1`)).toEqual([`${name}=1`]);
  });

  it.each<readonly [string, string]>([
    ['', notItem('')],
    ['on', notItem('on')],
    ['AWS', notItem('AWS')],
    ['aws,off', notItem('off')],
    ['CreateKey', notItem('CreateKey')],
    ['=5', notItem('=5')],
    ['CreateKey=5,', notItem('')],
    ...[
      '',
      '0',
      '0.0',
      '0.0000115',
      '0.00000000000001',
      '-1',
      '+1',
      '1e3',
      '5/s',
      '.5',
      'NaN',
      'Infinity',
      '1000000.1',
      '1=2',
    ].map((rate) => [`CreateKey=${rate}`, notRate(rate)] as const),
    ['createKey=5', '"createKey" is not an operation'],
    ['GenerateMac+=5', '"" is not an operation'],
    ['aws,aws', 'aws stands there twice'],
    ['CreateKey=5,CreateKey=6', 'CreateKey stands there twice'],
    ['CreateKey+CreateKey=5', 'CreateKey stands there twice'],
    ['GenerateMac+VerifyMac=5,VerifyMac=1', 'VerifyMac stands there twice'],
    ['CreateKeys=5,ListKeys=0,x', `"CreateKeys" is not an operation; ${notRate('0')}; ${notItem('x')}`],
  ])('are not read from %j', (text, problem) => expect(() => readRequestRates(text)).toThrow(new Error(problem)));
});
