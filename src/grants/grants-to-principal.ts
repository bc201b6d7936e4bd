import type { Grant } from '../gen/hmacd/store/v1/records_pb.ts';
import type { GrantOperation } from '../gen/hmacd/v1/grant_pb.ts';

/** The grants of a key to a principal, by what they allow, as a replica remembers them. */
export class GrantsToPrincipal {
  readonly #grants: Map<string, Grant>;
  readonly #byOperation = new Map<GrantOperation, Set<Grant>>();
  readonly #unread = new Set<string>();

  /** @param grants by the paths of their records */
  constructor(grants: ReadonlyMap<string, Grant>) {
    // One with a SourceArn never allows anything here, and is not worth remembering.
    this.#grants = new Map([...grants].filter(([, { sourceArn }]) => sourceArn === ''));
    for (const grant of this.#grants.values()) {
      for (const operation of grant.operations) {
        const allowing = this.#byOperation.get(operation);
        if (allowing === undefined) this.#byOperation.set(operation, new Set([grant]));
        else allowing.add(grant);
      }
    }
  }

  /** How many grants there are, and one, so that there is a size where there is none. */
  get size(): number {
    return this.#grants.size + 1;
  }

  /** The paths of the records that may have changed since they were read: what they hold is not among the grants. */
  get unread(): ReadonlySet<string> {
    return this.#unread;
  }

  /** The first grant of an operation that serves, if any. */
  find(operation: GrantOperation, serves: (grant: Grant) => boolean): Grant | undefined {
    for (const grant of this.#byOperation.get(operation) ?? []) if (serves(grant)) return grant;
    return undefined;
  }

  /** Lets go of the grant of a record that may have changed. */
  forget(path: string): void {
    const grant = this.#grants.get(path);
    this.#grants.delete(path);
    for (const operation of grant?.operations ?? []) this.#byOperation.get(operation)?.delete(grant!);
    this.#unread.add(path);
  }

  /** These grants, with those that were read since. */
  with(grants: ReadonlyMap<string, Grant>): GrantsToPrincipal {
    return new GrantsToPrincipal(new Map([...this.#grants, ...grants]));
  }
}
