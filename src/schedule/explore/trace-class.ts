/**
 * Names for classes of executions that differ in the order of independent moves only (Mazurkiewicz
 * traces). Two moves depend on each other if one actor takes both, or if they touch a common word
 * and one of them writes it.
 *
 * The name is a hash of the Foata normal form (Cartier and Foata, LNM 85, 1969): a move stands in
 * the first layer after those of all earlier moves that it depends on. Two executions have the same
 * letters in the same layers if and only if they are of one class, provided that the letters decide
 * what depends on what; so a letter is the move together with everything it touched. No layer holds
 * two letters of one actor, so the sum of the letters' hashes names the set.
 */
import type { Footprint, Move } from './system.ts';
import { folded } from './visited.ts';

/** The hash of the moves taken so far; engines say which layer a move stands in. */
export class TraceName {
  #low = new Int32Array(64); // sums over the moves taken so far
  #high = new Int32Array(64);
  #length = 0;

  push(move: Move, touched: Footprint, layer: number): void {
    const at = this.#length++;
    if (this.#length === this.#low.length) this.#grow();
    let low = mixed(move, 0x9e3779b9);
    let high = mixed(move, 0x7f4a7c15);
    for (let i = 0; i < touched.length; i++) {
      const access = touched.wordAt(i) * 2 + (touched.wroteAt(i) ? 1 : 0);
      low = mixed(low, access);
      high = mixed(high, access ^ 0x3c6ef372);
    }
    this.#low[at + 1] = this.#low[at]! + mixed(low, layer);
    this.#high[at + 1] = this.#high[at]! + mixed(high, layer);
  }

  pop(): void {
    this.#length--;
  }

  /** 53 bits. */
  get value(): number {
    return folded(this.#low[this.#length]!, this.#high[this.#length]!);
  }

  #grow(): void {
    const low = new Int32Array(2 * this.#low.length);
    const high = new Int32Array(2 * this.#high.length);
    low.set(this.#low);
    high.set(this.#high);
    this.#low = low;
    this.#high = high;
  }
}

function mixed(hash: number, value: number): number {
  let z = (Math.imul(hash ^ (hash >>> 16), 0x21f0aaad) + Math.imul(value + 1, 0x9e3779b1)) | 0;
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return z ^ (z >>> 15);
}
