import { KmsError } from '../errors.ts';
import { conditionKey } from './condition-keys.ts';
import { readPolicyDocument } from './policy-document.ts';
import { parsePolicyJson } from './policy-json.ts';
import { allowsAccount, allowsCaller, denies } from './policy-principals.ts';
import { PolicyProblem } from './policy-problem.ts';
import type { PolicyStatement, Statement } from './policy-statement.ts';
import type { Principal } from './principal.ts';

export type { Statement } from './policy-statement.ts';

/** What a policy is asked about. */
export interface AccessRequest {
  /** AWS's name of the operation without its service: `GenerateMac`. */
  readonly action: string;
  /** The ARN of a key or an alias, or `*` for an operation that has no resource. */
  readonly resource: string;
  readonly principal: Principal;
  /** The values of a condition key, by its name in lower case; `undefined` when the request does not have it. */
  readonly context: (key: string) => readonly string[] | undefined;
}

/** What a policy says about a request: the first statement that says so, `undefined` where none does. */
export interface Verdict {
  /** Denies it, whatever is allowed. */
  readonly denied: Statement | undefined;
  /** Allows it to the caller itself, or, in an identity policy, to whoever has the policy. */
  readonly allowed: Statement | undefined;
  /** Allows it to the caller's account, so that an identity policy of the caller has to allow it as well. */
  readonly allowedToAccount: Statement | undefined;
}

/**
 * A key policy or an identity policy, read once to be asked often. What it has is what is enforced: a policy with
 * anything that hmacd could not tell is refused.
 */
export class Policy {
  /** A key policy as it was given; empty for an identity policy. */
  readonly text: string;
  /** The names, in lower case, of all condition keys that it looks at. */
  readonly conditionKeys: ReadonlySet<string>;
  /** Whether it says the same of the same caller and operation as long as the key stays as it is. */
  readonly steady: boolean;
  readonly #statements: readonly PolicyStatement[];
  /** Those that are about an action, by its name: there are few, and they are asked for often. */
  readonly #byAction = new Map<string, readonly PolicyStatement[]>();

  private constructor(text: string, statements: readonly PolicyStatement[]) {
    this.text = text;
    this.#statements = statements;
    this.conditionKeys = new Set(statements.flatMap(({ condition }) => condition?.keys ?? []));
    this.steady = [...this.conditionKeys].every((name) => conditionKey(name)?.perRequest === false);
  }

  /**
   * Reads the policy of a key.
   *
   * @param partition of the ARNs of principals, such as `aws`
   * @throws KmsError MalformedPolicyDocumentException, which names what is wrong; without a message for a text that is
   *   no JSON
   */
  static ofKey(text: string, partition: string): Policy {
    try {
      return new Policy(text, readPolicyDocument(parsePolicyJson(text), { of: 'key', partition }));
    } catch (error) {
      if (!(error instanceof PolicyProblem)) throw error;
      const refusal = new KmsError('MalformedPolicyDocumentException', error.message);
      throw error.message === '' ? refusal.remarked('the policy is no JSON') : refusal;
    }
  }

  /**
   * Reads a policy of an identity.
   *
   * @param document what its JSON or YAML says
   * @throws Error with a sentence that names what is wrong
   */
  static ofIdentity(document: unknown): Policy {
    return new Policy('', readPolicyDocument(document, { of: 'identity' }));
  }

  evaluate(request: AccessRequest): Verdict {
    const { principal } = request;
    let denied: Statement | undefined;
    let allowed: Statement | undefined;
    let allowedToAccount: Statement | undefined;
    for (const statement of this.#about(request.action)) {
      const { principals } = statement;
      if (statement.effect === 'Deny') {
        if (denied !== undefined || (principals !== undefined && !denies(principals, principal))) continue;
        if (applies(statement, request)) denied = statement;
      } else {
        const toCaller = allowed === undefined && (principals === undefined || allowsCaller(principals, principal));
        const toAccount =
          allowedToAccount === undefined && principals !== undefined && allowsAccount(principals, principal);
        if ((!toCaller && !toAccount) || !applies(statement, request)) continue;
        if (toCaller) allowed = statement;
        if (toAccount) allowedToAccount = statement;
      }
    }
    return { denied, allowed, allowedToAccount };
  }

  #about(action: string): readonly PolicyStatement[] {
    let statements = this.#byAction.get(action);
    if (statements === undefined) {
      const name = `kms:${action.toLowerCase()}`;
      statements = this.#statements.filter(({ concernsAction }) => concernsAction(name));
      this.#byAction.set(action, statements);
    }
    return statements;
  }
}

/** Whether a statement about the action of a request is about its resource as well, and its condition is met. */
function applies(statement: PolicyStatement, { resource, context }: AccessRequest): boolean {
  return (
    statement.concernsResource(resource) && (statement.condition === undefined || statement.condition.isMet(context))
  );
}
