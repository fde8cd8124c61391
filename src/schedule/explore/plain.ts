/**
 * The plain explorer: every order of moves, depth first, taking moves and taking them back. It
 * merges and reduces nothing, and is slow and simple on purpose: the oracle of every other engine
 * that drives the same interface.
 *
 * Executions have to end by themselves, or by a bound on depth.
 */
import { actorOf, type Bounds, type Explored, type Move, type Report } from './system.ts';
import { TraceName } from './trace-class.ts';
import { folded } from './visited.ts';

export interface PlainOptions extends Bounds {
  /** Names the class of each complete execution (trace-class.ts). */
  readonly classes?: boolean;
  /**
   * Whether a broken promise ends the search; every one does unless given. An execution always ends
   * with the promise it breaks.
   */
  readonly isWanted?: (message: string) => boolean;
}

export interface PlainReport extends Report {
  /** Executions that went on until nothing could move. */
  readonly complete: number;
  /** Moves that were not taken because of a bound: with 0, `holds` holds without bounds too. */
  readonly cut: number;
  /** Classes of the complete executions, if asked for. */
  readonly classes: ReadonlySet<number>;
}

/** Explores from the state that `system` is in, and leaves it in that state. */
export function explorePlain(system: Explored, options: PlainOptions = {}): PlainReport {
  return new Search(system, options).run();
}

const NO_TASK = -1;
const PATIENCE = 512; // moves between two questions whether time is over

/** What a move touched, kept to be compared with later moves. */
interface Taken {
  readonly move: Move;
  readonly words: readonly number[];
  readonly wrote: readonly boolean[];
  readonly layer: number;
}

class Search {
  readonly #system: Explored;
  readonly #options: PlainOptions;
  readonly #path: Move[] = [];
  readonly #taken: Taken[] = []; // only if classes are asked for
  readonly #name = new TraceName();
  readonly #terminals = new Set<number>();
  readonly #classes = new Set<number>();
  #broken: string | undefined;
  #brokenPath: readonly Move[] = [];
  #hasGivenUp = false;
  #complete = 0;
  #ended = 0; // executions, however they ended
  #cut = 0;
  #states = 0;
  #steps = 0;
  #seen = 0;
  #longest = 0;

  constructor(system: Explored, options: PlainOptions) {
    this.#system = system;
    this.#options = options;
  }

  run(): PlainReport {
    this.#visit(NO_TASK, 0);
    const isWhole = this.#broken === undefined && !this.#hasGivenUp;
    return {
      verdict: this.#broken !== undefined ? 'violated' : isWhole ? 'holds' : 'unfinished',
      message: this.#broken ?? '',
      path: this.#brokenPath,
      loop: -1,
      executions: this.#ended,
      states: this.#states,
      steps: this.#steps,
      exhausted: isWhole,
      seen: this.#seen,
      longest: this.#longest,
      terminals: this.#terminals,
      complete: this.#complete,
      cut: this.#cut,
      classes: this.#classes,
    };
  }

  /**
   * Everything that can follow on the present state, reached by code of task `last` after `spent`
   * preemptions. False ends the search.
   */
  #visit(last: number, spent: number): boolean {
    const system = this.#system;
    this.#states++;
    this.#longest = Math.max(this.#longest, this.#path.length);
    const broken = system.always();
    if (broken !== undefined) return this.#end(broken);
    this.#seen |= system.seen();
    const moves = [...system.moves()];
    if (moves.length === 0) {
      this.#complete++;
      this.#terminals.add(folded(system.hashLow, system.hashHigh));
      if (this.#options.classes === true) this.#classes.add(this.#name.value);
      return this.#end(system.atEnd());
    }
    if (this.#path.length >= (this.#options.depth ?? Number.POSITIVE_INFINITY)) {
      this.#cut += moves.length;
      return this.#end(undefined);
    }
    const goesOn = moves.some((move) => this.#codeOf(move) === last);
    for (const move of moves) {
      const task = this.#codeOf(move);
      const preempts = task !== NO_TASK && task !== last && last !== NO_TASK && goesOn ? 1 : 0;
      if (spent + preempts > (this.#options.preemptions ?? Number.POSITIVE_INFINITY)) {
        this.#cut++;
      } else if (!this.#follow(move, task === NO_TASK ? last : task, spent + preempts)) {
        return false;
      }
    }
    return true;
  }

  #follow(move: Move, last: number, spent: number): boolean {
    const { isOver, steps: most = Number.POSITIVE_INFINITY } = this.#options;
    if (this.#steps >= most || (this.#steps % PATIENCE === 0 && isOver?.() === true)) {
      this.#hasGivenUp = true;
      return false;
    }
    this.#system.take(move);
    this.#steps++;
    this.#path.push(move);
    if (this.#options.classes === true) this.#record(move);
    const goesOn = this.#visit(last, spent);
    if (this.#options.classes === true) {
      this.#taken.pop();
      this.#name.pop();
    }
    this.#path.pop();
    this.#system.undo();
    return goesOn;
  }

  /** An execution ends; whether the search goes on. */
  #end(message: string | undefined): boolean {
    this.#ended++;
    if (message === undefined || this.#options.isWanted?.(message) === false) return true;
    this.#broken = message;
    this.#brokenPath = [...this.#path];
    return false;
  }

  /** Task whose code a move is. */
  #codeOf(move: Move): number {
    const actor = actorOf(move);
    return this.#system.isTask(actor) ? this.#system.taskOf(actor) : NO_TASK;
  }

  #record(move: Move): void {
    const { footprint } = this.#system;
    const indices = Array.from({ length: footprint.length }, (_, i) => i);
    const words = indices.map((i) => footprint.wordAt(i));
    const wrote = indices.map((i) => footprint.wroteAt(i));
    let layer = 0;
    for (const before of this.#taken) {
      const depends =
        actorOf(before.move) === actorOf(move) ||
        words.some((word, i) =>
          before.words.some((other, j) => word === other && (wrote[i]! || before.wrote[j]!)),
        );
      if (depends) layer = Math.max(layer, before.layer + 1);
    }
    this.#taken.push({ move, words, wrote, layer });
    this.#name.push(move, footprint, layer);
  }
}
