import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import {
  type DescEnum,
  type DescField,
  type DescMessage,
  type DescMethod,
  getOption,
  ScalarType,
} from '@bufbuild/protobuf';
import { TimestampSchema } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import { awsNameOf } from '../../src/aws-name.ts';
import { InapplicableService } from '../../src/gen/hmacd/aws/v1/inapplicable_pb.ts';
import { beyond_aws_rpc } from '../../src/gen/hmacd/v1/options_pb.ts';
import { AliasService } from '../../src/gen/hmacd/v1/alias_pb.ts';
import { GrantService } from '../../src/gen/hmacd/v1/grant_pb.ts';
import { ImportService } from '../../src/gen/hmacd/v1/import_pb.ts';
import { KeyService } from '../../src/gen/hmacd/v1/key_pb.ts';
import { MacService } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { RotationService } from '../../src/gen/hmacd/v1/rotation_pb.ts';
import { awsFields, memberName } from '../../src/wires/aws-json-codec.ts';
import { pythonEnvironment } from '../support/python-environment.ts';

// The contract against AWS's own model of KMS, which botocore ships. What hmacd does not have is in a table of the
// documentation, and nothing else is.

interface Shape {
  readonly type: string;
  readonly members?: Readonly<Record<string, { readonly shape: string }>>;
  readonly member?: { readonly shape: string };
  readonly enum?: readonly string[];
}

interface Model {
  readonly operations: Readonly<
    Record<string, { readonly input: { readonly shape: string }; readonly output?: { readonly shape: string } }>
  >;
  readonly shapes: Readonly<Record<string, Shape>>;
}

const environment = await pythonEnvironment('boto3', join(import.meta.dirname, 'requirements.txt'));
if (environment.missing !== undefined) console.warn(`TESTS OF THE MODEL OF KMS LEFT OUT: ${environment.missing}`);

function readModel(): Model {
  const library = join(environment.folder, 'lib');
  const [python = ''] = readdirSync(library);
  const path = join(library, python, 'site-packages/botocore/data/kms/2014-11-01/service-2.json.gz');
  return JSON.parse(gunzipSync(readFileSync(path)).toString()) as Model;
}

/** The first two columns of the table in the documentation: `Shape.Member`, or an operation. */
function documented(): string[] {
  const text = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'aws-kms.md'), 'utf8');
  const [, table = ''] = text.split('\n## ');
  return [...table.matchAll(/^\| `(\w+(?:\.\w+)?)` \| .+ \|$/gm)].map(([, name]) => name!);
}

const services = [MacService, KeyService, RotationService, ImportService, AliasService, GrantService];
const methods: ReadonlyMap<string, DescMethod> = new Map(
  services
    .flatMap((service) => service.methods)
    .filter((method) => !getOption(method, beyond_aws_rpc))
    .map((method) => [method.name, method]),
);

/** What of the model the contract does not have, and what is of another type in it. */
class Comparison {
  readonly missing = new Set<string>();
  readonly different: string[] = [];
  readonly #model: Model;

  constructor(model: Model) {
    this.#model = model;
  }

  compare(): void {
    for (const [name, { input, output }] of Object.entries(this.#model.operations)) {
      const method = methods.get(name);
      if (method === undefined) {
        this.missing.add(name);
        continue;
      }
      this.#structure(input.shape, method.input);
      if (output === undefined) this.#demand(method.output.fields.length === 0, `${name} answers something`);
      else this.#structure(output.shape, method.output);
    }
  }

  #structure(name: string, desc: DescMessage): void {
    const fields = new Map(awsFields(desc).map((field) => [memberName(field), field]));
    const members = this.#model.shapes[name]!.members ?? {};
    for (const [member, { shape }] of Object.entries(members)) {
      const field = fields.get(member);
      if (field === undefined) this.missing.add(`${name}.${member}`);
      else this.#member(`${name}.${member}`, shape, field);
    }
    for (const member of fields.keys()) this.#demand(member in members, `${name} has no ${member}`);
  }

  #member(where: string, shapeName: string, field: DescField): void {
    const shape = this.#model.shapes[shapeName]!;
    if (shape.type === 'list') {
      this.#demand(field.fieldKind === 'list', `${where} is a list`);
      return this.#value(where, shape.member!.shape, field);
    }
    if (shape.type === 'map') return this.#demand(field.fieldKind === 'map', `${where} is a map`);
    this.#demand(field.fieldKind !== 'list' && field.fieldKind !== 'map', `${where} is a ${shape.type}`);
    this.#value(where, shapeName, field);
  }

  #value(where: string, shapeName: string, { message, enum: values, scalar }: DescField): void {
    const { type, enum: names } = this.#model.shapes[shapeName]!;
    if (type === 'timestamp') return this.#demand(message?.typeName === TimestampSchema.typeName, `${where} is a time`);
    if (type === 'structure') {
      this.#demand(message !== undefined, `${where} is a structure`);
      return this.#structure(shapeName, message!);
    }
    if (names !== undefined) return this.#enum(where, names, values);
    this.#demand(scalar === SCALARS[type], `${where} is a ${type}`);
  }

  #enum(where: string, names: readonly string[], values: DescEnum | undefined): void {
    const own = values?.values.filter(({ number }) => number !== 0).map(awsNameOf) ?? [];
    for (const name of names) this.#demand(own.includes(name), `${where} may be ${name}`);
  }

  #demand(holds: boolean, sentence: string): void {
    if (!holds) this.different.push(sentence);
  }
}

const SCALARS: Readonly<Record<string, ScalarType>> = {
  string: ScalarType.STRING,
  boolean: ScalarType.BOOL,
  integer: ScalarType.INT32,
  blob: ScalarType.BYTES,
};

describe.skipIf(environment.missing !== undefined)('the contract has every member of AWS', () => {
  it('but those that the documentation lists, and they are of the same types', () => {
    const comparison = new Comparison(readModel());
    comparison.compare();
    expect(comparison.different).toEqual([]);
    expect([...comparison.missing].toSorted()).toEqual(documented().toSorted());
  });

  it('and answers every operation', () => {
    const names = [...methods.keys(), ...InapplicableService.methods.map(({ name }) => name)];
    expect(names.toSorted()).toEqual(Object.keys(readModel().operations).toSorted());
  });
});
