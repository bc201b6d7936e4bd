import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { Policy } from '../../../src/access/policy.ts';
import { type Principal, principalOf } from '../../../src/access/principal.ts';
import { KmsError } from '../../../src/errors.ts';
import { KeySchema } from '../../../src/gen/hmacd/store/v1/records_pb.ts';
import * as grant from '../../../src/gen/hmacd/v1/grant_pb.ts';
import * as key from '../../../src/gen/hmacd/v1/key_pb.ts';
import * as mac from '../../../src/gen/hmacd/v1/mac_pb.ts';
import { StoreUnavailableError } from '../../../src/records/record-store.ts';
import { replaceRecord } from '../../../src/records/records.ts';
import { FakeClock } from '../../support/running-service.ts';
import { callOf, MESSAGE, tagsOf } from './calls.ts';
import { type Cell, GRANT_NAMES, KEY_POLICY_NAMES, STATES } from './cells.ts';
import { type Foundation, makeFoundation, type Subject } from './foundation.ts';
import type { NaiveGrant, NaiveStatement } from './naive-evaluator.ts';
import { CALLERS, type CallerName, FOREIGN, GRANTS, identityPolicy, KEY_POLICIES, TAGS } from './people.ts';
import { type Sabotage, Wiring } from './wiring.ts';

const HOUR = 60 * 60_000;
const PROVISIONAL = policyText([{ effect: 'Allow', principals: '*', actions: ['*'], resource: '*' }]);
const OPERATIONS = {
  CreateGrant: grant.GrantOperation.CREATE_GRANT,
  RetireGrant: grant.GrantOperation.RETIRE_GRANT,
  DescribeKey: grant.GrantOperation.DESCRIBE_KEY,
  GenerateMac: grant.GrantOperation.GENERATE_MAC,
  VerifyMac: grant.GrantOperation.VERIFY_MAC,
};

/** A key for each key policy, state and grant, and the calls of cells on them, which leave everything as it was. */
export class World implements AsyncDisposable {
  readonly #clock = new FakeClock();
  readonly #subjects = new Map<string, Subject>();
  readonly #principals = new Map<string, Principal>();
  foundation!: Foundation;
  #other!: Subject;

  static async make(): Promise<World> {
    const world = new World();
    await world.#populate();
    return world;
  }

  /** The key that a cell is about. */
  subject({ keyPolicy, state, grant: name }: Pick<Cell, 'keyPolicy' | 'state' | 'grant'>): Subject {
    return this.#subjects.get(`${keyPolicy}/${state}/${name}`)!;
  }

  /** The key whose grant's token is that of another key. */
  get other(): Subject {
    return this.#other;
  }

  wire(sabotage: Sabotage = {}): Wiring {
    return new Wiring(this.foundation, sabotage);
  }

  /** What comes of a cell: `OK`, or the name of the exception; with its text where it tells who may do what. */
  async outcome(wiring: Wiring, cell: Cell, subject = this.subject(cell)): Promise<string> {
    try {
      await wiring.perform(cell, subject, this.#principal(cell, subject), this.#other.grantToken!);
      if (cell.operation === 'DisableKey' && cell.state === 'Enabled') await this.#enable(subject.keyId);
      return 'OK';
    } catch (error) {
      if (error instanceof StoreUnavailableError) return error.name;
      if (!(error instanceof KmsError)) throw error;
      return error.exception + (error.exception === 'AccessDeniedException' ? `: ${error.message}` : '');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.foundation.close();
  }

  async #populate(): Promise<void> {
    this.foundation = await makeFoundation(this.#clock);
    const wiring = this.wire();
    this.#other = await this.#makeKey(wiring, 'Enabled', PROVISIONAL, GRANTS['to the user']);
    const all = KEY_POLICY_NAMES.flatMap((keyPolicy) =>
      STATES.flatMap((state) => GRANT_NAMES.map((name) => ({ keyPolicy, state, grant: name }))),
    );
    // Delayed grants are made when the others are effective, or expired.
    for (const delayed of [false, true]) {
      if (delayed) this.#clock.advance(2 * HOUR);
      for (const { keyPolicy, state, grant: name } of all) {
        const terms: NaiveGrant | undefined = GRANTS[name];
        if ((terms?.effective === false) !== delayed) continue;
        const made = await this.#makeKey(wiring, state, policyText(KEY_POLICIES[keyPolicy]), terms);
        this.#subjects.set(`${keyPolicy}/${state}/${name}`, made);
      }
    }
  }

  async #makeKey(
    wiring: Wiring,
    state: Cell['state'],
    policy: string,
    terms: NaiveGrant | undefined,
  ): Promise<Subject> {
    const root = principalOf(CALLERS.root.arn, [], 'bearer');
    const init = {
      keySpec: key.KeySpec.HMAC_256,
      keyUsage: key.KeyUsage.GENERATE_VERIFY_MAC,
      policy: PROVISIONAL,
      tags: tagsOf(TAGS),
    };
    const created = await wiring.keys.createKey(create(key.CreateKeyRequestSchema, init), callOf('CreateKey', root));
    const { keyId, arn } = created.keyMetadata as { keyId: string; arn: string };
    const request = { keyId, message: MESSAGE, macAlgorithm: mac.MacAlgorithm.HMAC_SHA_256 };
    const made = await wiring.macs.generateMac(
      create(mac.GenerateMacRequestSchema, request),
      callOf('GenerateMac', root),
    );
    const granted = terms && (await this.#makeGrant(wiring, keyId, terms));
    if (state === 'Disabled') {
      await wiring.keys.disableKey(create(key.DisableKeyRequestSchema, { keyId }), callOf('DisableKey', root));
    }
    if (state === 'PendingDeletion') {
      const deletion = create(key.ScheduleKeyDeletionRequestSchema, { keyId });
      await wiring.keys.scheduleKeyDeletion(deletion, callOf('ScheduleKeyDeletion', root));
    }
    const put = create(key.PutKeyPolicyRequestSchema, { keyId, policy, bypassPolicyLockoutSafetyCheck: true });
    await wiring.keys.putKeyPolicy(put, callOf('PutKeyPolicy', root));
    return { keyId, arn, policy, mac: made.mac, ...granted };
  }

  async #makeGrant(wiring: Wiring, keyId: string, terms: NaiveGrant) {
    const { grantee, retiring, operations, issuer, expired } = terms;
    const request = create(grant.CreateGrantRequestSchema, {
      keyId,
      granteePrincipal: grantee,
      ...(retiring !== undefined && { retiringPrincipal: retiring }),
      operations: operations.map((name) => OPERATIONS[name as keyof typeof OPERATIONS]),
      ...(expired && { expiresAt: timestampFromMs(this.#clock.now() + HOUR) }),
    });
    const caller = issuer === FOREIGN ? CALLERS['foreign root'] : CALLERS.root;
    return await wiring.grants.createGrant(request, callOf('CreateGrant', principalOf(caller.arn, [], 'bearer')));
  }

  /** Callers are the same as long as they have the same identity policy. */
  #principal({ caller, identity, operation }: Cell, { arn }: Subject): Principal {
    const statements = identityPolicy(identity, operation, arn);
    const name = `${caller} ${JSON.stringify(statements)}`;
    const known = this.#principals.get(name);
    if (known !== undefined) return known;
    const policies = statements.length === 0 ? [] : [Policy.ofIdentity(documentOf(statements))];
    const principal = Object.freeze(principalOf(CALLERS[caller].arn, policies, 'bearer'));
    this.#principals.set(name, principal);
    return principal;
  }

  async #enable(keyId: string): Promise<void> {
    const { records, paths } = this.foundation;
    const found = (await records.get(KeySchema, paths.key(keyId)))!;
    const enabled = { ...found.message, keyState: key.KeyState.ENABLED };
    await records.commit([replaceRecord(found, KeySchema, enabled)], 'adds');
  }
}

/** Everybody, without identity policies. */
export function everybody(): Principal[] {
  return (Object.keys(CALLERS) as CallerName[]).map((name) => principalOf(CALLERS[name].arn, [], 'bearer'));
}

function policyText(statements: readonly NaiveStatement[]): string {
  return JSON.stringify(documentOf(statements));
}

function documentOf(statements: readonly NaiveStatement[]) {
  return {
    Version: '2012-10-17',
    Statement: statements.map(({ effect, principals, actions, resource, condition }) => ({
      Effect: effect,
      ...(principals !== undefined && { Principal: principals === '*' ? '*' : { AWS: principals } }),
      Action: actions.map((action) => `kms:${action}`),
      Resource: resource,
      ...(condition && { Condition: { [condition.operator]: { [condition.key]: condition.value } } }),
    })),
  };
}
