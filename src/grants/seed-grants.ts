import { randomBytes } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import type { Deployment } from '../arn.ts';
import type { Clock } from '../clock.ts';
import { type FieldViolation, KmsError } from '../errors.ts';
import { type CreateGrantRequest, CreateGrantRequestSchema } from '../gen/hmacd/v1/grant_pb.ts';
import type { SeedGrant } from '../keys/seed-grant.ts';
import type { Change } from '../records/records.ts';
import { termsOf } from './grant.ts';
import type { GrantRecords } from './grant-records.ts';

/** The grants that keys of a seed file have from the start; the account itself makes them. */
export class SeedGrants {
  readonly #grants: GrantRecords;
  readonly #deployment: Deployment;
  readonly #clock: Clock;
  readonly #violations: (request: CreateGrantRequest) => readonly FieldViolation[];

  /** @param violations what is out of its limits in a request to make a grant */
  constructor(
    grants: GrantRecords,
    deployment: Deployment,
    clock: Clock,
    violations: (request: CreateGrantRequest) => readonly FieldViolation[],
  ) {
    this.#grants = grants;
    this.#deployment = deployment;
    this.#clock = clock;
    this.#violations = violations;
  }

  /**
   * What a grant on a new key adds.
   *
   * @throws Error with a sentence for the operator when it is no grant that CreateGrant would make
   */
  async additions(keyId: string, grant: SeedGrant): Promise<Change[]> {
    const { name, granteePrincipal, retiringPrincipal } = grant;
    const request = create(CreateGrantRequestSchema, {
      keyId,
      operations: [...grant.operations],
      ...(name !== undefined && { name }),
      ...(granteePrincipal !== undefined && { granteePrincipal }),
      ...(retiringPrincipal !== undefined && { retiringPrincipal }),
    });
    try {
      const [violation] = this.#violations(request);
      if (violation !== undefined) throw new KmsError('ValidationException', violation.description);
      const terms = termsOf(request, this.#clock.now());
      const grantId = randomBytes(32).toString('hex');
      return await this.#grants.additions(keyId, grantId, terms, this.#deployment.accountId, undefined);
    } catch (error) {
      if (!(error instanceof KmsError)) throw error;
      throw new Error(`the seed cannot grant anything to ${granteePrincipal}: ${error.message}`, {
        cause: error,
      });
    }
  }
}
