/**
 * A hash of vector clocks and moments that does not depend on how they are numbered: two states
 * hash alike if every moment is over for the same clocks, whatever the numbers are.
 *
 * Per hart (column): a moment that is over for all who will ever ask is dropped. Of the others it
 * only matters which clocks have passed them, so that moments between the same two clocks are one,
 * and a clock is the number of these that it has passed.
 */
import { enlarged } from './arrays.ts';

interface Rows {
  readonly id: number;
  readonly values: Int32Array;
}

const WORDS_FROM = 2 ** 16;
const PER_WORD = 8;

export class ClockHash {
  low = 0;
  high = 0;
  #width = 0;
  readonly #clocks: Rows[] = [];
  readonly #askers: Rows[] = [];
  readonly #moments: Rows[] = [];
  #passed: Int32Array<ArrayBuffer> = new Int32Array(64);

  /** Names the i-th thing in a queue of a hart. */
  static queued(hart: number, i: number, what: number): number {
    return 1024 + (i * 64 + hart) * 4 + what;
  }

  static word(word: number, row: number): number {
    return WORDS_FROM + word * PER_WORD + row;
  }

  begin(width: number): void {
    this.#width = width;
    this.#clocks.length = 0;
    this.#askers.length = 0;
    this.#moments.length = 0;
    this.low = 0;
    this.high = 0;
  }

  /** A clock; `asks`: accesses will be compared with it, or with one that is later. */
  clock(id: number, values: Int32Array, asks: boolean): void {
    this.#clocks.push({ id, values });
    if (asks) this.#askers.push({ id, values });
  }

  moments(id: number, values: Int32Array): void {
    this.#moments.push({ id, values });
  }

  end(): void {
    for (let column = 0; column < this.#width; column++) this.#column(column);
  }

  #column(column: number): void {
    const over = this.#over(column);
    const live = this.#moments.filter(({ values }) => values[column]! > over);
    if (live.length === 0) return;
    const passed = this.#sorted(column);
    const below = live.map(({ values }) => lowerBound(passed, values[column]!));
    const classes = Int32Array.from(new Set(below)).sort();
    live.forEach(({ id }, i) => {
      this.#add(id, column, lowerBound(classes, below[i]!) + 1);
    });
    for (const { id, values } of this.#clocks) {
      // A moment is over for a clock unless the clock is one of those below it.
      const rank = lowerBound(classes, lowerBound(passed, values[column]!) + 1);
      if (rank > 0) this.#add(id, column, rank);
    }
  }

  /** The latest moment of a hart that is over for everybody else. */
  #over(column: number): number {
    let least = Number.POSITIVE_INFINITY;
    for (const { id, values } of this.#askers) {
      if (id !== column) least = Math.min(least, values[column]!);
    }
    return least;
  }

  /** Distinct clock values of a column, ascending. */
  #sorted(column: number): Int32Array {
    const count = this.#clocks.length;
    if (count > this.#passed.length) this.#passed = enlarged(this.#passed, 2 * count);
    for (let i = 0; i < count; i++) this.#passed[i] = this.#clocks[i]!.values[column]!;
    const all = this.#passed.subarray(0, count).sort();
    let distinct = 0;
    for (let i = 0; i < count; i++) {
      if (i === 0 || all[i] !== all[i - 1]) all[distinct++] = all[i]!;
    }
    return all.subarray(0, distinct);
  }

  #add(id: number, column: number, rank: number): void {
    this.low ^= scramble(id * 8 + column, rank, 0x9e3779b1);
    this.high ^= scramble(id * 8 + column, rank, 0x7feb352d);
  }
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
