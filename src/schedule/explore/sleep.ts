/**
 * Sleep sets (Godefroid, LNCS 1032, 1996, chapter 5): an actor whose moves were all taken from a
 * state sleeps in the states that the other actors' moves lead to, until a move touches what it
 * touched. What it would do there has been seen from the state before, in another order.
 *
 * This saves moves, not states. Why every reachable state is still visited, though the search does
 * not go on from states it has seen: let Z(s) be the actors asleep in s, which the search keeps
 * with s and replaces by the intersection each time that it comes to s again, taking the moves of
 * those that are awake now and were asleep before (the rule for matching states, section 5.4).
 * Claim: if s is visited and no order of the independent moves of a path w from s begins with an
 * actor in the final Z(s), the end of w is visited. By induction over the length of w: each actor
 * that some order of w begins with was awake at some visit of s. Take the last such visit, and
 * among those of its moves that some order of w begins with the one that was taken first, t. No
 * other of them slept at that visit, or it would have been awake at a later one, and none had
 * fallen asleep at it before t. So t leads to a state where none of the actors that the rest of w
 * may begin with sleeps; Z only shrinks there, and the rest of w is shorter. Nothing sleeps at the
 * start, so every state is visited. The claim needs no acyclic graph.
 *
 * What it rests on: a move's footprint names every word that the move and the question whether it
 * is possible depend on. Of that, one consequence is checked: an actor asleep can move.
 *
 * Whole actors sleep here, not single moves: all alternatives of a choice or none, and what one of
 * them touched counts for all. Fewer sleep than could; the argument holds for that too, and an
 * actor needs no name but a bit.
 */
import { actorOf, type Explored, type Footprint, type Move } from './system.ts';

/** Actors that can sleep; those with higher numbers are always awake. */
export const ACTORS = 32;

export class Sleep {
  readonly #system: Explored;
  // Records: what the moves of one actor in one state touched. They form a stack, as frames do.
  #words = new Float64Array(1 << 12);
  #wrote = new Uint8Array(1 << 12);
  readonly #actor: number[] = [];
  readonly #from: number[] = []; // into words
  readonly #end: number[] = [];
  // A bit per word modulo 32: those touched, those written. Disjoint bits are disjoint words.
  readonly #touches: number[] = [];
  readonly #writes: number[] = [];
  #records = 0;
  // Frames: the states on the search's stack.
  readonly #base: number[] = []; // records below a frame
  readonly #open: number[] = []; // record of the actor whose moves are being taken, or -1
  readonly #count: number[] = []; // sleepers
  #sleepers = new Int32Array(ACTORS << 8); // records, ACTORS per frame
  // Of the last move alone.
  #lastFrom = 0;
  #lastTouches = 0;
  #lastWrites = 0;

  constructor(system: Explored) {
    this.#system = system;
  }

  /** A frame of the search's stack begins: those in `mask` sleep, of what `after` answered. */
  push(frame: number, mask: number): void {
    if (this.#sleepers.length < (frame + 1) * ACTORS) {
      const larger = new Int32Array(2 * this.#sleepers.length);
      larger.set(this.#sleepers);
      this.#sleepers = larger;
    }
    this.#base[frame] = this.#records;
    this.#open[frame] = -1;
    let count = 0;
    const below = frame - 1;
    for (let i = 0; frame > 0 && i < this.#count[below]!; i++) {
      const record = this.#sleepers[below * ACTORS + i]!;
      if (((mask >>> this.#actor[record]!) & 1) === 0) continue;
      this.#sleepers[frame * ACTORS + count++] = record;
    }
    this.#count[frame] = count;
  }

  pop(frame: number): void {
    this.#records = this.#base[frame]!;
  }

  /** `move` was taken from the state of `frame`; an actor's moves come one after the other. */
  took(frame: number, move: Move): void {
    const actor = actorOf(move);
    let record = this.#open[frame]!;
    if (record === -1 || this.#actor[record] !== actor) {
      if (record !== -1 && this.#actor[record]! < ACTORS) {
        this.#sleepers[frame * ACTORS + this.#count[frame]++] = record;
      }
      record = this.#records++;
      this.#open[frame] = record;
      this.#actor[record] = actor;
      this.#from[record] = record === 0 ? 0 : this.#end[record - 1]!;
      this.#end[record] = this.#from[record]!;
      this.#touches[record] = 0;
      this.#writes[record] = 0;
    }
    this.#lastFrom = this.#end[record]!;
    this.#end[record] = this.#keep(this.#system.footprint, this.#lastFrom);
    this.#touches[record]! |= this.#lastTouches;
    this.#writes[record]! |= this.#lastWrites;
  }

  /** Actors that sleep in the state that the last move from `frame` led to. */
  after(frame: number): number {
    let mask = 0;
    const taken = this.#open[frame]!;
    for (let i = 0; i < this.#count[frame]!; i++) {
      const record = this.#sleepers[frame * ACTORS + i]!;
      if (this.#commutes(record, taken)) mask |= 1 << this.#actor[record]!;
    }
    return mask;
  }

  /** Whether a sleeper's moves and the last move touch nothing that one of them writes. */
  #commutes(record: number, taken: number): boolean {
    const tasks = this.#system;
    // Code and store buffer of a task share more than it is worth to name.
    if (tasks.taskOf(this.#actor[record]!) === tasks.taskOf(this.#actor[taken]!)) return false;
    const shared =
      (this.#writes[record]! & this.#lastTouches) | (this.#touches[record]! & this.#lastWrites);
    if (shared === 0) return true;
    const words = this.#words;
    const wrote = this.#wrote;
    const end = this.#end[taken]!;
    for (let i = this.#from[record]!; i < this.#end[record]!; i++) {
      for (let j = this.#lastFrom; j < end; j++) {
        if (words[i] === words[j] && (wrote[i]! | wrote[j]!) !== 0) return false;
      }
    }
    return true;
  }

  #keep(touched: Footprint, from: number): number {
    const { length } = touched;
    while (from + length > this.#words.length) {
      const words = new Float64Array(2 * this.#words.length);
      words.set(this.#words);
      this.#words = words;
      const wrote = new Uint8Array(words.length);
      wrote.set(this.#wrote);
      this.#wrote = wrote;
    }
    this.#lastTouches = 0;
    this.#lastWrites = 0;
    for (let i = 0; i < length; i++) {
      const word = touched.wordAt(i);
      const wrote = touched.wroteAt(i);
      this.#words[from + i] = word;
      this.#wrote[from + i] = wrote ? 1 : 0;
      this.#lastTouches |= 1 << word; // shifts count modulo 32
      if (wrote) this.#lastWrites |= 1 << word;
    }
    return from + length;
  }
}
