/**
 * What every explorer drives: a system in one of its states, whose possible moves can be taken and
 * taken back. Explorers decide which move comes next and nothing else; they know no pages, no
 * CPUs, no hypervisors. The same interface serves small systems in tests.
 *
 * A move belongs to an *actor*: the code of a task, the hardware that carries out its postponed
 * effects (a store buffer), or the delivery of its interrupts. Two alternatives of one actor in one
 * state (the answers to a free choice) are two moves.
 */

/** `actor * 256 + alternative`. */
export type Move = number;

const ALTERNATIVES = 256;

export function moveOf(actor: number, alternative: number): Move {
  return actor * ALTERNATIVES + alternative;
}

export function actorOf(move: Move): number {
  return Math.floor(move / ALTERNATIVES);
}

export function alternativeOf(move: Move): number {
  return move % ALTERNATIVES;
}

/** Words that one move touched: real words and words that stand for registers, by number. */
export interface Footprint {
  readonly length: number;
  wordAt(i: number): number;
  wroteAt(i: number): boolean;
}

/** Where a system stands when no move is possible, or a move must not be taken. */
export interface Explored {
  /** Actors are numbered from 0. */
  readonly actors: number;
  /** Whether an actor is the code of a task: switching away from one that could go on preempts. */
  isTask(actor: number): boolean;
  /** Task that an actor belongs to; weak fairness is owed to actors, preemptions count by task. */
  taskOf(actor: number): number;

  /** Moves possible now, ascending; the array is reused by the next call. */
  moves(): readonly Move[];
  /** Takes a possible move. */
  take(move: Move): void;
  /** Takes the last move back. */
  undo(): void;
  /** Moves taken and not taken back. */
  readonly depth: number;

  /** What the last taken move touched; reused by the next `take`. */
  readonly footprint: Footprint;
  /** Words of the state, hashed; equal states have equal lanes. */
  readonly hashLow: number;
  readonly hashHigh: number;

  /**
   * A broken promise of the present state, as a sentence; `undefined` if all hold. Asked after
   * every move.
   */
  always(): string | undefined;
  /** A broken promise of a state in which nothing moves: not at rest, or at rest and wrong. */
  atEnd(): string | undefined;
  /** Bits of the `sometimes` promises that the present state fulfils. */
  seen(): number;
  /**
   * Bits of the `eventually` promises that hold in the present state: none may stay unfulfilled
   * for ever under weak fairness.
   */
  fulfilled(): number;

  /** Names a possible move: `cpu0 tdp.map.commit`. */
  describe(move: Move): string;
  /**
   * The stable name of a possible move: task, label, how often the task has offered that label
   * before in this execution, and the alternative: `cpu0:tdp.map.commit#2=1`.
   */
  nameOf(move: Move): string;
}

/** How much of the interleavings an engine is to look at. */
export interface Bounds {
  /** Preemptions: switches away from a task that could go on; unbounded unless given. */
  readonly preemptions?: number;
  /** Moves taken in all. */
  readonly steps?: number;
  /** Moves of one execution. */
  readonly depth?: number;
  /** Asked now and then; true ends the search. */
  readonly isOver?: () => boolean;
}

/** What an engine found out. */
export interface Report {
  readonly verdict: 'holds' | 'violated' | 'unfinished';
  /** The broken promise in one sentence; '' if none is. */
  readonly message: string;
  /** Moves that lead to the violation. */
  readonly path: readonly Move[];
  /** For a livelock: from this index on, `path` repeats; -1 otherwise. */
  readonly loop: number;
  /** Executions begun. */
  readonly executions: number;
  /** Distinct states, or for a stateless engine states visited. */
  readonly states: number;
  /** Moves taken. */
  readonly steps: number;
  /** Everything within the bounds was looked at. */
  readonly exhausted: boolean;
  /** Bits of `sometimes` promises that were fulfilled in some state. */
  readonly seen: number;
  /** Longest execution. */
  readonly longest: number;
  /** Hashes of end states, low lane * 2^32 + high lane folded to 53 bits. */
  readonly terminals: ReadonlySet<number>;
}
