/**
 * What it takes to go back: for each move the words it overwrote and the registers as they were
 * before. It also keeps the hash of the words, which changes word by word; of words that have a
 * likeness only the meaning is hashed.
 */
import type { Likeness } from '../../runtime/hart.ts';

/** Seeds of the lanes. */
const LOW = 0x9e3779b1;
const HIGH = 0x7feb352d;

export class Journal {
  readonly #words: Int32Array;
  readonly #registers: readonly Int32Array[];
  readonly #width: number; // registers in all
  readonly #likenesses: readonly Likeness[];
  readonly #likenessOf: Int32Array; // by half-word: number of its likeness plus one
  #old = new Int32Array(1 << 14); // (index, value) pairs
  #length = 0;
  #from = new Int32Array(1 << 10); // per move: where its pairs begin
  #before: Int32Array; // per move: all registers as they were
  readonly #moves: number[] = [];
  readonly #labels: string[] = [];
  #depth = 0;
  /** Hash of the words, as differences from the words at the start. */
  hashLow = 0;
  hashHigh = 0;
  readonly #isWatched: Uint8Array; // by half-word
  /** Hash of the watched words, whole ones, as they are. */
  watchedLow = 0;
  watchedHigh = 0;

  constructor(
    words: Int32Array,
    registers: readonly Int32Array[],
    likenesses: readonly Likeness[] = [],
  ) {
    this.#words = words;
    this.#likenesses = likenesses;
    this.#likenessOf = new Int32Array(words.length);
    this.#isWatched = new Uint8Array(words.length);
    likenesses.forEach(({ halves }, i) => {
      for (const index of halves) this.#likenessOf[index] = i + 1;
    });
    this.#registers = registers;
    this.#width = registers.reduce((sum, bank) => sum + bank.length, 0);
    this.#before = new Int32Array(this.#width << 10);
  }

  get depth(): number {
    return this.#depth;
  }

  get lastMove(): number {
    return this.#moves[this.#depth - 1]!;
  }

  get lastLabel(): string {
    return this.#labels[this.#depth - 1]!;
  }

  /** Adds a half-word to the watched ones; whether it was none. */
  watch(index: number): boolean {
    if (this.#isWatched[index] === 1) return false;
    this.#isWatched[index] = 1;
    this.watchedLow ^= lane(index, this.#words[index]!, LOW);
    this.watchedHigh ^= lane(index, this.#words[index]!, HIGH);
    return true;
  }

  begin(move: number, label: string): void {
    const at = this.#depth;
    if (at === this.#from.length) this.#grow();
    this.#from[at] = this.#length;
    let base = at * this.#width;
    for (const bank of this.#registers) {
      for (let i = 0; i < bank.length; i++) this.#before[base++] = bank[i]!;
    }
    this.#moves[at] = move;
    this.#labels[at] = label;
    this.#depth = at + 1;
  }

  write(index: number, value: number): void {
    const old = this.#words[index]!;
    if (old === value) return;
    if (this.#length + 2 > this.#old.length) {
      const larger = new Int32Array(this.#old.length * 2);
      larger.set(this.#old);
      this.#old = larger;
    }
    this.#old[this.#length++] = index;
    this.#old[this.#length++] = old;
    this.#exchange(index, old, value);
  }

  back(): void {
    const at = --this.#depth;
    const from = this.#from[at]!;
    while (this.#length > from) {
      const old = this.#old[--this.#length]!;
      const index = this.#old[--this.#length]!;
      this.#exchange(index, this.#words[index]!, old);
    }
    let base = at * this.#width;
    for (const bank of this.#registers) {
      for (let i = 0; i < bank.length; i++) bank[i] = this.#before[base++]!;
    }
  }

  /** Moves so far, of those that `isMeant`, whose label was `label`. */
  countOf(isMeant: (move: number) => boolean, label: string): number {
    let count = 0;
    for (let i = 0; i < this.#depth; i++) {
      if (this.#labels[i] === label && isMeant(this.#moves[i]!)) count++;
    }
    return count;
  }

  #exchange(index: number, old: number, value: number): void {
    const low = lane(index, old, LOW) ^ lane(index, value, LOW);
    const high = lane(index, old, HIGH) ^ lane(index, value, HIGH);
    if (this.#isWatched[index] === 1) {
      this.watchedLow ^= low;
      this.watchedHigh ^= high;
    }
    const likeness = this.#likenessOf[index]!;
    if (likeness !== 0) this.#hashMeaning(likeness - 1);
    this.#words[index] = value;
    if (likeness !== 0) {
      this.#hashMeaning(likeness - 1);
      return;
    }
    this.hashLow ^= low;
    this.hashHigh ^= high;
  }

  /** Adds what a likeness means now to the hash, or takes it out again. */
  #hashMeaning(number: number): void {
    const { halves, meaning } = this.#likenesses[number]!;
    const now = meaning(halves.map((index) => this.#words[index]!));
    for (let i = 0; i < now.length; i++) {
      this.hashLow ^= lane(halves[i]!, now[i]!, LOW);
      this.hashHigh ^= lane(halves[i]!, now[i]!, HIGH);
    }
  }

  #grow(): void {
    const from = new Int32Array(this.#from.length * 2);
    from.set(this.#from);
    this.#from = from;
    const before = new Int32Array(this.#before.length * 2);
    before.set(this.#before);
    this.#before = before;
  }
}

/** What one half-word adds to a hash; zero words add something too, so only differences count. */
function lane(index: number, value: number, seed: number): number {
  let x = Math.imul(index ^ seed, 0x85ebca6b) ^ Math.imul(value + seed, 0xc2b2ae35);
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return x ^ (x >>> 16);
}
