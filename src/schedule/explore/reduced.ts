/**
 * Explores few orders of each class of executions that differ in the order of independent moves
 * only, mostly one: dynamic partial-order reduction by source sets and sleep sets (Abdulla, Aronis,
 * Jonsson, Sagonas, "Optimal Dynamic Partial Order Reduction", POPL 2014, algorithm 1). Dependence
 * is what footprints say: one actor, or a common word that one of two moves writes.
 *
 * What is promised for: ends of executions, and what one move finds out for itself (an assertion, a
 * label). A promise about several words of a state in between is kept only if all moves that can
 * change its value touch a word in common: of independent moves one order is looked at.
 *
 * Different from the paper, for actors that wait, moves that read several words, and actors with
 * several moves:
 * - An actor that cannot move *looks*: it reads the words that `watched` names. A look is no move,
 *   but it races with earlier moves as one would. (A takes a lock, B waits for ever: B's look races
 *   with A's move, so B gets its turn before it.)
 * - What a move touches may depend on what it reads first, so the second of a race might touch
 *   other words without the first. See (4).
 * - The moves that an actor has in a state (alternatives) sleep and wake together.
 * - A race asks for nothing as long as other actors remain to be taken where it began.
 *
 * Why nothing is lost. Executions have to end. Let the search be at state E; Z are the moves that
 * sleep when it arrives; B those that it has taken there in the end, actor by actor, each with all
 * alternatives. For a sequence u possible at E, let I(u) be the moves that an order of u (swapping
 * independent neighbours) begins with. Claim: if no move of I(u) is in Z, the search goes from E
 * along an order of u, perhaps with moves between that nothing in u depends on. Or u ends with a
 * look that all of u happened before: then it comes to a state where the actor looks so.
 * By induction, states left first coming first. u's first move is awake, so B is not empty.
 * (1) I(u) and B share a move. Let b be the first of these that was taken. A move that sleeps after
 *     b and is in I of what remains of u, is in I(u), hence neither in Z nor taken before b. So the
 *     claim after b gives the claim.
 * (2) No move of I(u) is in B, but some b in B is independent of all of u. Then u can follow on b,
 *     none of I(u) sleeps there, and the claim after b gives the claim.
 * (3) Otherwise let a be the actor that was taken last, b its move that u takes (if a has it at
 *     E; any other if not). The first event of u that depends on b, e of an actor q, is not a's, or
 *     b would be in I(u). Let w be u up to e: independent of b. After b and w, q takes a move or
 *     looks: e'. Up to where it reads what b wrote it does what e does, so b and e' depend on each
 *     other as b and e do. Let y be those of w that happen before e'. No move of I(y e') sleeps
 *     after b: one of w would be in I(u), and e' asleep would be independent of b. So by the claim
 *     after b, the search comes upon the race of b and e', and only y happened between. No other
 *     actor remains at E, as a was last. If y is not empty, its first move is in I(u), hence
 *     neither in Z nor taken before: its actor is inserted at E. Then a was not last.
 * (4) If y is empty, e' depends on nothing in w. Let f be what q does at E: a move (the alternative
 *     that e is, if q has it there), or a look. If f is a move that was awake and not yet taken, q
 *     is inserted, and a was not last. If f depends on nothing in w, f is e, then in I(u) and
 *     neither in Z nor in B; or a look, then e is the same look and all of w happened before it,
 *     so w is empty. So f, or if q does not have e there, what decides about its moves, touched a
 *     word that a move of w wrote, or wrote one that it read, and which therefore b did not write,
 *     and e' did not touch so. This is seen (`covers`), and if f slept at E, q is woken, so that a
 *     was not last; else every actor is inserted, and with them the first move of u, so that (1).
 *
 * Bounds on preemptions are refused: the order looked at may have more of them than another one.
 */
import { defect } from '../../base/assert.ts';
import { enlarged } from './arrays.ts';
import { Happened } from './happened.ts';
import { Records } from './records.ts';
import {
  actorOf,
  type Bounds,
  type Explored,
  type Footprint,
  type Move,
  type Report,
} from './system.ts';
import { TraceName } from './trace-class.ts';
import { folded } from './visited.ts';

/** What reduction has to know besides. */
export interface Reducible extends Explored {
  /**
   * Words on which it depends that an actor without a possible move has none: it stays so until a
   * move writes one of them. Empty if it will never move again. Reused by the next call.
   */
  watched(actor: number): Footprint;
}

export interface ReducedOptions extends Bounds {
  /** Names the class of each complete execution (trace-class.ts). */
  readonly classes?: boolean;
  /**
   * Leaves out what soundness rests on, so that tests see their comparisons fail: the races of
   * looks; what (4) does about words that were not touched; that alternatives wake together; that
   * an actor's own alternatives do not count as remaining in (3).
   */
  readonly weaken?: 'looks' | 'covers' | 'together' | 'remaining';
}

export interface ReducedReport extends Report {
  /** Executions that went on until nothing could move. */
  readonly complete: number;
  /** Executions given up because all that could move slept: work in vain. */
  readonly asleep: number;
  /** Executions that the bound on depth ended; then the report is `unfinished`. */
  readonly cut: number;
  /** Classes of the complete executions, if asked for. */
  readonly classes: ReadonlySet<number>;
}

/** Explores from the state that `system` is in, and leaves it in that state. */
export function exploreReduced(system: Reducible, options: ReducedOptions = {}): ReducedReport {
  if (Number.isFinite(options.preemptions ?? Number.POSITIVE_INFINITY)) {
    defect('exploreReduced', 'a reduced search cannot count preemptions; use a stateful one');
  }
  return new Search(system, options).run();
}

const NO_MOVE = -1;
const NEVER = -1; // in place of the record of a look: the actor will never move again
const ABLE = -2; // the actor can move
const PATIENCE = 512; // moves between two questions whether time is over

class Search {
  readonly #system: Reducible;
  readonly #options: ReducedOptions;
  readonly #deepest: number;
  readonly #actors: number;
  readonly #records = new Records();
  readonly #happened: Happened;
  readonly #name = new TraceName();
  // The stack: one row per state on it. Event i was taken from the state of row i.
  #height = 0;
  #taken = new Int32Array(64); // move that led on
  #current = new Int32Array(64); // actor whose moves are being taken
  #movesEnd = new Int32Array(64); // into #moves
  #sleepersFrom = new Int32Array(64); // into #sleepers
  #inherited = new Int32Array(64); // end of those that slept from the start
  #inserted = new Int32Array(64); // per actor: 1 if its moves are to be taken
  #looks = new Int32Array(64); // per actor: record of its look, NEVER or ABLE
  #moves = new Int32Array(256); // possible in each state, one after the other
  // Moves asleep in each state, and what they touched.
  #sleepers = new Int32Array(256);
  #sleeperRecords = new Int32Array(256);
  #sleepersEnd = 0;
  readonly #terminals = new Set<number>();
  readonly #classes = new Set<number>();
  #hasGivenUp = false;
  #isBack = false; // the last thing done was to take a move back
  #executions = 1;
  #complete = 0;
  #asleep = 0;
  #cut = 0;
  #states = 0;
  #steps = 0;
  #seen = 0;
  #longest = 0;

  constructor(system: Reducible, options: ReducedOptions) {
    this.#system = system;
    this.#options = options;
    this.#deepest = options.depth ?? Number.POSITIVE_INFINITY;
    this.#actors = system.actors;
    this.#happened = new Happened(this.#records, system.actors);
    this.#inserted = new Int32Array(64 * system.actors);
    this.#looks = new Int32Array(64 * system.actors);
  }

  run(): ReducedReport {
    const system = this.#system;
    const ground = system.depth;
    const message = system.always() ?? this.#enter() ?? this.#search();
    const path = message === undefined ? [] : [...this.#taken.subarray(0, system.depth - ground)];
    while (system.depth > ground) system.undo();
    const isWhole = message === undefined && !this.#hasGivenUp && this.#cut === 0;
    return {
      verdict: message !== undefined ? 'violated' : isWhole ? 'holds' : 'unfinished',
      message: message ?? '',
      path,
      loop: -1,
      executions: this.#executions,
      states: this.#states,
      steps: this.#steps,
      exhausted: isWhole,
      seen: this.#seen,
      longest: this.#longest,
      terminals: this.#terminals,
      complete: this.#complete,
      asleep: this.#asleep,
      cut: this.#cut,
      classes: this.#classes,
    };
  }

  /** Until everything was looked at, a promise is broken (the answer), or it gives up. */
  #search(): string | undefined {
    const { isOver, steps: most = Number.POSITIVE_INFINITY } = this.#options;
    while (this.#height > 0) {
      const row = this.#height - 1;
      const move = this.#nextMove(row);
      if (move === NO_MOVE) {
        this.#leave(row);
        continue;
      }
      if (this.#steps >= most || (this.#steps % PATIENCE === 0 && isOver?.() === true)) {
        this.#hasGivenUp = true;
        return undefined;
      }
      const message = this.#advance(row, move);
      if (message !== undefined) return message;
    }
    return undefined;
  }

  /** A move to be taken: of the actor that was taken last while it has one, then of any. */
  #nextMove(row: number): Move {
    let found = NO_MOVE;
    for (let i = this.#movesFrom(row); i < this.#movesEnd[row]!; i++) {
      const move = this.#moves[i]!;
      if (!this.#isToTake(row, move, this.#sleepersEnd)) continue;
      if (actorOf(move) === this.#current[row]) return move;
      if (found === NO_MOVE) found = move;
    }
    if (found !== NO_MOVE) this.#current[row] = actorOf(found);
    return found;
  }

  /** Whether a move's actor is inserted and it is awake and not yet taken. */
  #isToTake(row: number, move: Move, sleepersEnd: number): boolean {
    if (this.#inserted[row * this.#actors + actorOf(move)] === 0) return false;
    return this.#sleeper(move, this.#sleepersFrom[row]!, sleepersEnd) < 0;
  }

  #leave(row: number): void {
    this.#height = row;
    this.#sleepersEnd = this.#sleepersFrom[row]!;
    if (row === 0) return;
    const event = row - 1;
    const record = this.#happened.recordAt(event);
    this.#system.undo();
    this.#isBack = true;
    this.#happened.pop();
    if (this.#options.classes === true) this.#name.pop();
    // What the move touched is kept: it sleeps until all from that state was looked at.
    this.#records.drop(record + 1);
    this.#addSleeper(this.#taken[event]!, record);
  }

  #advance(row: number, move: Move): string | undefined {
    const system = this.#system;
    const actor = actorOf(move);
    system.take(move);
    this.#steps++;
    if (this.#isBack) this.#executions++;
    this.#isBack = false;
    this.#taken[row] = move;
    const record = this.#records.keep(system.footprint);
    this.#happened.examine(actor, record);
    this.#reverseRaces(actor, record, move);
    this.#happened.push(actor, record);
    if (this.#options.classes === true) {
      this.#name.push(move, system.footprint, this.#happened.layer);
    }
    if (row >= this.#longest) this.#longest = row + 1;
    return system.always() ?? this.#enter();
  }

  /** Arrives at a state for the first time. */
  #enter(): string | undefined {
    const system = this.#system;
    const row = this.#height++;
    if (this.#height === this.#taken.length) this.#growRows();
    this.#inserted.fill(0, row * this.#actors, (row + 1) * this.#actors);
    this.#states++;
    this.#seen |= system.seen();
    const count = this.#copyMoves(row);
    this.#inheritSleepers(row);
    this.#look(row);
    if (count === 0) {
      this.#complete++;
      this.#terminals.add(folded(system.hashLow, system.hashHigh));
      if (this.#options.classes === true) this.#classes.add(this.#name.value);
      return system.atEnd();
    }
    if (row >= this.#deepest) this.#cut++;
    else this.#begin(row);
    return undefined;
  }

  #copyMoves(row: number): number {
    const moves = this.#system.moves();
    let end = this.#movesFrom(row);
    if (end + moves.length > this.#moves.length) {
      this.#moves = enlarged(this.#moves, 2 * (end + moves.length));
    }
    for (const move of moves) this.#moves[end++] = move;
    this.#movesEnd[row] = end;
    return moves.length;
  }

  /** Whoever slept, or was taken, in the state before and is independent of the last move. */
  #inheritSleepers(row: number): void {
    const from = this.#sleepersEnd;
    this.#sleepersFrom[row] = from;
    if (row > 0) {
      const actor = this.#happened.actorAt(row - 1);
      const record = this.#happened.recordAt(row - 1);
      for (let i = this.#sleepersFrom[row - 1]!; i < from; i++) {
        const move = this.#sleepers[i]!;
        if (move === NO_MOVE || actorOf(move) === actor) continue;
        if (this.#records.conflict(this.#sleeperRecords[i]!, record)) continue;
        if (!this.#isPossible(row, move)) this.#accuse();
        this.#addSleeper(move, this.#sleeperRecords[i]!);
      }
      if (this.#options.weaken !== 'together') this.#wakeTogether(row, from);
    }
    this.#inherited[row] = this.#sleepersEnd;
  }

  /** Of each actor with an alternative that is awake, all are awake. */
  #wakeTogether(row: number, from: number): void {
    const end = this.#sleepersEnd;
    for (let i = this.#movesFrom(row); i < this.#movesEnd[row]! && from < end; i++) {
      const move = this.#moves[i]!;
      if (this.#sleeper(move, from, end) < 0) this.#wake(actorOf(move), from, end);
    }
    this.#sleepersEnd = from;
    for (let i = from; i < end; i++) {
      if (this.#sleepers[i] === NO_MOVE) continue;
      this.#addSleeper(this.#sleepers[i]!, this.#sleeperRecords[i]!);
    }
  }

  #wake(actor: number, from: number, end: number): void {
    for (let i = from; i < end; i++) {
      if (actorOf(this.#sleepers[i]!) === actor) this.#sleepers[i] = NO_MOVE;
    }
  }

  /**
   * Looks of the actors that cannot move, and their races. A look that was there in the state
   * before, and read nothing that was written since, has the races that it had there.
   */
  #look(row: number): void {
    const at = row * this.#actors;
    this.#looks.fill(NEVER, at, at + this.#actors);
    for (let i = this.#movesFrom(row); i < this.#movesEnd[row]!; i++) {
      this.#looks[at + actorOf(this.#moves[i]!)] = ABLE;
    }
    for (let actor = 0; actor < this.#actors; actor++) {
      if (this.#looks[at + actor] === ABLE) continue;
      if (row > 0 && this.#happened.actorAt(row - 1) !== actor) {
        const before = this.#looks[at - this.#actors + actor]!;
        const isSame =
          before >= 0 && !this.#records.conflict(before, this.#happened.recordAt(row - 1));
        if (isSame || before === NEVER) {
          this.#looks[at + actor] = before;
          continue;
        }
      }
      const watched = this.#system.watched(actor);
      if (watched.length === 0) continue;
      const record = this.#records.keep(watched);
      this.#looks[at + actor] = record;
      if (this.#options.weaken === 'looks') continue;
      this.#happened.examine(actor, record);
      this.#reverseRaces(actor, record, NO_MOVE);
    }
  }

  /** Chooses who moves first: who moved last, as long as it can, so that there is less to read. */
  #begin(row: number): void {
    const last = row > 0 ? this.#happened.actorAt(row - 1) : -1;
    let chosen = -1;
    for (let i = this.#movesFrom(row); i < this.#movesEnd[row]!; i++) {
      const move = this.#moves[i]!;
      if (this.#sleeper(move, this.#sleepersFrom[row]!, this.#sleepersEnd) >= 0) continue;
      if (chosen < 0 || actorOf(move) === last) chosen = actorOf(move);
    }
    this.#current[row] = chosen;
    if (chosen < 0) this.#asleep++;
    else this.#inserted[row * this.#actors + chosen] = 1;
  }

  /** Sees to it that of each race of the event last examined the other order is looked at too. */
  #reverseRaces(actor: number, record: number, move: Move): void {
    for (let i = 0; i < this.#happened.races; i++) {
      const race = this.#happened.raceAt(i);
      if (this.#hasMore(race)) continue;
      const between = this.#happened.firstAfter(race);
      if (between >= 0) this.#insertFirst(race, between);
      else this.#insertSecond(race, actor, record, move);
    }
  }

  /** Whether other actors remain to be taken in the state of a row below the last. */
  #hasMore(row: number): boolean {
    const current = this.#options.weaken === 'remaining' ? -1 : actorOf(this.#taken[row]!);
    const end = this.#sleepersFrom[row + 1]!;
    for (let i = this.#movesFrom(row); i < this.#movesEnd[row]!; i++) {
      const move = this.#moves[i]!;
      if (actorOf(move) === current || move === this.#taken[row]) continue;
      if (this.#isToTake(row, move, end)) return true;
    }
    return false;
  }

  /** Where a race began: inserts the actor of the first of the events between, unless it slept. */
  #insertFirst(race: number, between: number): void {
    const move = this.#taken[between]!;
    if (!this.#isPossible(race, move)) this.#accuse();
    if (this.#sleeper(move, this.#sleepersFrom[race]!, this.#sleepersFrom[race + 1]!) >= 0) return;
    this.#inserted[race * this.#actors + actorOf(move)] = 1;
  }

  /**
   * Where a race began, with no event between: inserts the actor of the second, unless it slept or
   * looked and would have touched no more. `move` and `record` are what it did in the race.
   */
  #insertSecond(race: number, actor: number, record: number, move: Move): void {
    const first = this.#happened.recordAt(race);
    const look = this.#looks[race * this.#actors + actor]!;
    if (look !== ABLE) {
      if (look === NEVER) this.#accuse();
      if (!this.#covers(record, look, first)) this.#insertAll(race);
      return;
    }
    const now = this.#height - 1;
    const isSame = this.#keepsMoves(actor, race, now) && this.#keepsMoves(actor, now, race);
    for (let i = this.#movesFrom(race); i < this.#movesEnd[race]!; i++) {
      const before = this.#moves[i]!;
      if (actorOf(before) !== actor) continue;
      const from = this.#sleepersFrom[race]!;
      const slept = this.#sleeper(before, from, this.#sleepersFrom[race + 1]!);
      if (slept < 0) this.#inserted[race * this.#actors + actor] = 1;
      else if (isSame && before !== move) continue;
      else if (this.#covers(record, this.#sleeperRecords[slept]!, first)) continue;
      else if (slept >= this.#inherited[race]!) this.#insertAll(race);
      else {
        this.#wake(actor, from, this.#inherited[race]!);
        this.#inserted[race * this.#actors + actor] = 1;
      }
    }
  }

  #covers(whole: number, part: number, writer: number): boolean {
    return this.#options.weaken === 'covers' || this.#records.covers(whole, part, writer);
  }

  #insertAll(row: number): void {
    for (let i = this.#movesFrom(row); i < this.#movesEnd[row]!; i++) {
      this.#inserted[row * this.#actors + actorOf(this.#moves[i]!)] = 1;
    }
  }

  /** Whether an actor has all its alternatives in one row's state in another's too. */
  #keepsMoves(actor: number, row: number, other: number): boolean {
    for (let i = this.#movesFrom(row); i < this.#movesEnd[row]!; i++) {
      const move = this.#moves[i]!;
      if (actorOf(move) === actor && !this.#isPossible(other, move)) return false;
    }
    return true;
  }

  /** Of the sleepers in a range: which one is `move`; -1 if it is awake. */
  #sleeper(move: Move, from: number, end: number): number {
    for (let i = from; i < end; i++) if (this.#sleepers[i] === move) return i;
    return -1;
  }

  #addSleeper(move: Move, record: number): void {
    if (this.#sleepersEnd === this.#sleepers.length) {
      this.#sleepers = enlarged(this.#sleepers, 2 * this.#sleepersEnd);
      this.#sleeperRecords = enlarged(this.#sleeperRecords, 2 * this.#sleepersEnd);
    }
    this.#sleepers[this.#sleepersEnd] = move;
    this.#sleeperRecords[this.#sleepersEnd++] = record;
  }

  #movesFrom(row: number): number {
    return row === 0 ? 0 : this.#movesEnd[row - 1]!;
  }

  #isPossible(row: number, move: Move): boolean {
    for (let i = this.#movesFrom(row); i < this.#movesEnd[row]!; i++) {
      if (this.#moves[i] === move) return true;
    }
    return false;
  }

  #accuse(): never {
    defect('exploreReduced', 'a footprint is not whole: a move that it says commutes is lost');
  }

  #growRows(): void {
    const rows = 2 * this.#taken.length;
    this.#taken = enlarged(this.#taken, rows);
    this.#current = enlarged(this.#current, rows);
    this.#movesEnd = enlarged(this.#movesEnd, rows);
    this.#sleepersFrom = enlarged(this.#sleepersFrom, rows);
    this.#inherited = enlarged(this.#inherited, rows);
    this.#inserted = enlarged(this.#inserted, rows * this.#actors);
    this.#looks = enlarged(this.#looks, rows * this.#actors);
  }
}
