import { Policy } from '../../../src/access/policy.ts';
import { isAccountRoot } from '../../../src/access/principal.ts';
import type { Clock } from '../../../src/clock.ts';
import { CALLERS, FOREIGN, OTHER_KEY } from './people.ts';
import {
  LaxRetirementAuthorizer,
  retirementOf,
  StateFirstAuthorizer,
  StatelessAuthorizer,
  TellingAuthorizer,
} from './sabotaged-authorizers.ts';
import { firstOf, toleratingMalformed, withAllowing } from './sabotaged-grants.ts';
import type { Sabotage } from './wiring.ts';
import { everybody } from './world.ts';

const MINUTE = 60_000;
const ALLOWING_ALL = Policy.ofIdentity({ Statement: { Effect: 'Allow', Action: '*', Resource: '*' } });

/** The rules of the access control, and what each is switched off with. */
export function switchedOff(otherKeyId: string): Readonly<Record<string, Sabotage>> {
  return {
    'a key policy denies explicitly': {
      evaluate: (policy, request, ask) => ({ ...ask(request), ...(isOfKey(policy) && { denied: undefined }) }),
    },
    'an identity policy denies explicitly': {
      evaluate: (policy, request, ask) => ({ ...ask(request), ...(!isOfKey(policy) && { denied: undefined }) }),
    },
    'a key policy names callers': {
      evaluate: (policy, request, ask) => ({ ...ask(request), ...(isOfKey(policy) && { allowed: undefined }) }),
    },
    'a key policy that names the account leaves it to identity policies': {
      evaluate: (policy, request, ask) => ({
        ...ask(request),
        ...(isOfKey(policy) && { allowedToAccount: undefined }),
      }),
    },
    'a key policy that names the account does not suffice': {
      evaluate(_policy, request, ask) {
        const verdict = ask(request);
        return { ...verdict, allowed: verdict.allowed ?? verdict.allowedToAccount };
      },
    },
    'identity policies do not suffice without the key policy': {
      evaluate(policy, request, ask) {
        const verdict = ask(request);
        return { ...verdict, allowedToAccount: isOfKey(policy) ? { name: 'all' } : verdict.allowedToAccount };
      },
    },
    'statements are about their actions': {
      evaluate: (_policy, request, ask) => ask({ ...request, action: 'VerifyMac' }),
    },
    'statements are about their resources': {
      evaluate: (_policy, request, ask) => ask({ ...request, resource: OTHER_KEY }),
    },
    'statements have conditions': {
      evaluate: (_policy, request, ask) => ask({ ...request, context: () => undefined }),
    },
    'conditions look at each request anew': {
      evaluate(policy, request, ask) {
        Object.assign(policy, { steady: true });
        return ask(request);
      },
    },
    'conditions look at the tags of the key': { evaluate: without(/^aws:resourcetag/) },
    'conditions look at the tags of the request': { evaluate: without(/^aws:requesttag/) },
    'conditions look at the tag keys of the request': { evaluate: without(/^aws:tagkeys/) },
    'the values of tags have a case': {
      evaluate: (_policy, request, ask) =>
        ask({ ...request, context: (name) => inLowerCase(name, request.context(name)) }),
    },
    "another account's caller needs its own account's permission": {
      principal: (principal) =>
        principal.accountId === FOREIGN && principal.policies.length === 0
          ? { ...principal, policies: [ALLOWING_ALL] }
          : principal,
    },
    "another account's caller needs the key's account's permission": {
      evaluate(policy, request, ask) {
        const verdict = ask(request);
        const admitted = isOfKey(policy) && request.principal.accountId === FOREIGN;
        return admitted ? { ...verdict, allowed: { name: 'all' } } : verdict;
      },
    },
    "another account's caller is not told of the key": { authorizer: TellingAuthorizer, ofTextsOnly: true },
    "a role's name is also its sessions'": { principal: (principal) => ({ ...principal, names: [principal.arn] }) },
    'a session is no other session of its role': {
      principal: (principal) => ({
        ...principal,
        names:
          principal.arn === CALLERS['other session'].arn ? [CALLERS.session.arn, ...principal.names] : principal.names,
      }),
    },
    'the root of an account needs no identity policy': {
      principal: (principal) => (isAccountRoot(principal) ? { ...principal, accountArn: 'nobody' } : principal),
    },
    'grants allow': { grants: (book) => withAllowing(book, async () => undefined) },
    'grants have operations': {
      grants: (book) =>
        withAllowing(book, async (question) => {
          const operations = ['GenerateMac', 'VerifyMac', 'DescribeKey', 'CreateGrant'];
          if (!operations.includes(question.operation)) return undefined;
          return await firstOf(
            operations.map((operation) => ({ ...question, operation })),
            book,
          );
        }),
    },
    'grants have grantees': {
      grants: (book) =>
        withAllowing(
          book,
          async (question) =>
            await firstOf(
              everybody().map((principal) => ({ ...question, principal })),
              book,
            ),
        ),
    },
    'expired grants allow nothing': { grantClock: (clock) => shifted(clock, -90 * MINUTE) },
    'delayed grants allow nothing without their tokens': { grantClock: (clock) => shifted(clock, 10 * MINUTE) },
    'delayed grants allow with their tokens': {
      grants: (book) => withAllowing(book, async (question) => await firstOf([{ ...question, tokens: [] }], book)),
    },
    'grants to an account leave it to identity policies': {
      grants: (book) =>
        withAllowing(book, async (question) => await firstOf([{ ...question, suffices: () => true }], book)),
    },
    'grants to an account allow': {
      grants: (book) =>
        withAllowing(book, async (question) => {
          const { accountArn } = question.principal;
          const suffices: typeof question.suffices = (grant) =>
            grant.granteePrincipal !== accountArn && question.suffices(grant);
          return await firstOf([{ ...question, suffices }], book);
        }),
    },
    "another caller's token adds nothing": {
      grants: (book) =>
        withAllowing(book, async (question) => {
          const callers = question.tokens.length === 0 ? [] : everybody();
          return await firstOf([question, ...callers.map((principal) => ({ ...question, principal }))], book);
        }),
    },
    "another key's token adds nothing": {
      grants: (book) =>
        withAllowing(book, async (question) => {
          const asked = question.tokens.length === 0 ? [] : [{ ...question, keyId: otherKeyId }];
          return await firstOf([question, ...asked], book);
        }),
    },
    'malformed tokens are refused': { grants: toleratingMalformed },
    'whoever may create grants by one may not pass on more': {
      grants: (book) =>
        withAllowing(book, async (question) => await firstOf([{ ...question, covers: undefined }], book)),
    },
    'retiring is for whom the grant names': { authorizer: LaxRetirementAuthorizer },
    'the retiring principal may retire': { authorizer: retirementOf((grant) => ({ ...grant, retiringPrincipal: '' })) },
    'the grantee may retire': { authorizer: retirementOf((grant) => ({ ...grant, granteePrincipal: '' })) },
    'the grantee may retire only what says so': { authorizer: retirementOf((grant) => grant, true) },
    'the account that made a grant may retire it': {
      authorizer: retirementOf((grant) => ({ ...grant, issuingAccount: '' })),
    },
    'the state of a key is looked at after the authorisation': { authorizer: StateFirstAuthorizer },
    'the state of a key is looked at': { authorizer: StatelessAuthorizer },
  };
}

/** Condition keys are not there. */
function without(names: RegExp): NonNullable<Sabotage['evaluate']> {
  return (_policy, request, ask) =>
    ask({ ...request, context: (name) => (names.test(name) ? undefined : request.context(name)) });
}

/** The values of tags in lower case, where they are those of keys. */
function inLowerCase(name: string, values: readonly string[] | undefined): readonly string[] | undefined {
  return name.startsWith('aws:resourcetag/') ? values?.map((value) => value.toLowerCase()) : values;
}

function isOfKey(policy: Policy): boolean {
  return policy.text !== '';
}

function shifted(clock: Clock, milliseconds: number): Clock {
  return { now: () => clock.now() + milliseconds, monotonic: () => clock.monotonic() };
}
