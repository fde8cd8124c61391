/**
 * The naive explorer: every order of moves, one after the other, by running from the start along a
 * path of moves. It reduces nothing; with `merge: 'states'` it does not go on from a state that it
 * has seen (53-bit hashes of the whole state, so n states are told apart but for a chance of about
 * n² / 2^54). It is slow and simple on purpose: the oracle of every cleverer engine.
 *
 * Bounds, each named in the report: limits on labels that a spinning processor repeats, a number of
 * preemptions, a number of executions.
 */
import { type ExploredEngine, Hasher } from './engine.ts';
import { isAct, type Limit, type Move, processorOf, Stage } from './stage.ts';

/** A system in its initial state, and what must hold in it. */
export interface Scene {
  readonly engine: ExploredEngine;
  /** After every move: a sentence if a promise is broken. */
  readonly always: () => string | undefined;
  /** When nothing can move and all code has ended. */
  readonly atQuiescence: () => string | undefined;
}

export interface NaiveOptions {
  /** Builds the same scene every time. */
  readonly build: () => Scene;
  readonly merge: 'states' | 'nothing';
  readonly limits?: readonly Limit[];
  /** Switches away from a processor that could have gone on; all if undefined. */
  readonly preemptions?: number;
  readonly maxExecutions?: number;
}

export interface NaiveReport {
  readonly verdict: 'holds' | 'violated' | 'unfinished';
  /** The broken promise in one sentence; '' if none is. */
  readonly message: string;
  /** Moves that lead to the violation, named. */
  readonly schedule: readonly string[];
  readonly executions: number;
  /** Distinct states; with `merge: 'nothing'`, states visited. */
  readonly states: number;
  /** Moves taken, repeated prefixes included. */
  readonly steps: number;
  /** Executions that reached quiescence. */
  readonly complete: number;
  /** Hashes of quiescent states: what any sound reduction must reach too. */
  readonly terminals: ReadonlySet<number>;
  /** Executions that ended at a limit. */
  readonly cut: number;
  readonly longest: number;
}

/** A path of moves, sharing its prefix with others. */
interface Path {
  readonly before: Path | undefined;
  readonly move: Move;
  /** Switches away from a runnable processor so far, and whose code moved last. */
  readonly preemptions: number;
  readonly last: number;
}

const START: Path = { before: undefined, move: -1, preemptions: 0, last: -1 };

export function exploreNaively(options: NaiveOptions): NaiveReport {
  return new Search(options).run();
}

class Search {
  readonly #options: NaiveOptions;
  readonly #pending: Path[] = [START];
  /** Preemptions with which a state was reached at least. */
  readonly #seen = new Map<number, number>();
  readonly #terminals = new Set<number>();
  #executions = 0;
  #states = 0;
  #steps = 0;
  #complete = 0;
  #cut = 0;
  #longest = 0;

  constructor(options: NaiveOptions) {
    this.#options = options;
  }

  run(): NaiveReport {
    const most = this.#options.maxExecutions ?? Number.POSITIVE_INFINITY;
    while (this.#pending.length > 0) {
      if (this.#executions === most) return this.#report('unfinished', '', undefined);
      const path = this.#pending.pop()!;
      const broken = this.#execute(path);
      if (broken !== undefined) return this.#report('violated', broken.message, broken.path);
    }
    return this.#report('holds', '', undefined);
  }

  /** Replays `path`, then goes on with the first possible move; leaves the others for later. */
  #execute(path: Path): { message: string; path: Path } | undefined {
    const scene = this.#options.build();
    const stage = new Stage(scene.engine, this.#options.limits ?? []);
    this.#executions++;
    for (const move of movesOf(path)) stage.take(move);
    let at = path;
    for (;;) {
      const message = scene.always();
      if (message !== undefined) return { message, path: at };
      if (this.#isKnown(stage, at)) break;
      const next = this.#choices(stage, at);
      if (next.length === 0) {
        const end = this.#end(stage, scene);
        if (end !== undefined) return { message: end, path: at };
        break;
      }
      for (let i = next.length - 1; i > 0; i--) this.#pending.push(next[i]!);
      at = next[0]!;
      stage.take(at.move);
    }
    this.#steps += stage.length;
    if (stage.length > this.#longest) this.#longest = stage.length;
    return undefined;
  }

  #isKnown(stage: Stage, at: Path): boolean {
    if (this.#options.merge === 'nothing') {
      this.#states++;
      return false;
    }
    const bounded = this.#options.preemptions !== undefined;
    const hasher = new Hasher();
    hasher.add(stage.fingerprint());
    if (bounded) hasher.add(at.last); // what may still follow depends on it
    const print = hasher.value;
    const spent = bounded ? at.preemptions : 0;
    const before = this.#seen.get(print);
    if (before !== undefined && before <= spent) return true;
    if (before === undefined) this.#states++;
    this.#seen.set(print, spent);
    return false;
  }

  /** Paths one move longer; whose code moved last goes first. */
  #choices(stage: Stage, at: Path): Path[] {
    const moves = stage.moves();
    const goesOn = moves.some((move) => isAct(move) && processorOf(move) === at.last);
    const bound = this.#options.preemptions ?? Number.POSITIVE_INFINITY;
    const found: Path[] = [];
    for (const move of moves) {
      const own = isAct(move);
      const last = own ? processorOf(move) : at.last;
      const preempts = own && goesOn && last !== at.last ? 1 : 0;
      const preemptions = at.preemptions + preempts;
      if (preemptions > bound) continue;
      const path = { before: at, move, preemptions, last };
      if (own && preempts === 0) found.unshift(path);
      else found.push(path);
    }
    return found;
  }

  /** Nothing can move: quiescence, a limit, or a deadlock. */
  #end(stage: Stage, scene: Scene): string | undefined {
    if (stage.cut) {
      this.#cut++;
      return undefined;
    }
    const waiting = stage.unfinished();
    if (waiting.length > 0) return `deadlock: ${waiting.join(' and ')} wait for ever`;
    this.#complete++;
    this.#terminals.add(stage.fingerprint());
    return scene.atQuiescence();
  }

  #report(verdict: NaiveReport['verdict'], message: string, path: Path | undefined): NaiveReport {
    return {
      verdict,
      message,
      schedule: path === undefined ? [] : describe(this.#options, movesOf(path)),
      executions: this.#executions,
      states: this.#states,
      steps: this.#steps,
      complete: this.#complete,
      terminals: this.#terminals,
      cut: this.#cut,
      longest: this.#longest,
    };
  }
}

function movesOf(path: Path): Move[] {
  const moves: Move[] = [];
  for (let at = path; at.before !== undefined; at = at.before) moves.push(at.move);
  return moves.reverse();
}

/** The same moves with their names, by running them once more. */
function describe(options: NaiveOptions, moves: readonly Move[]): string[] {
  const stage = new Stage(options.build().engine, options.limits ?? []);
  return moves.map((move) => {
    const name = stage.describe(move);
    stage.take(move);
    return name;
  });
}

/**
 * Looks for a violation with as few preemptions as possible: the schedule that is easiest to read.
 */
export function findSimplest(options: NaiveOptions, most: number): NaiveReport {
  let report = exploreNaively({ ...options, preemptions: 0 });
  for (let bound = 1; bound <= most && report.verdict === 'holds'; bound++) {
    report = exploreNaively({ ...options, preemptions: bound });
  }
  return report;
}
