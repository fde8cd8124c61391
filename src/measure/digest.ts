/**
 * The digest of a run: a 64-bit hash of all trace events in their order, and of the final memory
 * that the caller absorbs. Two lanes of 32 bits in the manner of MurmurHash3; equal runs have equal
 * digests on every host. It tells runs apart; it resists no adversary.
 */
import type { TraceSink } from '../runtime/trace.ts';

const KIND_BITS = 6;
/** Marks in a record's first word that its a or b is not a whole number of 32 bits. */
const LONG_A = 1 << KIND_BITS;
const LONG_B = 2 << KIND_BITS;
/** A record that no event begins with: all kinds are below 63. */
const MEMORY_RECORD = (1 << KIND_BITS) - 1;

const double = new Float64Array(1);
const halves = new Uint32Array(double.buffer);
double[0] = 1;
/** Where the low half of a double lies: byte orders differ between hosts, digests do not. */
const LOW = halves[0] === 0 ? 0 : 1;

export class Digest implements TraceSink {
  #left = 0x6b706f70;
  #right = 0x6c303174;
  #words = 0;

  event(kind: number, cpu: number, cycle: number, a: number, b: number): void {
    const longA = (a | 0) !== a;
    const longB = (b | 0) !== b;
    this.#mix(kind | (longA ? LONG_A : 0) | (longB ? LONG_B : 0) | (cpu << (KIND_BITS + 2)));
    this.#mixDouble(cycle);
    if (longA) this.#mixDouble(a);
    else this.#mix(a);
    if (longB) this.#mixDouble(b);
    else this.#mix(b);
  }

  /** Memory, or anything else that belongs to the result. */
  absorb(words: Int32Array): void {
    this.#mix(MEMORY_RECORD);
    this.#mix(words.length);
    for (let i = 0; i < words.length; i++) this.#mix(words[i]!);
  }

  /** 16 hexadecimal digits of everything so far; more may follow. */
  hex(): string {
    let left = this.#left ^ this.#words;
    let right = this.#right ^ this.#words;
    left = (left + right) | 0;
    right = (right + left) | 0;
    left = finish(left);
    right = finish(right);
    left = (left + right) | 0;
    right = (right + left) | 0;
    return hex32(left) + hex32(right);
  }

  #mixDouble(value: number): void {
    double[0] = value + 0; // both zeros are one value
    this.#mix(halves[LOW]! | 0);
    this.#mix(halves[1 - LOW]! | 0);
  }

  #mix(word: number): void {
    let k = Math.imul(word, 0xcc9e2d51);
    k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
    let h = this.#left ^ k;
    h = (h << 13) | (h >>> 19);
    this.#left = (Math.imul(h, 5) + 0xe6546b64) | 0;

    k = Math.imul(word, 0xab0e9789);
    k = Math.imul((k << 17) | (k >>> 15), 0x38b34ae5);
    h = this.#right ^ k;
    h = (h << 15) | (h >>> 17);
    this.#right = (Math.imul(h, 5) + 0x561ccd1b) | 0;
    this.#words = (this.#words + 1) | 0;
  }
}

/** Every bit of the input reaches every bit of the output. */
function finish(word: number): number {
  let h = word ^ (word >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function hex32(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}
