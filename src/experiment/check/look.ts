/**
 * How far a system is looked at: first the goal (everything, or all with so many preemptions), by
 * the stateful engine; if the budget ends before, everything with 0, 1, 2, … preemptions; at last a
 * sample of random executions. When a counterexample is expected few preemptions come first, for
 * they find it sooner.
 */
import { exploreByPriorities } from '../../schedule/explore/random.ts';
import { exploreStateful } from '../../schedule/explore/stateful.ts';
import type { Explored, Move, Report } from '../../schedule/explore/system.ts';
import type { Bounds } from './pieces.ts';

export interface Look {
  readonly verdict: 'holds' | 'violated' | 'unfinished';
  /** `<promise>: <sentence>`; '' if none is broken. */
  readonly message: string;
  readonly path: readonly Move[];
  readonly executions: number;
  /** Distinct states of the largest single search. */
  readonly states: number;
  readonly steps: number;
  /** Preemptions up to which all was looked at; -1 for none, infinite for everything. */
  readonly preemptions: number;
  /** Executions were cut after so many moves; infinite unless they were. */
  readonly depth: number;
  /** Bits of `sometimes` promises seen. */
  readonly seen: number;
  readonly collision: number;
  /** Random executions, and the depth of bugs that they find with which probability at least. */
  readonly sample: { readonly runs: number; readonly depth: number; readonly overall: number };
}

/** Searches with more preemptions than these are left to the one without a bound. */
const MOST_PREEMPTIONS = 6;
/** Where a counterexample is expected, what is tried before everything. */
const FIRST_PREEMPTIONS = 2;
/** Part of the budget that the search for the goal gets. */
const SHARE_OF_GOAL = 0.6;
/** Moves of an execution of weakened code, which may go on for ever with ever new states. */
const HUNT_DEPTH = 400;
const SAMPLE = { depth: 3, moves: 10_000, part: 0.05, mostRuns: 300 };

export interface LookOptions {
  readonly bounds: Bounds;
  /** A counterexample is expected. */
  readonly hunts: boolean;
  readonly isOver: () => boolean;
}

export function lookAt(system: Explored, options: LookOptions): Look {
  return new Looking(system, options).run();
}

class Looking {
  readonly #system: Explored;
  readonly #options: LookOptions;
  #steps = 0;
  #executions = 0;
  #states = 0;
  #seen = 0;
  #collision = 0;
  #preemptions = -1;
  #depth = Number.POSITIVE_INFINITY;
  #broken: Report | undefined;
  #sample = { runs: 0, depth: SAMPLE.depth, overall: 0 };

  constructor(system: Explored, options: LookOptions) {
    this.#system = system;
    this.#options = options;
  }

  run(): Look {
    const { hunts, bounds } = this.#options;
    const { goal } = bounds;
    if (hunts) this.#rising(goal === 'all' ? FIRST_PREEMPTIONS : goal);
    else this.#goal(bounds.steps * SHARE_OF_GOAL);
    if (hunts && goal === 'all') this.#goal(bounds.steps);
    if (!hunts) this.#rising(goal === 'all' ? MOST_PREEMPTIONS : goal);
    const isReached = this.#preemptions >= (goal === 'all' ? Number.POSITIVE_INFINITY : goal);
    if (!isReached && !hunts) this.#random();
    const broken = this.#broken;
    return {
      verdict: broken !== undefined ? 'violated' : isReached ? 'holds' : 'unfinished',
      message: broken?.message ?? '',
      path: broken?.path ?? [],
      executions: this.#executions,
      states: this.#states,
      steps: this.#steps,
      preemptions: this.#preemptions,
      depth: this.#depth,
      seen: this.#seen,
      collision: this.#collision,
      sample: this.#sample,
    };
  }

  get #isDone(): boolean {
    return this.#broken !== undefined || this.#options.isOver();
  }

  #goal(steps: number): void {
    if (this.#isDone || this.#preemptions === Number.POSITIVE_INFINITY) return;
    const { goal } = this.#options.bounds;
    if (!this.#search(steps, goal === 'all' ? undefined : goal)) return;
    this.#preemptions = Math.max(
      this.#preemptions,
      goal === 'all' ? Number.POSITIVE_INFINITY : goal,
    );
  }

  /** With 0 preemptions, then 1, and so on, until one is not exhausted. */
  #rising(most: number): void {
    for (let preemptions = 0; preemptions <= most; preemptions++) {
      const left = this.#options.bounds.steps - this.#steps;
      if (this.#isDone || left <= 0 || this.#preemptions >= preemptions) return;
      if (!this.#search(left, preemptions)) return;
      this.#preemptions = Math.max(this.#preemptions, preemptions);
    }
  }

  /** Whether the search was exhausted; without any move cut off, everything was. */
  #search(steps: number, preemptions: number | undefined): boolean {
    const { isOver, hunts } = this.#options;
    const report = exploreStateful(this.#system, {
      steps,
      isOver,
      ...(hunts ? { depth: HUNT_DEPTH } : {}),
      ...(preemptions === undefined ? {} : { preemptions }),
    });
    this.#add(report);
    this.#collision = Math.max(this.#collision, report.collision);
    if (hunts && report.longest >= HUNT_DEPTH) this.#depth = HUNT_DEPTH;
    if (report.exhausted && report.cut === 0) this.#preemptions = Number.POSITIVE_INFINITY;
    return report.exhausted;
  }

  #random(): void {
    if (this.#isDone) return;
    const { seed, steps } = this.#options.bounds;
    const most = this.#steps + Math.max(steps * SAMPLE.part, SAMPLE.moves);
    let taken = this.#steps;
    const isOver = (): boolean => {
      taken += 100; // a run is about so long
      return taken > most || this.#options.isOver();
    };
    const report = exploreByPriorities(this.#system, {
      seed,
      runs: SAMPLE.mostRuns,
      bugDepth: SAMPLE.depth,
      depth: SAMPLE.moves,
      isOver,
    });
    this.#add(report);
    const { executions: runs, overall } = report;
    this.#sample = { runs, depth: SAMPLE.depth, overall };
  }

  #add(report: Report): void {
    this.#steps += report.steps;
    this.#executions += report.executions;
    this.#states = Math.max(this.#states, report.states);
    this.#seen |= report.seen;
    if (report.verdict === 'violated') this.#broken = report;
  }
}
