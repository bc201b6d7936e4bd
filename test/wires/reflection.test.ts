import { once } from 'node:events';
import {
  create,
  createFileRegistry,
  createRegistry,
  type DescMessage,
  type DescMethod,
  fromBinary,
} from '@bufbuild/protobuf';
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { Client, credentials, status as codes } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { AliasService } from '../../src/gen/hmacd/v1/alias_pb.ts';
import { GrantService } from '../../src/gen/hmacd/v1/grant_pb.ts';
import { KeyService } from '../../src/gen/hmacd/v1/key_pb.ts';
import { MacService } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { writePrincipals } from '../grants/world.ts';
import { failureOf } from '../support/clients.ts';
import { startService } from '../support/running-service.ts';

const VERSIONS = ['v1', 'v1alpha'];

// Numbers of the fields of ServerReflectionRequest and ServerReflectionResponse, the same in both versions.
const ASK = { fileByFilename: 3, fileContainingSymbol: 4, listServices: 7 };
const ANSWER = { fileDescriptors: 4, services: 6, error: 7 };

const asIs = (bytes: Buffer) => bytes;

/** Asks for one thing; answers the fields of the response by their numbers. */
async function ask(port: number, version: string, field: number, text: string): Promise<Map<number, Uint8Array[]>> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  try {
    const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
    const call = client.makeBidiStreamRequest(path, asIs, asIs);
    const answered = once(call, 'data') as Promise<[Buffer]>;
    call.write(Buffer.from(new BinaryWriter().tag(field, WireType.LengthDelimited).string(text).finish()));
    const [response] = await answered;
    call.end();
    await once(call, 'status');
    return fieldsOf(response);
  } finally {
    client.close();
  }
}

/** The length-delimited fields of a message. */
function fieldsOf(message: Uint8Array): Map<number, Uint8Array[]> {
  const fields = new Map<number, Uint8Array[]>();
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (type === WireType.LengthDelimited) fields.set(number, [...(fields.get(number) ?? []), reader.bytes()]);
    else reader.skip(type, number);
  }
  return fields;
}

async function listServices(port: number, version: string): Promise<string[]> {
  const answer = await ask(port, version, ASK.listServices, '');
  const services = fieldsOf(answer.get(ANSWER.services)![0]!).get(1) ?? [];
  return services.map((service) => Buffer.from(fieldsOf(service).get(1)![0]!).toString()).toSorted();
}

async function filesFor(port: number, version: string, field: number, name: string): Promise<FileDescriptorProto[]> {
  const answer = await ask(port, version, field, name);
  const files = fieldsOf(answer.get(ANSWER.fileDescriptors)![0]!).get(1) ?? [];
  return files.map((file) => fromBinary(FileDescriptorProtoSchema, file));
}

/** The files for a symbol as a client collects them: it asks by name for the imports that were not given with them. */
async function collectFiles(port: number, version: string, symbol: string): Promise<FileDescriptorProto[]> {
  const files = await filesFor(port, version, ASK.fileContainingSymbol, symbol);
  for (const file of files) {
    for (const name of file.dependency) {
      if (files.some((known) => known.name === name)) continue;
      // The loop comes to what is added, too.
      files.push(...(await filesFor(port, version, ASK.fileByFilename, name)));
    }
  }
  return [...new Map(files.map((file) => [file.name, file])).values()];
}

function fieldsIn({ fields }: DescMessage): unknown[] {
  return fields.map((field) => [field.number, field.name, field.jsonName, field.fieldKind, field.presence]);
}

/** A method with the fields of its messages. */
function shapeOf({ name, input, output, methodKind }: DescMethod): unknown {
  return { name, methodKind, input: fieldsIn(input), output: fieldsIn(output) };
}

const OWN = createRegistry(MacService, KeyService, AliasService, GrantService);

describe.each(VERSIONS)('reflection %s', (version) => {
  it('lists the services', async () => {
    await using running = await startService();
    expect(await listServices(running.grpcPort, version)).toEqual([
      'grpc.health.v1.Health',
      'hmacd.v1.AliasService',
      'hmacd.v1.GrantService',
      'hmacd.v1.ImportService',
      'hmacd.v1.KeyService',
      'hmacd.v1.MacService',
      'hmacd.v1.RotationService',
    ]);
  });

  it.each(['hmacd.v1.MacService', 'hmacd.v1.KeyService', 'hmacd.v1.AliasService', 'hmacd.v1.GrantService'])(
    'gives the files of %s with all that they import, so that a client can call it',
    async (service) => {
      await using running = await startService();
      const file = await collectFiles(running.grpcPort, version, service);
      const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: inOrder(file) }));
      const given = registry.getService(service)!;
      const own = OWN.getService(service)!;
      expect(given.methods.map(shapeOf)).toEqual(own.methods.map(shapeOf));
    },
  );

  it('gives a file by its name, and the service of a method', async () => {
    await using running = await startService();
    const byName = await filesFor(running.grpcPort, version, ASK.fileByFilename, 'hmacd/v1/mac.proto');
    const bySymbol = await filesFor(
      running.grpcPort,
      version,
      ASK.fileContainingSymbol,
      'hmacd.v1.MacService.GenerateMac',
    );
    for (const files of [byName, bySymbol]) expect(files.map(({ name }) => name)).toContain('hmacd/v1/mac.proto');
  });

  it('gives the health checks, so that a client can ask for them', async () => {
    await using running = await startService();
    const file = await collectFiles(running.grpcPort, version, 'grpc.health.v1.Health');
    const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: inOrder(file) }));
    const names = registry.getService('grpc.health.v1.Health')?.methods.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['Check', 'Watch']));
  });

  it('gives the messages of error details, which no rpc names', async () => {
    await using running = await startService();
    const files = await collectFiles(running.grpcPort, version, 'google.rpc.ErrorInfo');
    const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: inOrder(files) }));
    expect(registry.getMessage('google.rpc.BadRequest')?.fields.map(({ name }) => name)).toEqual(['field_violations']);
  });

  it('does not give the messages of the store', async () => {
    await using running = await startService();
    const answer = await ask(running.grpcPort, version, ASK.fileContainingSymbol, 'hmacd.store.v1.Key');
    expect(answer.has(ANSWER.error)).toBe(true);
    expect(answer.has(ANSWER.fileDescriptors)).toBe(false);
  });

  it('asks nobody who it is, where the services do', async () => {
    await using running = await startService({ PRINCIPALS_FILE: writePrincipals() });
    expect(await listServices(running.grpcPort, version)).toContain('hmacd.v1.MacService');
    expect(await failureOf(running.clients.gRPC.keys.listKeys({}))).toMatchObject({
      exception: 'MissingAuthenticationTokenException',
    });
  });

  it('is closed by HMACD_REFLECTION=false, and the services are not', async () => {
    await using running = await startService({ REFLECTION: 'false' });
    await expect(listServices(running.grpcPort, version)).rejects.toMatchObject({ code: codes.UNIMPLEMENTED });
    expect((await running.clients.gRPC.keys.listKeys({})).keys).toEqual([]);
  });
});

/** The files, each behind those that it imports. */
function inOrder(files: readonly FileDescriptorProto[]): FileDescriptorProto[] {
  const ordered: FileDescriptorProto[] = [];
  const add = (file: FileDescriptorProto): void => {
    if (ordered.includes(file)) return;
    for (const name of file.dependency) {
      const imported = files.find((candidate) => candidate.name === name);
      if (imported === undefined) throw new Error(`${file.name} imports ${name}, which was not given`);
      add(imported);
    }
    ordered.push(file);
  };
  files.forEach(add);
  return ordered;
}
