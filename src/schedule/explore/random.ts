/**
 * Random executions: walks, and PCT (Burckhardt, Kothari, Musuvathi and Nagarakatti, A randomized
 * scheduler with probabilistic guarantees of finding bugs, ASPLOS 2010). For systems too large to
 * be searched; they find, and prove nothing.
 *
 * PCT: actors get random priorities and the highest that can move does; at d - 1 random moves of
 * the first k the actor that is about to move gets a priority below all these, the i-th of the
 * changes (drawn, not in time) always the same. If no execution has more
 * than k moves, one run breaks a promise of depth d (d orderings are enough to break it) with
 * probability at least 1 / (n k^(d-1)) for n actors. A choice's answer is random and outside of
 * the bound.
 *
 * Two things are added for code that spins, which PCT assumes away: an actor whose move leaves the
 * state as it was falls below all others, as it would have moved in vain until the next change; and
 * after k moves the run goes on as a walk.
 */
import { Random } from '../../base/random.ts';
import { actorOf, type Explored, type Move, type Report } from './system.ts';
import { folded } from './visited.ts';

export interface RandomOptions {
  readonly seed: number;
  readonly runs: number;
  /** Moves after which a run is cut; 10 000 unless given. */
  readonly depth?: number;
  /** Asked before each run; true ends the search. */
  readonly isOver?: () => boolean;
  /** Goes on after a violation, to count how many runs end with one. */
  readonly countAll?: boolean;
}

export interface RandomReport extends Report {
  /** Runs that broke a promise. */
  readonly violations: number;
  /** Runs that were cut. */
  readonly cut: number;
}

export interface PctOptions extends RandomOptions {
  /** d: orderings that break the promise; at least 1. */
  readonly bugDepth: number;
  /** k: moves of the longest execution; the longest of 16 walks unless given. */
  readonly length?: number;
}

export interface PctReport extends RandomReport {
  /** n, k and d of the bound. */
  readonly actors: number;
  readonly length: number;
  readonly bugDepth: number;
  /** No run had more than k moves, as the bound demands. */
  readonly isWithinLength: boolean;
  /** Least probability that one run breaks a promise of this depth, if there is one. */
  readonly perRun: number;
  /** The same for all runs together: 1 - (1 - perRun)^runs. */
  readonly overall: number;
}

/** Decides who moves. */
interface Chooser {
  begin(random: Random): void;
  choose(moves: readonly Move[], random: Random): Move;
  /** The last chosen move was taken, and whether the state changed. */
  took(move: Move, hasChanged: boolean): void;
}

const DEPTH = 10_000;
const LENGTH_WALKS = 16;

/** Each actor that can move is equally likely, and so is each of its alternatives. */
export function walkAtRandom(system: Explored, options: RandomOptions): RandomReport {
  return new Runs(system, options, new Walk()).run();
}

export function exploreByPriorities(system: Explored, options: PctOptions): PctReport {
  const { bugDepth } = options;
  const length = options.length ?? measuredLength(system, options);
  const report = new Runs(system, options, new Priorities(system.actors, length, bugDepth)).run();
  const perRun = 1 / (system.actors * length ** (bugDepth - 1));
  return {
    ...report,
    actors: system.actors,
    length,
    bugDepth,
    isWithinLength: report.longest <= length,
    perRun,
    overall: -Math.expm1(report.executions * Math.log1p(-perRun)),
  };
}

function measuredLength(system: Explored, options: PctOptions): number {
  const { seed, depth = DEPTH } = options;
  const walks = { seed, depth, runs: LENGTH_WALKS, countAll: true };
  return Math.max(1, walkAtRandom(system, walks).longest);
}

class Runs {
  readonly #system: Explored;
  readonly #options: RandomOptions;
  readonly #chooser: Chooser;
  readonly #terminals = new Set<number>();
  #path: Move[] = [];
  #message: string | undefined;
  #executions = 0;
  #violations = 0;
  #cut = 0;
  #steps = 0;
  #seen = 0;
  #longest = 0;

  constructor(system: Explored, options: RandomOptions, chooser: Chooser) {
    this.#system = system;
    this.#options = options;
    this.#chooser = chooser;
  }

  run(): RandomReport {
    const { seed, runs, isOver, countAll = false } = this.#options;
    for (let i = 0; i < runs && isOver?.() !== true; i++) {
      const found = this.#once(new Random(seed, i));
      if (found === undefined) continue;
      this.#violations++;
      if (this.#message === undefined) [this.#message, this.#path] = found;
      if (!countAll) break;
    }
    return {
      verdict: this.#message === undefined ? 'unfinished' : 'violated',
      message: this.#message ?? '',
      path: this.#path,
      loop: -1,
      executions: this.#executions,
      states: this.#executions + this.#steps,
      steps: this.#steps,
      exhausted: false,
      seen: this.#seen,
      longest: this.#longest,
      terminals: this.#terminals,
      violations: this.#violations,
      cut: this.#cut,
    };
  }

  /** One run, taken back at its end: what was broken and the moves that led there. */
  #once(random: Random): [string, Move[]] | undefined {
    const system = this.#system;
    const ground = system.depth;
    const path: Move[] = [];
    this.#executions++;
    this.#chooser.begin(random);
    const message = this.#follow(path, random);
    while (system.depth > ground) system.undo();
    this.#longest = Math.max(this.#longest, path.length);
    return message === undefined ? undefined : [message, path];
  }

  #follow(path: Move[], random: Random): string | undefined {
    const system = this.#system;
    const { depth = DEPTH } = this.#options;
    for (;;) {
      const message = system.always();
      if (message !== undefined) return message;
      this.#seen |= system.seen();
      const moves = system.moves();
      if (moves.length === 0) {
        this.#terminals.add(folded(system.hashLow, system.hashHigh));
        return system.atEnd();
      }
      if (path.length === depth) {
        this.#cut++;
        return undefined;
      }
      const move = this.#chooser.choose(moves, random);
      const { hashLow, hashHigh } = system;
      system.take(move);
      this.#steps++;
      path.push(move);
      this.#chooser.took(move, hashLow !== system.hashLow || hashHigh !== system.hashHigh);
    }
  }
}

class Walk implements Chooser {
  begin(): void {}

  choose(moves: readonly Move[], random: Random): Move {
    let actors = 0;
    for (let i = 0; i < moves.length; i++) if (isFirstOfActor(moves, i)) actors++;
    let wanted = random.below(actors);
    for (let i = 0; i < moves.length; i++) {
      if (isFirstOfActor(moves, i) && wanted-- === 0) return alternative(moves, i, random);
    }
    return moves[0]!;
  }

  took(): void {}
}

class Priorities implements Chooser {
  readonly #walk = new Walk();
  readonly #length: number;
  readonly #changes: Int32Array; // moves before which the one that is about to move falls
  readonly #priority: Float64Array; // per actor; all differ
  #taken = 0;
  #lowest = 0;

  constructor(actors: number, length: number, bugDepth: number) {
    this.#length = length;
    this.#changes = new Int32Array(Math.max(0, bugDepth - 1));
    this.#priority = new Float64Array(actors);
  }

  begin(random: Random): void {
    const { length } = this.#priority;
    const lowest = this.#changes.length; // below are those that actors change to: 0, 1, …
    for (let i = 0; i < length; i++) {
      const at = random.below(i + 1); // inside-out shuffle
      this.#priority[i] = this.#priority[at]!;
      this.#priority[at] = lowest + i;
    }
    for (let i = 0; i < this.#changes.length; i++) this.#changes[i] = random.below(this.#length);
    this.#taken = 0;
    this.#lowest = 0;
  }

  choose(moves: readonly Move[], random: Random): Move {
    if (this.#taken >= this.#length) return this.#walk.choose(moves, random);
    for (let i = 0; i < this.#changes.length; i++) {
      if (this.#changes[i] === this.#taken) this.#priority[this.#next(moves)] = i;
    }
    const next = this.#next(moves);
    return alternative(
      moves,
      moves.findIndex((move) => actorOf(move) === next),
      random,
    );
  }

  took(move: Move, hasChanged: boolean): void {
    this.#taken++;
    if (!hasChanged) this.#priority[actorOf(move)] = --this.#lowest;
  }

  /** The actor with the highest priority of those that can move. */
  #next(moves: readonly Move[]): number {
    let best = actorOf(moves[0]!);
    for (const move of moves) {
      const actor = actorOf(move);
      if (this.#priority[actor]! > this.#priority[best]!) best = actor;
    }
    return best;
  }
}

function isFirstOfActor(moves: readonly Move[], i: number): boolean {
  return i === 0 || actorOf(moves[i]!) !== actorOf(moves[i - 1]!);
}

/** One of the moves of the actor whose first move is at `first`. */
function alternative(moves: readonly Move[], first: number, random: Random): Move {
  let end = first + 1;
  while (end < moves.length && !isFirstOfActor(moves, end)) end++;
  return end === first + 1 ? moves[first]! : moves[first + random.below(end - first)]!;
}
