/**
 * Two culprits, two words (DESIGN.md law 8): a `defect` says that kpop itself is wrong, a
 * `violation` says that the design under test broke a promise. Never one for the other.
 */

export class Defect extends Error {
  override readonly name = 'Defect';
}

export class Violation extends Error {
  override readonly name = 'Violation';
  readonly promise: string;

  constructor(promise: string, message: string) {
    super(message);
    this.promise = promise;
  }
}

/** kpop itself is wrong: `where` names the function, `fact` what should have been true. */
export function defect(where: string, fact: string): never {
  throw new Defect(`${where}: ${fact}`);
}

/** The design broke `promise`: `message` names the page and the two values that disagree. */
export function violation(promise: string, message: string): never {
  throw new Violation(promise, message);
}

export function assertUnreachable(value: never): never {
  return defect('assertUnreachable', `unexpected value ${String(value)}`);
}
