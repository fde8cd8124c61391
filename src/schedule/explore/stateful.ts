/**
 * Depth-first search that does not go on from a state that it has seen (by 64-bit hash: see
 * visited.ts), taking moves and taking them back. The task that moved last goes on first, so that
 * a violation has few switches, if not the fewest (minimise.ts).
 *
 * With a bound on preemptions what may follow a state depends on the task that moved last and on
 * the preemptions spent, and with a bound on depth on the moves taken. These are not hashed into
 * the state: the set keeps for each state and last task (and for each number of preemptions, if
 * depth is bounded too) the least that was spent on the way, and the search goes on when it arrives
 * with less. So a state counts once, and no key loses bits.
 */
import { defect } from '../../base/assert.ts';
import { enlarged } from './arrays.ts';
import { ACTORS, Sleep } from './sleep.ts';
import { actorOf, type Bounds, type Explored, type Move, type Report } from './system.ts';
import { folded, UNSET, Visited } from './visited.ts';

export interface StatefulOptions extends Bounds {
  /** Sleep sets (sleep.ts): as many states by fewer moves. Not with preemptions or depth. */
  readonly sleep?: boolean;
  /**
   * Whether a broken promise ends the search; every one does unless given. An execution always ends
   * with the promise it breaks: nothing is claimed of what follows.
   */
  readonly isWanted?: (message: string) => boolean;
  /** Leaves out what soundness rests on, so that tests see their comparisons fail. */
  readonly weaken?: 'last-task' | 'least-spent' | 'stored-sleep';
}

export interface StatefulReport extends Report {
  /** Moves that were not taken because of a bound: with 0, `holds` holds without bounds too. */
  readonly cut: number;
  /** Bound on the probability that two states were taken for one. */
  readonly collision: number;
}

/** Explores from the state that `system` is in, and leaves it in that state. */
export function exploreStateful(system: Explored, options: StatefulOptions = {}): StatefulReport {
  return new Search(system, options).run();
}

const NO_TASK = -1;
const PATIENCE = 512; // moves between two questions whether time is over

class Search {
  readonly #system: Explored;
  readonly #options: StatefulOptions;
  readonly #sleep: Sleep | undefined;
  readonly #most: number; // preemptions
  readonly #deepest: number;
  readonly #perTask: number; // columns of the set per last task
  readonly #visited: Visited;
  readonly #codeOf: Int32Array; // task whose code an actor is; NO_TASK for hardware
  // The stack: one row per state on it.
  #height = 0;
  #next = new Int32Array(256); // into #moves: first move not yet taken
  #end = new Int32Array(256); // past the last move; the moves of the next row begin here
  #last = new Int32Array(256); // task that moved last
  #spent = new Int32Array(256); // preemptions
  #goesOn = new Int32Array(256); // whether the task that moved last can move
  #moves = new Int32Array(4096);
  // Of the state arrived at, with sleep sets: actors to go on with, and those that stay asleep.
  #awake = 0;
  #asleep = 0;
  readonly #terminals = new Set<number>();
  #hasGivenUp = false;
  #isBack = false; // the last thing done was to take a move back
  #executions = 1;
  #steps = 0;
  #cut = 0;
  #seen = 0;
  #longest = 0;

  constructor(system: Explored, options: StatefulOptions) {
    this.#system = system;
    this.#options = options;
    this.#most = options.preemptions ?? Number.POSITIVE_INFINITY;
    this.#deepest = options.depth ?? Number.POSITIVE_INFINITY;
    const countsPreemptions = Number.isFinite(this.#most);
    const isBounded = countsPreemptions || Number.isFinite(this.#deepest);
    if (options.sleep === true && isBounded) {
      // What a sleeping actor would do was seen in another order: with other switches.
      defect('exploreStateful', 'sleep sets lose executions under a bound on preemptions or depth');
    }
    this.#sleep = options.sleep === true ? new Sleep(system) : undefined;
    this.#codeOf = new Int32Array(system.actors).fill(NO_TASK);
    let tasks = 0;
    for (let actor = 0; actor < system.actors; actor++) {
      if (system.isTask(actor)) this.#codeOf[actor] = system.taskOf(actor);
      tasks = Math.max(tasks, system.taskOf(actor) + 1);
    }
    const isTwofold = countsPreemptions && Number.isFinite(this.#deepest);
    this.#perTask = isTwofold ? this.#most + 1 : 1;
    const columns = countsPreemptions ? (tasks + 1) * this.#perTask : 1;
    // Kept with a state: the least depth, or the fewest preemptions, or a mask of actors asleep.
    const most = Number.isFinite(this.#deepest) || !countsPreemptions ? undefined : this.#most;
    this.#visited = new Visited(isBounded || this.#sleep !== undefined ? columns : 0, most);
  }

  run(): StatefulReport {
    const system = this.#system;
    const ground = system.depth;
    const message = this.#wanted(system.always()) ?? this.#begin() ?? this.#search();
    const path = message === undefined ? [] : this.#path(system.depth - ground);
    while (system.depth > ground) system.undo();
    const isWhole = message === undefined && !this.#hasGivenUp;
    return {
      verdict: message !== undefined ? 'violated' : isWhole ? 'holds' : 'unfinished',
      message: message ?? '',
      path,
      loop: -1,
      executions: this.#executions,
      states: this.#visited.count,
      steps: this.#steps,
      exhausted: isWhole,
      seen: this.#seen,
      longest: this.#longest,
      terminals: this.#terminals,
      cut: this.#cut,
      collision: this.#visited.collision,
    };
  }

  #begin(): string | undefined {
    return this.#arrive(0, NO_TASK, 0, 0);
  }

  /** Until everything was looked at, a promise is broken (the answer), or it gives up. */
  #search(): string | undefined {
    const { isOver, steps: most = Number.POSITIVE_INFINITY } = this.#options;
    while (this.#height > 0) {
      const row = this.#height - 1;
      const at = this.#next[row]!;
      if (at === this.#end[row]) {
        this.#leave(row);
        continue;
      }
      if (this.#steps >= most || (this.#steps % PATIENCE === 0 && isOver?.() === true)) {
        this.#hasGivenUp = true;
        return undefined;
      }
      this.#next[row] = at + 1;
      const message = this.#advance(row, this.#moves[at]!);
      if (message !== undefined) return message;
    }
    return undefined;
  }

  #leave(row: number): void {
    this.#height = row;
    this.#sleep?.pop(row);
    if (row > 0) this.#back();
  }

  #back(): void {
    this.#system.undo();
    this.#isBack = true;
  }

  /** Takes a move of the state in `row`, and takes it back unless there is more to do after it. */
  #advance(row: number, move: Move): string | undefined {
    const code = this.#codeOf[actorOf(move)]!;
    let last = this.#last[row]!;
    let spent = this.#spent[row]!;
    if (code !== NO_TASK && code !== last) {
      spent += this.#goesOn[row]!;
      last = code;
    }
    if (spent > this.#most) {
      this.#cut++;
      return undefined;
    }
    this.#system.take(move);
    this.#steps++;
    if (this.#isBack) this.#executions++;
    this.#isBack = false;
    if (row >= this.#longest) this.#longest = row + 1;
    this.#sleep?.took(row, move);
    const broken = this.#system.always();
    if (broken !== undefined) {
      if (this.#wanted(broken) !== undefined) return broken;
    } else {
      const message = this.#arrive(row + 1, last, spent, this.#sleep?.after(row) ?? 0);
      if (message !== undefined) return message;
    }
    if (this.#height === row + 1) this.#back();
    return undefined;
  }

  #wanted(message: string | undefined): string | undefined {
    if (message === undefined) return undefined;
    return this.#options.isWanted?.(message) === false ? undefined : message;
  }

  /** Meets a state, and puts it on the stack if there is more to do from it. */
  #arrive(row: number, last: number, spent: number, asleep: number): string | undefined {
    const system = this.#system;
    const slot = this.#visited.enter(system.hashLow, system.hashHigh);
    const { isNew } = this.#visited;
    // Not of new states only: it is the move that is seen, and another may have led here first.
    this.#seen |= system.seen();
    const isKnown =
      this.#sleep === undefined
        ? this.#isKnown(slot, row, last, spent)
        : !this.#wakes(slot, isNew, asleep);
    if (isKnown) return undefined;
    const moves = system.moves();
    if (moves.length === 0) {
      if (!isNew) return undefined;
      this.#terminals.add(folded(system.hashLow, system.hashHigh));
      return this.#wanted(system.atEnd());
    }
    if (row >= this.#deepest) this.#cut += moves.length;
    else this.#open(row, moves, last, spent, isNew);
    return undefined;
  }

  /** Whether the search went on from this state after no more than was spent this time. */
  #isKnown(slot: number, row: number, last: number, spent: number): boolean {
    const { weaken } = this.#options;
    const visited = this.#visited;
    if (visited.width === 0) return !visited.isNew;
    const isOne = !Number.isFinite(this.#most) || weaken === 'last-task';
    const task = isOne ? NO_TASK : last;
    const first = (task - NO_TASK) * this.#perTask;
    // With both bounds: a column per number of preemptions, holding the least depth.
    const column = this.#perTask === 1 ? first : first + spent;
    const measure = Number.isFinite(this.#deepest) ? row : spent;
    for (let i = first; i <= column; i++) {
      const least = visited.valueAt(slot, i);
      if (least !== UNSET && (least <= measure || weaken === 'least-spent')) return true;
    }
    visited.setValue(slot, column, measure);
    return false;
  }

  /** Whether actors are to move here that did not yet; sleepers at every visit stay asleep. */
  #wakes(slot: number, isNew: boolean, asleep: number): boolean {
    const before = isNew ? -1 : this.#visited.valueAt(slot, 0);
    this.#awake = before & ~asleep;
    this.#asleep = before & asleep;
    if (!isNew && (this.#awake === 0 || this.#options.weaken === 'stored-sleep')) return false;
    this.#visited.setValue(slot, 0, this.#asleep);
    return true;
  }

  #open(row: number, moves: readonly Move[], last: number, spent: number, isNew: boolean): void {
    if (row === this.#next.length) this.#growStack();
    let end = row === 0 ? 0 : this.#end[row - 1]!;
    if (end + moves.length > this.#moves.length) this.#growMoves(moves.length);
    this.#next[row] = end;
    // First what the task that moved last does, then the others as they come.
    if (last !== NO_TASK) end = this.#push(moves, last, true, isNew, end);
    this.#goesOn[row] = end > this.#next[row]! ? 1 : 0;
    this.#end[row] = this.#push(moves, last, false, isNew, end);
    this.#last[row] = last;
    this.#spent[row] = spent;
    this.#height = row + 1;
    if (this.#sleep === undefined) return;
    this.#checkSleepers(moves);
    this.#sleep.push(row, this.#asleep);
  }

  /** Appends the moves that are code of task `last`, or those that are not; answers the end. */
  #push(moves: readonly Move[], last: number, own: boolean, isNew: boolean, end: number): number {
    for (let i = 0; i < moves.length; i++) {
      const move = moves[i]!;
      const actor = actorOf(move);
      const isOwn = last !== NO_TASK && this.#codeOf[actor] === last;
      if (isOwn !== own) continue;
      if (this.#sleep !== undefined) {
        const isAwake = actor < ACTORS ? ((this.#awake >>> actor) & 1) === 1 : isNew;
        if (!isAwake) continue;
      }
      this.#moves[end++] = move;
    }
    return end;
  }

  #checkSleepers(moves: readonly Move[]): void {
    let possible = 0;
    for (const move of moves) {
      if (actorOf(move) < ACTORS) possible |= 1 << actorOf(move);
    }
    if ((this.#asleep & ~possible) === 0) return;
    defect('exploreStateful', 'a footprint is not whole: a move that it says commutes was lost');
  }

  #growStack(): void {
    const rows = 2 * this.#next.length;
    this.#next = enlarged(this.#next, rows);
    this.#end = enlarged(this.#end, rows);
    this.#last = enlarged(this.#last, rows);
    this.#spent = enlarged(this.#spent, rows);
    this.#goesOn = enlarged(this.#goesOn, rows);
  }

  #growMoves(more: number): void {
    this.#moves = enlarged(this.#moves, 2 * this.#moves.length + more);
  }

  /** The moves that are taken now. */
  #path(length: number): Move[] {
    return Array.from({ length }, (_, row) => this.#moves[this.#next[row]! - 1]!);
  }
}
