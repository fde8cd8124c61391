/**
 * A set of states, each known by the two 32-bit lanes of its hash (Explored.hashLow, hashHigh), and
 * some whole numbers kept with each. Open addressing with linear probing in typed arrays that
 * double before they are 5/8 full: 8 bytes per slot, and 4 more per number kept, or 1 if small.
 *
 * States are compared by their hashes alone, so two of them may be taken for one: `collision`
 * bounds how likely that is. Numbers kept with a state are beside the key and never mixed into it:
 * a key that carries more than its 64 bits loses some of them.
 */

/** Value of a number that has not been set. */
export const UNSET = -1;

const MOST_IN_BYTE = 127;
const FIRST_EXPONENT = 10;
const MOST_EXPONENT = 30;

export class Visited {
  /** Bits that tell states apart. */
  readonly bits = 64;
  /** Numbers kept per state. */
  readonly width: number;
  /** Whether the last `enter` met its state for the first time. */
  isNew = false;
  #exponent = FIRST_EXPONENT;
  #keys = new Int32Array(2 << FIRST_EXPONENT); // lane, lane; both 0 in an empty slot
  #values: Int32Array | Int8Array;
  #count = 0;

  /** `most`: the largest of the numbers kept; small ones take a byte each. */
  constructor(width = 0, most = Number.POSITIVE_INFINITY) {
    this.width = width;
    const length = width << FIRST_EXPONENT;
    this.#values = (most <= MOST_IN_BYTE ? new Int8Array(length) : new Int32Array(length)).fill(
      UNSET,
    );
  }

  /** Entries: distinct states entered. */
  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#keys.byteLength + this.#values.byteLength;
  }

  /**
   * Bound on the probability that any two of the states share a key, if hashes are as good as
   * random: n (n - 1) / 2 pairs, each with probability 2^-64, so below n^2 / 2^65.
   */
  get collision(): number {
    return Math.min(1, this.#count ** 2 / 2 ** (this.bits + 1));
  }

  /** Whether a state was entered. */
  has(low: number, high: number): boolean {
    const a = low | 0;
    const b = a === 0 && (high | 0) === 0 ? 1 : high | 0;
    const slot = this.#find(a, b);
    return this.#keys[2 * slot] !== 0 || this.#keys[2 * slot + 1] !== 0;
  }

  /** The slot of a state, entered if it is new; valid until the next `enter`. */
  enter(low: number, high: number): number {
    if (this.#count * 8 >= 5 * 2 ** this.#exponent) this.#grow();
    // Lanes 0, 0 mark an empty slot; a state that has them is kept under 0, 1.
    const a = low | 0;
    const b = a === 0 && (high | 0) === 0 ? 1 : high | 0;
    const slot = this.#find(a, b);
    this.isNew = this.#keys[2 * slot] === 0 && this.#keys[2 * slot + 1] === 0;
    if (this.isNew) {
      this.#keys[2 * slot] = a;
      this.#keys[2 * slot + 1] = b;
      this.#count++;
    }
    return slot;
  }

  /** A number kept with the state in `slot`; `UNSET` until it is set. */
  valueAt(slot: number, column: number): number {
    return this.#values[slot * this.width + column]!;
  }

  setValue(slot: number, column: number, value: number): void {
    this.#values[slot * this.width + column] = value;
  }

  /** The slot that holds the key, or the empty one where it belongs. */
  #find(a: number, b: number): number {
    const keys = this.#keys;
    const mask = 2 ** this.#exponent - 1;
    // The lanes may be less mixed than they should be: the multiplications cost little.
    const mixed = Math.imul(a ^ Math.imul(b, 0x9e3779b1), 0x85ebca6b);
    let slot = mixed >>> (32 - this.#exponent);
    for (;;) {
      const first = keys[2 * slot];
      const second = keys[2 * slot + 1];
      if ((first === a && second === b) || (first === 0 && second === 0)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #grow(): void {
    if (this.#exponent === MOST_EXPONENT) throw new RangeError('more states than Visited can hold');
    const { width } = this;
    const keys = this.#keys;
    const values = this.#values;
    this.#exponent++;
    this.#keys = new Int32Array(2 * keys.length);
    const length = 2 * values.length;
    this.#values = values instanceof Int8Array ? new Int8Array(length) : new Int32Array(length);
    this.#values.fill(UNSET);
    for (let slot = 0; 2 * slot < keys.length; slot++) {
      const a = keys[2 * slot]!;
      const b = keys[2 * slot + 1]!;
      if (a === 0 && b === 0) continue;
      const moved = this.#find(a, b);
      this.#keys[2 * moved] = a;
      this.#keys[2 * moved + 1] = b;
      for (let i = 0; i < width; i++) this.#values[moved * width + i] = values[slot * width + i]!;
    }
  }
}

/** 53 of the 64 bits of a hash as one number, as `Report.terminals` holds them. */
export function folded(low: number, high: number): number {
  return (low >>> 0) * 2 ** 21 + (high >>> 11);
}
