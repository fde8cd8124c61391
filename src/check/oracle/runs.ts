/**
 * Where a specification may stand: an abstract state, and for each operation that is under way how
 * far it has come. What is known of an execution is a set of such runs, each an explanation of all
 * that was seen; no run left means that nothing explains it.
 */
import type { Call, Specification, Step } from './specification.ts';

/** One explanation. */
export interface Run {
  /** Number of its abstract state. */
  readonly state: number;
  /** Per caller with an operation under way, in the order of the callers: where it stands. */
  readonly at: readonly (number | string)[];
}

/** Abstract states by number, so that they are compared and kept as numbers. */
export class States<S> {
  readonly #specification: Specification<S>;
  readonly #states: S[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #steps = new Map<string, readonly Step<number>[]>();
  readonly #visible: number[] = [];

  constructor(specification: Specification<S>) {
    this.#specification = specification;
  }

  number(state: S): number {
    const key = this.#specification.key(state);
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    this.#numbers.set(key, this.#states.length);
    return this.#states.push(state) - 1;
  }

  at(number: number): S {
    return this.#states[number]!;
  }

  /** The number of what words tell of a state. */
  visible(number: number): number {
    const known = this.#visible[number];
    if (known !== undefined) return known;
    const visible = this.number(this.#specification.visible(this.at(number)));
    this.#visible[number] = visible;
    return visible;
  }

  ceased(before: number, after: number): number {
    if (this.visible(before) === after) return before;
    return this.number(this.#specification.ceased(this.at(before), this.at(after)));
  }

  steps(state: number, call: Call, at: number): readonly Step<number>[] {
    const key = `${state} ${at} ${call.operation} ${call.args}`;
    let steps = this.#steps.get(key);
    if (steps === undefined) {
      steps = this.#specification
        .steps(this.at(state), call, at)
        .map((step) => ({ state: this.number(step.state), at: step.at }));
      this.#steps.set(key, steps);
    }
    return steps;
  }
}

/** A set of runs in the order of their keys, each once. */
export function runsOf(runs: Iterable<Run>): readonly Run[] {
  const byKey = new Map<string, Run>();
  for (const run of runs) byKey.set(keyOf(run), run);
  return [...byKey].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, run]) => run);
}

export function keyOf({ state, at }: Run): string {
  return `${state}:${at}`;
}

/**
 * All runs that can follow on `runs` by steps of the operations under way (`calls`, in the order of
 * `Run.at`), those included. `goesOn` says from which runs, and `isAllowed` by which steps.
 */
export function closure<S>(
  states: States<S>,
  calls: readonly Call[],
  runs: readonly Run[],
  options: {
    readonly goesOn?: (run: Run) => boolean;
    readonly isAllowed?: (caller: number, before: Run, after: Run) => boolean;
  },
): readonly Run[] {
  const found = new Map(runs.map((run) => [keyOf(run), run]));
  for (const run of found.values()) {
    if (options.goesOn?.(run) === false) continue;
    calls.forEach((call, caller) => {
      const at = run.at[caller]!;
      if (typeof at === 'string') return;
      for (const step of states.steps(run.state, call, at)) {
        const after = { state: step.state, at: run.at.with(caller, step.at) };
        const key = keyOf(after);
        if (found.has(key) || options.isAllowed?.(caller, run, after) === false) continue;
        found.set(key, after); // and visited in its turn: a Map grows while it is walked
      }
    });
  }
  return [...found.values()];
}
