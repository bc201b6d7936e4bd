import { awsNameOf } from '../aws-name.ts';
import { type GrantOperation, GrantOperationSchema } from '../gen/hmacd/v1/grant_pb.ts';

/** A grant that a key of a seed file has from the start. */
export interface SeedGrant {
  readonly name: string | undefined;
  readonly granteePrincipal: string | undefined;
  readonly retiringPrincipal: string | undefined;
  readonly operations: readonly GrantOperation[];
}

/** A key is made with all its grants in one commit, of a few hundred records at most. */
const MOST_GRANTS = 100;
const MEMBERS = ['name', 'grantee_principal', 'retiring_principal', 'operations'];

/** Reads the grants of a key of a seed file. */
export function readSeedGrants(value: unknown, problem: (text: string) => void): SeedGrant[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) {
    problem('grants must be a list');
    return [];
  }
  if (value.length > MOST_GRANTS) problem(`it must have at most ${MOST_GRANTS} grants`);
  const grants = value.map((entry: unknown, index) => readGrant(entry, (text) => problem(`grants[${index}]: ${text}`)));
  // Of a repeated one, CreateGrant would give the grant that there is.
  const places = new Map<string, number>();
  for (const [index, { name, granteePrincipal, retiringPrincipal, operations }] of grants.entries()) {
    if (name === undefined) continue;
    const sorted = [...new Set(operations)].toSorted((a, b) => a - b);
    const terms = JSON.stringify([name, granteePrincipal, retiringPrincipal, sorted]);
    const place = places.get(terms);
    if (place === undefined) places.set(terms, index);
    else problem(`grants[${index}] repeats grants[${place}]`);
  }
  return grants;
}

function readGrant(entry: unknown, problem: (text: string) => void): SeedGrant {
  const members = typeof entry === 'object' && entry !== null ? (entry as Record<string, unknown>) : {};
  if (Object.keys(members).some((member) => !MEMBERS.includes(member))) {
    problem(`it has a member that is none of ${MEMBERS.join(', ')}`);
  }
  const text = (member: string): string | undefined => {
    const value = members[member];
    if (value === undefined || typeof value === 'string') return value;
    problem(`${member} must be a text`);
    return undefined;
  };
  const granteePrincipal = text('grantee_principal');
  if (granteePrincipal === undefined) problem('it must have a grantee_principal');
  const { operations = [] } = members;
  const names: unknown[] = Array.isArray(operations) ? operations : [];
  const known = names.map((name) => GrantOperationSchema.values.find((each) => awsNameOf(each) === name)?.number);
  if (known.length === 0 || known.some((operation) => operation === undefined || operation === 0)) {
    problem("operations must be a list of AWS's names of grant operations");
  }
  return {
    name: text('name'),
    granteePrincipal,
    retiringPrincipal: text('retiring_principal'),
    operations: known.filter((operation) => operation !== undefined) as GrantOperation[],
  };
}
