import { randomBytes } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import type { Deployment } from '../arn.ts';
import type { Clock } from '../clock.ts';
import { KmsError } from '../errors.ts';
import { CreateGrantRequestSchema } from '../gen/hmacd/v1/grant_pb.ts';
import type { SeedGrant } from '../keys/seed-grant.ts';
import type { Change } from '../records/records.ts';
import { termsOf } from './grant.ts';
import type { GrantRecords } from './grant-records.ts';

/** The grants that keys of a seed file have from the start; the account itself makes them. */
export class SeedGrants {
  readonly #grants: GrantRecords;
  readonly #deployment: Deployment;
  readonly #clock: Clock;

  constructor(grants: GrantRecords, deployment: Deployment, clock: Clock) {
    this.#grants = grants;
    this.#deployment = deployment;
    this.#clock = clock;
  }

  /**
   * What a grant on a new key adds.
   *
   * @throws Error with a sentence for the operator when it is no grant that CreateGrant would make
   */
  async additions(keyId: string, grant: SeedGrant): Promise<Change[]> {
    const request = create(CreateGrantRequestSchema, { ...grant, operations: [...grant.operations], keyId });
    try {
      const terms = termsOf(request, this.#clock.now());
      const grantId = randomBytes(32).toString('hex');
      return await this.#grants.additions(keyId, grantId, terms, this.#deployment.accountId, undefined);
    } catch (error) {
      if (!(error instanceof KmsError)) throw error;
      throw new Error(`the seed cannot grant anything to ${grant.granteePrincipal}: ${error.message}`, {
        cause: error,
      });
    }
  }
}
