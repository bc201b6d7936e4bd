/**
 * A value of a YAML document that is being checked. It knows its place there, such as `principals[2].arn`, and gathers
 * what is wrong instead of throwing; what it answers after a problem is of no use. Values are never repeated in a
 * problem, nor are names of members: by a slip of the hand, they may be secrets.
 */
export class CheckedValue {
  readonly #value: unknown;
  readonly #problems: string[];
  /** Empty for the whole document. */
  readonly place: string;

  constructor(value: unknown, problems: string[], place = '') {
    this.#value = value;
    this.#problems = problems;
    this.place = place;
  }

  /** The value as YAML has it. */
  get raw(): unknown {
    return this.#value;
  }

  get present(): boolean {
    return this.#value !== undefined;
  }

  problem(sentence: string): void {
    this.#problems.push(this.place === '' ? sentence : `${this.place} ${sentence}`);
  }

  /** The members of an object, which has no others; those that are missing are not present. */
  members<N extends string>(...names: readonly N[]): Readonly<Record<N, CheckedValue>> {
    const object = this.#object();
    if (Object.keys(object).some((name) => !(names as readonly string[]).includes(name))) {
      this.problem(`has a member that is none of ${names.join(', ')}`);
    }
    const prefix = this.place === '' ? '' : `${this.place}.`;
    return Object.fromEntries(
      names.map((name) => [
        name,
        new CheckedValue(Object.hasOwn(object, name) ? object[name] : undefined, this.#problems, prefix + name),
      ]),
    ) as Record<N, CheckedValue>;
  }

  /** The members of an object whose names are anything; none when it is not present. */
  entries(): [string, CheckedValue][] {
    if (!this.present) return [];
    return Object.entries(this.#object()).map(([name, value], index) => [
      name,
      new CheckedValue(value, this.#problems, `the value of entry ${index + 1} of ${this.place}`),
    ]);
  }

  /** The items of a list; none when it is not present. */
  items(): CheckedValue[] {
    if (!this.present) return [];
    if (!Array.isArray(this.#value)) {
      this.problem('must be a list');
      return [];
    }
    return this.#value.map((item, index) => new CheckedValue(item, this.#problems, `${this.place}[${index}]`));
  }

  /** A text that must be there; `undefined` after a problem. */
  text(meaning = 'a text', isGood: (text: string) => boolean = (text) => text !== ''): string | undefined {
    if (typeof this.#value === 'string' && isGood(this.#value)) return this.#value;
    // What looks like a number to YAML is one without quotes.
    this.problem(`must be ${meaning}${typeof this.#value === 'number' ? ', in quotes' : ''}`);
    return undefined;
  }

  #object(): Readonly<Record<string, unknown>> {
    if (typeof this.#value === 'object' && this.#value !== null && !Array.isArray(this.#value)) {
      return this.#value as Record<string, unknown>;
    }
    this.problem(this.place === '' ? 'it must be an object' : 'must be an object');
    return {};
  }
}
