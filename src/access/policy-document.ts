import { shortened } from '../errors.ts';
import { readCondition } from './condition.ts';
import { elementsOf, listOf, textsOf } from './policy-elements.ts';
import { readPrincipals } from './policy-principals.ts';
import { has, PolicyProblem } from './policy-problem.ts';
import type { PolicyStatement } from './policy-statement.ts';
import { anyOf, type Test, wildcard } from './wildcard.ts';

/** Where a policy is: on a key of a partition, or with an identity. */
export type PolicyKind = { readonly of: 'key'; readonly partition: string } | { readonly of: 'identity' };

const POLICY_ELEMENTS = new Set(['Version', 'Id', 'Statement']);
const STATEMENT_ELEMENTS = new Set([
  'Sid',
  'Effect',
  'Principal',
  'NotPrincipal',
  'Action',
  'NotAction',
  'Resource',
  'NotResource',
  'Condition',
]);

const KEY_ACTION = /^(?:\*|kms:[a-z*?]+)$/i;
const IDENTITY_ACTION = /^(?:\*|[\w*?-]+:[\w*?-]+)$/;

/**
 * Reads the statements of a parsed policy.
 *
 * @throws PolicyProblem when it does not follow IAM's grammar, or has what hmacd would not enforce
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
 */
export function readPolicyDocument(document: unknown, kind: PolicyKind): readonly PolicyStatement[] {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw new PolicyProblem('Policy must be an object');
  }
  const elements = new Map(elementsOf(document, 'Policy', POLICY_ELEMENTS));
  const version = elements.has('Version') ? elements.get('Version') : '2008-10-17';
  if (version !== '2012-10-17' && version !== '2008-10-17') throw has('an invalid Version', version);
  const id = elements.get('Id');
  if (id !== undefined && typeof id !== 'string') throw has('an invalid Id', id);
  if (!elements.has('Statement')) throw new PolicyProblem('Policy must have the element Statement');

  const sids = new Set<string>();
  return listOf(elements.get('Statement'), 'Statement').map((value, index) => {
    const statement = new Map(elementsOf(value, 'Statement', STATEMENT_ELEMENTS));
    const sid = readSid(statement.get('Sid'), kind);
    if (sids.has(sid)) throw has('a duplicate Sid', sid);
    // Terraform writes an empty Sid where it has none.
    if (sid !== '') sids.add(sid);
    return readStatement(statement, shortened(sid) || `statement ${index + 1}`, kind, version === '2012-10-17');
  });
}

function readStatement(
  elements: ReadonlyMap<string, unknown>,
  name: string,
  kind: PolicyKind,
  variables: boolean,
): PolicyStatement {
  const effect = elements.get('Effect');
  if (effect === undefined) throw new PolicyProblem('Policy must have the element Effect in each statement');
  if (effect !== 'Allow' && effect !== 'Deny') throw has('an invalid Effect', effect);
  const condition = elements.get('Condition');
  return {
    name,
    effect,
    principals: readPrincipalsOf(elements, kind),
    concernsAction: readTest(elements, 'Action', (text) => actionTest(text, kind)),
    concernsResource: readTest(elements, 'Resource', (text) => resourceTest(text, variables)),
    condition: condition === undefined ? undefined : readCondition(condition, variables, effect),
  };
}

/** The Sid of a statement; empty when it has none. */
function readSid(sid: unknown, kind: PolicyKind): string {
  if (sid === undefined) return '';
  // KMS allows spaces, and writes them itself; IAM allows letters and digits only.
  if (typeof sid === 'string' && (kind.of === 'key' || /^[a-zA-Z0-9]*$/.test(sid))) return sid;
  throw has('an invalid Sid', sid);
}

function readPrincipalsOf(elements: ReadonlyMap<string, unknown>, kind: PolicyKind) {
  if (kind.of === 'key') {
    const { value, negated } = eitherOf(elements, 'Principal');
    return readPrincipals(value, negated, kind.partition);
  }
  for (const name of ['Principal', 'NotPrincipal']) {
    if (elements.has(name)) throw has('an element that is for key policies only', name);
  }
  return undefined;
}

/** The test of an element, such as Action, or of its negation, such as NotAction. */
function readTest(elements: ReadonlyMap<string, unknown>, name: string, compile: (text: string) => Test): Test {
  const { value, negated, written } = eitherOf(elements, name);
  const test = anyOf(textsOf(value, written).map(compile));
  return negated ? (text) => !test(text) : test;
}

/** The value of exactly one of an element and its negation. */
function eitherOf(elements: ReadonlyMap<string, unknown>, name: string) {
  const negated = elements.has(`Not${name}`);
  if (negated === elements.has(name)) {
    throw new PolicyProblem(`Policy must have exactly one of the elements ${name} and Not${name} in each statement`);
  }
  const written = negated ? `Not${name}` : name;
  return { value: elements.get(written), negated, written };
}

function actionTest(text: string, kind: PolicyKind): Test {
  if (!(kind.of === 'key' ? KEY_ACTION : IDENTITY_ACTION).test(text)) throw has('an invalid action', text);
  return wildcard(text.toLowerCase(), false);
}

function resourceTest(text: string, variables: boolean): Test {
  if (text !== '*' && !text.startsWith('arn:')) throw has('an invalid resource', text);
  return wildcard(text, variables);
}
