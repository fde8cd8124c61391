/**
 * What an engine offers an explorer beyond what the timed scheduler needs: acts may be performed in
 * any order, hardware may move on its own, and the state can be hashed. Prices do not matter here.
 */
import type { Engine, Processor } from '../../runtime/processor.ts';

/** A running hash of 64 bits in two lanes; `add` is order-sensitive. */
export class Hasher {
  #a = 0x9e3779b9 | 0;
  #b = 0x85ebca6b | 0;

  add(value: number): void {
    const low = value | 0;
    const high = (value / 4294967296) | 0;
    this.#a = Math.imul(this.#a ^ low, 0x01000193) + Math.imul(high, 0x27d4eb2f);
    this.#a = (this.#a << 13) | (this.#a >>> 19);
    this.#b =
      Math.imul((this.#b + low) ^ (this.#b >>> 15), 0x2c1b3c6d) ^ Math.imul(high, 0x297a2d39);
    this.#b = (this.#b << 17) | (this.#b >>> 15);
  }

  /** 53 of the 64 bits as a number. */
  get value(): number {
    const a = Math.imul(this.#a ^ (this.#a >>> 16), 0x85ebca6b);
    const b = Math.imul(this.#b ^ (this.#b >>> 13), 0xc2b2ae35);
    return ((a ^ (a >>> 15)) >>> 0) * 2097152 + ((b ^ (b >>> 16)) >>> 11);
  }
}

export interface ExploredEngine extends Engine {
  /** Whether the offered act of `processor.current`, or an interrupt before it, can go ahead. */
  isReady(processor: Processor): boolean;
  /** Moves that hardware may make at `processor` by itself now: a store leaving its buffer. */
  hardwareMoves(processor: Processor): number;
  performHardware(processor: Processor, move: number): void;
  /** Adds everything that decides the future, except what contexts have seen. */
  hash(into: Hasher): void;
  /** Where plain words that code reads between two acts are reported. */
  onRead(heard: (value: number) => void): void;
}
