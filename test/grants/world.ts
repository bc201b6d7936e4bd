import { hash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { onTestFinished } from 'vitest';
import { type CreateGrantRequestSchema, GrantOperation, type GrantListEntry } from '../../src/gen/hmacd/v1/grant_pb.ts';
import { KeySpec, KeyUsage } from '../../src/gen/hmacd/v1/key_pb.ts';
import { MacAlgorithm } from '../../src/gen/hmacd/v1/mac_pb.ts';
import { ControlledStore } from '../records/controlled-store.ts';
import { clientsOf, type Clients, failureOf, type WireName } from '../support/clients.ts';
import { temporaryFolder } from '../support/deployment.ts';
import { FakeClock, type RunningService, startService } from '../support/running-service.ts';
import { ACCOUNT, openSealer } from '../keys/fixture.ts';

export const OTHER_ACCOUNT = '111111111111';
export const { CREATE_GRANT, RETIRE_GRANT, DESCRIBE_KEY, GENERATE_MAC, VERIFY_MAC } = GrantOperation;

const everything = [statement('Allow', 'kms:*')];

/** Who may call: an ARN, and the statements of its identity policy. */
const PEOPLE = {
  root: [`arn:aws:iam::${ACCOUNT}:root`, []],
  admin: [`arn:aws:iam::${ACCOUNT}:user/admin`, everything],
  orders: [`arn:aws:iam::${ACCOUNT}:role/orders`, []],
  session: [`arn:aws:sts::${ACCOUNT}:assumed-role/orders/1`, []],
  otherSession: [`arn:aws:sts::${ACCOUNT}:assumed-role/orders/2`, []],
  pathed: [`arn:aws:iam::${ACCOUNT}:role/team/apps/pathed`, []],
  pathedSession: [`arn:aws:sts::${ACCOUNT}:assumed-role/pathed/1`, []],
  billing: [`arn:aws:iam::${ACCOUNT}:role/billing`, []],
  stranger: [`arn:aws:iam::${ACCOUNT}:role/stranger`, []],
  generator: [`arn:aws:iam::${ACCOUNT}:role/generator`, [statement('Allow', 'kms:GenerateMac')]],
  maker: [`arn:aws:iam::${ACCOUNT}:role/maker`, [statement('Allow', 'kms:CreateKey')]],
  tagger: [
    `arn:aws:iam::${ACCOUNT}:role/tagger`,
    [
      statement('Allow', 'kms:CreateKey'),
      { ...statement('Allow', 'kms:TagResource'), Resource: `arn:aws:kms:us-east-1:${ACCOUNT}:key/*` },
    ],
  ],
  teamMaker: [
    `arn:aws:iam::${ACCOUNT}:role/team-maker`,
    [
      {
        ...statement('Allow', 'kms:CreateKey'),
        Condition: { StringEquals: { 'aws:RequestTag/team': 'shop' } },
      },
      {
        ...statement('Allow', 'kms:TagResource'),
        Condition: { 'ForAllValues:StringEquals': { 'aws:TagKeys': 'Team' }, Null: { 'aws:TagKeys': 'false' } },
      },
    ],
  ],
  denied: [`arn:aws:iam::${ACCOUNT}:role/denied`, [statement('Deny', 'kms:GenerateMac')]],
  without224: [
    `arn:aws:iam::${ACCOUNT}:role/without-224`,
    [
      ...everything,
      { ...statement('Deny', 'kms:CreateKey'), Condition: { StringEquals: { 'kms:KeySpec': 'HMAC_224' } } },
    ],
  ],
  partner: [`arn:aws:iam::${OTHER_ACCOUNT}:role/partner`, everything],
  partnerWithout: [`arn:aws:iam::${OTHER_ACCOUNT}:role/without`, []],
  partnerRoot: [`arn:aws:iam::${OTHER_ACCOUNT}:root`, []],
} as const;

export type Person = keyof typeof PEOPLE;

export const arnOf = (person: Person): string => PEOPLE[person][0];

function statement(Effect: 'Allow' | 'Deny', Action: string) {
  return { Effect, Action, Resource: '*' };
}

const tokenOf = (person: Person): string => `token-of-${person}`;

/** Writes a principals file of everybody; its path. */
export function writePrincipals(): string {
  const principals = Object.entries(PEOPLE).map(([person, [arn, Statement]]) => ({
    arn,
    bearer_tokens: [{ sha256: hash('sha256', tokenOf(person as Person)) }],
    ...(Statement.length > 0 && { policies: [{ Version: '2012-10-17', Statement }] }),
  }));
  const path = join(temporaryFolder(), 'principals.yaml');
  writeFileSync(path, JSON.stringify({ principals }));
  return path;
}

/** Clients of one of them, which end with the test. */
export function clientsFor(
  { grpcPort, httpPort }: { grpcPort: number; httpPort: number },
  person: Person,
): Readonly<Record<WireName, Clients>> {
  const clients = clientsOf(grpcPort, httpPort, tokenOf(person));
  onTestFinished(() => clients[Symbol.dispose]());
  return clients;
}

/** What is asked for in a grant. */
export type GrantInit = Omit<MessageInitShape<typeof CreateGrantRequestSchema>, '$typeName'>;

/** A service with a key, and everybody's clients; its store seals nothing. It ends with the test. */
export class World {
  readonly clock = new FakeClock();
  readonly store = new ControlledStore({ exclusive: true });
  readonly #clients = new Map<Person, Readonly<Record<WireName, Clients>>>();
  running!: RunningService;
  keyId!: string;
  arn!: string;

  static async start(settings: Readonly<Record<string, string>> = {}, sealer = openSealer): Promise<World> {
    const world = new World();
    const { clock, store } = world;
    world.running = await startService({ PRINCIPALS_FILE: writePrincipals(), ...settings }, { clock, store, sealer });
    onTestFinished(async () => {
      await world.running[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    });
    Object.assign(world, await world.makeKey());
    return world;
  }

  over(wire: WireName, person: Person): Clients {
    const clients = this.#clients.get(person) ?? clientsFor(this.running, person);
    this.#clients.set(person, clients);
    return clients[wire];
  }

  as(person: Person): Clients {
    return this.over('gRPC', person);
  }

  /** @param statements of its policy; the default policy without */
  async makeKey(statements?: readonly object[]): Promise<{ keyId: string; arn: string }> {
    const { keyMetadata } = await this.as('root').keys.createKey({
      keySpec: KeySpec.HMAC_256,
      keyUsage: KeyUsage.GENERATE_VERIFY_MAC,
      ...(statements !== undefined && { policy: policyOf(statements) }),
      bypassPolicyLockoutSafetyCheck: true,
    });
    return { keyId: keyMetadata!.keyId, arn: keyMetadata!.arn };
  }

  async putPolicy(statements: readonly object[]): Promise<void> {
    const { keys } = this.as('root');
    await keys.putKeyPolicy({
      keyId: this.keyId,
      policy: policyOf(statements),
      bypassPolicyLockoutSafetyCheck: true,
    });
  }

  /** Makes a grant of GenerateMac to `orders`, unless something else is said. */
  async grant(init: GrantInit = {}, person: Person = 'admin'): Promise<{ grantId: string; grantToken: string }> {
    const { grantId, grantToken } = await this.as(person).grants.createGrant(this.request(init));
    return { grantId, grantToken };
  }

  request(init: GrantInit = {}): GrantInit {
    return { keyId: this.keyId, granteePrincipal: arnOf('orders'), operations: [GENERATE_MAC], ...init };
  }

  /** What GenerateMac ends in: `OK` or an exception. */
  async generate(person: Person, grantTokens: readonly string[] = [], keyId = this.keyId): Promise<string> {
    return await outcomeOf(this.as(person).mac.generateMac({ ...macRequest(keyId), grantTokens: [...grantTokens] }));
  }

  /** The grants of the key, as its administrator lists them. */
  async listed(): Promise<GrantListEntry[]> {
    return (await this.as('admin').grants.listGrants({ keyId: this.keyId, limit: 100 })).grants;
  }

  async listedIds(): Promise<string[]> {
    return (await this.listed()).map(({ grantId }) => grantId);
  }
}

/** The key policy that leaves everything to the account. */
export const LEFT_TO_ACCOUNT = allowTo('root', 'kms:*');

export function allowTo(person: Person, Action: string) {
  return { Effect: 'Allow', Principal: { AWS: arnOf(person) }, Action, Resource: '*' };
}

export function denyTo(person: Person, Action: string) {
  return { ...allowTo(person, Action), Effect: 'Deny' };
}

/** A key policy of some statements. */
export function policyOf(statements: readonly object[]): string {
  return JSON.stringify({ Version: '2012-10-17', Statement: statements });
}

export function macRequest(keyId: string) {
  return { keyId, macAlgorithm: MacAlgorithm.HMAC_SHA_256, message: Buffer.from('message') };
}

/** `OK`, or the exception that a call failed with. */
export async function outcomeOf(call: Promise<unknown>): Promise<string> {
  return await call.then(
    () => 'OK',
    async () => (await failureOf(call)).exception ?? 'no exception',
  );
}

/** The exception and the text that a call failed with. */
export async function refusalOf(call: Promise<unknown>): Promise<[exception: string | undefined, message: string]> {
  const { exception, message } = await failureOf(call);
  return [exception, message];
}

/** AWS's sentence for a call that nothing of the caller's own allows. */
export function notAllowed(person: Person, operation: string, arn: string): [string, string] {
  return [
    'AccessDeniedException',
    `User: ${arnOf(person)} is not authorized to perform: kms:${operation} on resource: ${arn} because no identity-based policy allows the kms:${operation} action`,
  ];
}

/** AWS's sentence for a key that a caller of another account is not to know of. */
export function unknownTo(person: Person, operation: string): [string, string] {
  return [
    'AccessDeniedException',
    `User: ${arnOf(person)} is not authorized to perform: kms:${operation} on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access`,
  ];
}
