/**
 * A simpler execution that breaks the same promise: fewer preemptions first, then fewer moves, then
 * fewer switches between tasks, for these are what a reader has to follow.
 *
 * First by leaving out (delta debugging: Zeller and Hildebrandt, IEEE TSE 28(2), 2002): stretches
 * of moves are left out or shifted to others of their task, and what still breaks the promise at
 * less cost is kept, down to a local minimum. Then by search: with 0 preemptions, then 1, and so
 * on; for each, the least depth is bracketed by doubling and then halved in, each by a whole search
 * within both bounds (stateful.ts). A path is called minimal only if every search of less was
 * exhausted before the budget was.
 */
import { defect } from '../../base/assert.ts';
import { exploreStateful } from './stateful.ts';
import { actorOf, type Explored, type Move } from './system.ts';

export interface MinimiseOptions {
  /** The system at its start. */
  readonly fresh: () => Explored;
  /** Moves that break a promise, without a loop: a livelock's path is the shortest already. */
  readonly path: readonly Move[];
  /** Whether a message tells of the same broken promise. */
  readonly isSame: (message: string) => boolean;
  /** Moves to be taken in all, about; three quarters of them are for the search. */
  readonly steps: number;
  readonly isOver?: () => boolean;
}

/** What an execution asks of its reader. */
export interface Cost {
  readonly preemptions: number;
  readonly moves: number;
  /** Changes of the task that moves, its hardware included. */
  readonly switches: number;
}

export interface Minimised extends Cost {
  readonly path: readonly Move[];
  readonly message: string;
  /**
   * `minimal`: no execution breaks the promise with fewer preemptions, nor with as many and fewer
   * moves. `shortened`: by search or by leaving out; `given`: nothing less was found.
   */
  readonly how: 'minimal' | 'shortened' | 'given';
  /** The same in a sentence, with what was shown before the budget ended. */
  readonly says: string;
  /** Moves taken. */
  readonly steps: number;
}

export function minimise(options: MinimiseOptions): Minimised {
  const system = options.fresh();
  const replay = new Replay(system, options.isSame);
  const given = replay.run(options.path, 0);
  if (given === undefined || given.path.length !== options.path.length) {
    defect('minimise', 'the given path does not break the promise with its last move');
  }
  const reduced = new Reduction(system, options, replay).run(given, options.steps / 4);
  const search = new Search(system, options, replay, reduced);
  const isMinimal = search.run();
  // What the search found may have needless switches.
  const best = new Reduction(system, options, replay).run(search.best, options.steps);
  const again = new Replay(options.fresh(), options.isSame).run(best.path, 0);
  if (again === undefined || again.path.length !== best.path.length) {
    defect('minimise', 'the path does not break the promise in a fresh system: undo is not exact');
  }
  const { path, message, preemptions, moves, switches } = best;
  const how = isMinimal ? 'minimal' : best === given ? 'given' : 'shortened';
  const says = sentence(best, how, search);
  return { path, message, preemptions, moves, switches, how, says, steps: replay.steps };
}

function sentence(best: Cost, how: Minimised['how'], { excluded }: Search): string {
  const size = `${counted(best.preemptions, 'preemption')}, ${counted(best.moves, 'move')}`;
  if (how === 'minimal') {
    const less = 'with fewer preemptions, nor with as many and fewer moves';
    return `minimal (${size}): it is not broken ${less}`;
  }
  const known: string[] = [];
  const least = counted(excluded.preemptions, 'preemption');
  if (excluded.preemptions > 0) known.push(`fewer than ${least}`);
  if (excluded.moves > 0) known.push(`${least} and fewer than ${counted(excluded.moves, 'move')}`);
  const shown = known.length === 0 ? '' : `; it is not broken with ${known.join(', nor with ')}`;
  const origin = how === 'given' ? 'as it was found' : 'shortened';
  return `${origin} (${size}), not known to be minimal${shown}`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** An execution that breaks the promise with its last move, or at its end. */
interface Breaking extends Cost {
  readonly path: readonly Move[];
  readonly message: string;
}

function isLess(a: Cost, b: Cost): boolean {
  if (a.preemptions !== b.preemptions) return a.preemptions < b.preemptions;
  if (a.moves !== b.moves) return a.moves < b.moves;
  return a.switches < b.switches;
}

/** Runs moves as far as they fit. */
class Replay {
  readonly #system: Explored;
  readonly #isSame: (message: string) => boolean;
  /** Moves taken, those of searches included. */
  steps = 0;

  constructor(system: Explored, isSame: (message: string) => boolean) {
    this.#system = system;
    this.#isSame = isSame;
  }

  /**
   * Takes those of `wanted` that are possible when their turn comes, then goes on, with the task
   * that moved last if it can, to at most `most` moves. Answers what it took if that breaks the
   * promise, and takes all back.
   */
  run(wanted: readonly Move[], most: number): Breaking | undefined {
    const system = this.#system;
    const ground = system.depth;
    const path: Move[] = [];
    let preemptions = 0;
    let switches = 0;
    let last = -1; // task whose code moved last
    let mover = -1; // task that moved last
    let message = system.always();
    for (let i = 0; message === undefined; ) {
      const moves = system.moves();
      if (moves.length === 0) {
        message = system.atEnd();
        break;
      }
      if (i >= wanted.length && path.length >= most) break;
      const move = i < wanted.length ? wanted[i++]! : this.#goOn(moves, last);
      if (!moves.includes(move)) continue;
      const task = system.taskOf(actorOf(move));
      if (task !== mover && mover !== -1) switches++;
      mover = task;
      if (system.isTask(actorOf(move))) {
        if (task !== last && moves.some((one) => this.#isCodeOf(one, last))) preemptions++;
        last = task;
      }
      path.push(move);
      system.take(move);
      message = system.always();
    }
    this.steps += path.length;
    while (system.depth > ground) system.undo();
    if (message === undefined || !this.#isSame(message)) return undefined;
    return { path, message, preemptions, moves: path.length, switches };
  }

  #goOn(moves: readonly Move[], last: number): Move {
    return moves.find((move) => this.#isCodeOf(move, last)) ?? moves[0]!;
  }

  #isCodeOf(move: Move, task: number): boolean {
    return this.#system.isTask(actorOf(move)) && this.#system.taskOf(actorOf(move)) === task;
  }
}

const FIRST_DEPTH = 8;

/** Searches of growing bounds. */
class Search {
  readonly #system: Explored;
  readonly #options: MinimiseOptions;
  readonly #replay: Replay;
  best: Breaking;
  /**
   * The promise holds in all executions with fewer preemptions than these, and in those with as
   * many and fewer moves than these.
   */
  excluded = { preemptions: 0, moves: 0 };

  constructor(system: Explored, options: MinimiseOptions, replay: Replay, best: Breaking) {
    this.#system = system;
    this.#options = options;
    this.#replay = replay;
    this.best = best;
  }

  /** Whether `best` is minimal. */
  run(): boolean {
    while (this.excluded.preemptions < this.best.preemptions) {
      const outcome = this.#bracket(this.excluded.preemptions);
      if (outcome === 'broken') break;
      if (outcome === 'unfinished') return false;
      this.excluded = { preemptions: this.excluded.preemptions + 1, moves: 0 };
    }
    return this.#shorten();
  }

  /** Whether the promise is broken with so many preemptions, by searches of doubled depth. */
  #bracket(preemptions: number): 'broken' | 'holds' | 'unfinished' {
    for (let depth = FIRST_DEPTH; ; depth *= 2) {
      const outcome = this.#within(preemptions, depth);
      if (outcome !== 'cut') return outcome;
    }
  }

  /** Finds the least depth for the preemptions of `best`; false if the budget ends before. */
  #shorten(): boolean {
    const { preemptions } = this.best;
    let depth = FIRST_DEPTH;
    while (this.excluded.moves < this.best.moves) {
      // Doubling first, for searches of small depth are cheap; then halving what is left.
      const middle = Math.floor((this.excluded.moves + this.best.moves - 1) / 2);
      while (depth <= this.excluded.moves) depth *= 2;
      const outcome = this.#within(preemptions, Math.min(depth, middle));
      if (outcome === 'unfinished') return false;
      if (outcome === 'holds') return defect('minimise', 'a search missed a path that is known');
    }
    return true;
  }

  /** One search; `cut` if it was exhausted within the depth, but executions go on below it. */
  #within(preemptions: number, depth: number): 'broken' | 'holds' | 'cut' | 'unfinished' {
    const { isOver } = this.#options;
    const report = exploreStateful(this.#system, {
      preemptions,
      depth,
      steps: this.#options.steps - this.#replay.steps,
      isWanted: this.#options.isSame,
      ...(isOver === undefined ? {} : { isOver }),
    });
    this.#replay.steps += report.steps;
    if (report.verdict === 'violated') {
      this.best = this.#replay.run(report.path, 0) ?? defect('minimise', 'a search found nothing');
      return 'broken';
    }
    if (report.verdict === 'unfinished') return 'unfinished';
    this.excluded = { preemptions, moves: depth + 1 };
    return report.longest < depth ? 'holds' : 'cut';
  }
}

/** Delta debugging of a path. */
class Reduction {
  readonly #system: Explored;
  readonly #options: MinimiseOptions;
  readonly #replay: Replay;
  #best!: Breaking;
  #until = 0;

  constructor(system: Explored, options: MinimiseOptions, replay: Replay) {
    this.#system = system;
    this.#options = options;
    this.#replay = replay;
  }

  /** Until nothing helps, or so many moves were taken in all. */
  run(path: Breaking, until: number): Breaking {
    this.#best = path;
    this.#until = until;
    for (let before: Breaking | undefined; this.#best !== before && !this.#isOver(); ) {
      before = this.#best;
      this.#leaveOut();
      this.#shift();
    }
    return this.#best;
  }

  #isOver(): boolean {
    return this.#replay.steps >= this.#until || this.#options.isOver?.() === true;
  }

  #try(moves: readonly Move[]): boolean {
    const found = this.#replay.run(moves, this.#best.moves);
    if (found === undefined || !isLess(found, this.#best)) return false;
    this.#best = found;
    return true;
  }

  #leaveOut(): void {
    for (let size = this.#best.path.length; size >= 1; size = Math.floor(size / 2)) {
      for (let from = 0; from < this.#best.path.length && !this.#isOver(); ) {
        const { path } = this.#best;
        if (!this.#try([...path.slice(0, from), ...path.slice(from + size)])) from += size;
      }
    }
  }

  /** Each stretch of one task's moves elsewhere: best next to another of the same task. */
  #shift(): void {
    for (let from = 0; from < this.#stretches().length; from++) {
      for (let to = 0; to < this.#stretches().length && !this.#isOver(); to++) {
        const stretches = this.#stretches();
        stretches.splice(to, 0, ...stretches.splice(from, 1));
        this.#try(stretches.flatMap(({ moves }) => moves));
      }
    }
  }

  #stretches(): { task: number; moves: Move[] }[] {
    const all: { task: number; moves: Move[] }[] = [];
    for (const move of this.#best.path) {
      const task = this.#system.taskOf(actorOf(move));
      const last = all.at(-1);
      if (last?.task === task) last.moves.push(move);
      else all.push({ task, moves: [move] });
    }
    return all;
  }
}
