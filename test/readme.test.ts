import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Code } from '@connectrpc/connect';
import { describe, expect, it } from 'vitest';
import { conditionKeys } from '../src/access/condition-keys.ts';
import { CODES } from '../src/wires/statuses.ts';

const README = readFileSync(join(import.meta.dirname, '..', 'README.md'), 'utf8');

/** How AWS's clients alone are refused, before it is a call. */
const BEFORE_A_CALL = ['RequestEntityTooLargeException', 'UnknownOperationException'];

/** `INVALID_ARGUMENT` for `Code.InvalidArgument`. */
const nameOf = (code: Code): string => Code[code].replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();

describe('the README', () => {
  it('has every exception beside its gRPC code', () => {
    const rows = [...README.matchAll(/^\| (`\w+Exception`.*) \| `([A-Z_]+)` \|$/gm)];
    const told = rows.flatMap(([, exceptions = '', code]) =>
      [...exceptions.matchAll(/`(\w+Exception)`/g)].map(([, exception]) => `${exception} ${code}`),
    );
    const known = Object.entries(CODES).filter(([exception]) => !BEFORE_A_CALL.includes(exception));
    expect(told.toSorted()).toEqual(known.map(([exception, code]) => `${exception} ${nameOf(code)}`).toSorted());
  });

  it('has every condition key', () => {
    const [, sentence = ''] = /The condition keys are([^.]*)\./.exec(README) ?? [];
    let service = '';
    // Only the first of those of a service has its name.
    const told = [...sentence.matchAll(/`(?:(\w+):)?([\w/-]+)`/g)].map(([, prefix, name]) => {
      service = prefix ?? service;
      return `${service}:${name}`.toLowerCase();
    });
    expect(told.toSorted()).toEqual(
      conditionKeys()
        .map(({ name }) => name.toLowerCase())
        .toSorted(),
    );
  });
});
