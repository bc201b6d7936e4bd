import type { AllowingGrant, GrantQuestion, Grants } from '../../../src/access/authorizer.ts';

// Grants with a rule switched off.

type Found = AllowingGrant | undefined;

/** The first grant that allows any of what is asked; grants are read as need be. */
export async function firstOf(questions: readonly GrantQuestion[], book: Grants): Promise<Found> {
  for (const question of questions) {
    let found = book.allowing(question);
    while (found instanceof Promise) {
      await found;
      found = book.allowing(question);
    }
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Grants that allow what is answered: in two steps, as the real ones do while they are read. */
export function withAllowing(book: Grants, answer: (question: GrantQuestion) => Promise<Found>): Grants {
  let ready: { readonly found: Found } | undefined;
  return {
    requireGenuine: (tokens) => book.requireGenuine(tokens),
    allowing(question) {
      if (ready === undefined) return answer(question).then((found) => void (ready = { found }));
      const { found } = ready;
      ready = undefined;
      return found;
    },
  };
}

export function toleratingMalformed(book: Grants): Grants {
  const genuine = (token: string): boolean => {
    try {
      book.requireGenuine([token]);
      return true;
    } catch {
      return false;
    }
  };
  return {
    requireGenuine() {},
    allowing: (question) => book.allowing({ ...question, tokens: question.tokens.filter(genuine) }),
  };
}
