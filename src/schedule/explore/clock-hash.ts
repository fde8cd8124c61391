/**
 * A hash of vector clocks and moments that does not depend on how they are numbered: two states
 * hash alike if every moment is over for the same clocks, whatever the numbers are.
 *
 * Per hart (column): a moment that is over for all who will ever ask is dropped. Of the others it
 * only matters which clocks have passed them, so that moments between the same two clocks are one,
 * and a clock is the number of these that it has passed.
 */
import { enlarged } from './arrays.ts';

const WORDS_FROM = 2 ** 16;
const PER_WORD = 8;

/** Numbers with a name each. */
class Named {
  count = 0;
  ids = new Int32Array(64);
  values = new Int32Array(64);

  add(id: number, value: number): void {
    if (this.count === this.ids.length) {
      this.ids = enlarged(this.ids, 2 * this.count);
      this.values = enlarged(this.values, 2 * this.count);
    }
    this.ids[this.count] = id;
    this.values[this.count++] = value;
  }
}

/** To be told clocks first, those that ask and then the others, and then moments. */
export class ClockHash {
  low = 0;
  high = 0;
  readonly #clocks: readonly Named[]; // by column, and so on
  readonly #live: readonly Named[];
  readonly #over: Int32Array; // latest moment that is over for all others
  #sorted = new Int32Array(64);
  #classes = new Int32Array(64);

  constructor(width: number) {
    this.#clocks = Array.from({ length: width }, () => new Named());
    this.#live = Array.from({ length: width }, () => new Named());
    this.#over = new Int32Array(width);
  }

  /** Names the i-th thing in a queue of a hart. */
  static queued(hart: number, i: number, what: number): number {
    return 1024 + (i * 64 + hart) * 4 + what;
  }

  static word(word: number, row: number): number {
    return WORDS_FROM + word * PER_WORD + row;
  }

  begin(): void {
    for (const named of this.#clocks) named.count = 0;
    for (const named of this.#live) named.count = 0;
    this.#over.fill(0x7fffffff);
    this.low = 0;
    this.high = 0;
  }

  /**
   * A clock: `values` from `at` on. `asker`: the hart whose accesses will be compared with it, or
   * with one that is later; -1 if nobody's will.
   */
  clock(id: number, values: Int32Array, at: number, asker: number): void {
    for (let column = 0; column < this.#over.length; column++) {
      const value = values[at + column]!;
      if (value !== 0) this.#clocks[column]!.add(id, value);
      if (asker < 0 || asker === column) continue;
      if (value < this.#over[column]!) this.#over[column] = value;
    }
  }

  moments(id: number, values: Int32Array, at: number): void {
    for (let column = 0; column < this.#over.length; column++) {
      const value = values[at + column]!;
      if (value > this.#over[column]!) this.#live[column]!.add(id, value);
    }
  }

  end(): void {
    for (let column = 0; column < this.#over.length; column++) {
      if (this.#live[column]!.count > 0) this.#column(column);
    }
  }

  #column(column: number): void {
    const clocks = this.#clocks[column]!;
    const live = this.#live[column]!;
    this.#sorted = fitting(this.#sorted, clocks.count);
    const passed = distinct(this.#sorted, clocks.values, clocks.count);
    for (let i = 0; i < live.count; i++) live.values[i] = lowerBound(passed, live.values[i]!);
    this.#classes = fitting(this.#classes, live.count);
    const classes = distinct(this.#classes, live.values, live.count);
    for (let i = 0; i < live.count; i++) {
      this.#add(live.ids[i]!, column, lowerBound(classes, live.values[i]!) + 1);
    }
    for (let i = 0; i < clocks.count; i++) {
      // A moment is over for a clock unless the clock is one of those below it.
      const rank = lowerBound(classes, lowerBound(passed, clocks.values[i]!) + 1);
      if (rank > 0) this.#add(clocks.ids[i]!, column, rank);
    }
  }

  #add(id: number, column: number, rank: number): void {
    this.low ^= scramble(id * 8 + column, rank, 0x9e3779b1);
    this.high ^= scramble(id * 8 + column, rank, 0x7feb352d);
  }
}

function fitting(array: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  return length <= array.length ? array : new Int32Array(2 * length);
}

/** The first `count` of `values`, ascending, each once, in `room`. */
function distinct(room: Int32Array, values: Int32Array, count: number): Int32Array {
  for (let i = 0; i < count; i++) room[i] = values[i]!;
  const all = room.subarray(0, count).sort();
  let end = 0;
  for (let i = 0; i < count; i++) {
    if (i === 0 || all[i] !== all[i - 1]) all[end++] = all[i]!;
  }
  return all.subarray(0, end);
}

/** How many numbers of an ascending array are less than `value`. */
function lowerBound(sorted: Int32Array, value: number): number {
  let from = 0;
  let end = sorted.length;
  while (from < end) {
    const middle = (from + end) >> 1;
    if (sorted[middle]! < value) from = middle + 1;
    else end = middle;
  }
  return from;
}

function scramble(a: number, b: number, seed: number): number {
  let x = Math.imul(a ^ seed, 0x85ebca6b) ^ Math.imul(b + seed, 0xc2b2ae35);
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return x ^ (x >>> 16);
}
