/**
 * What one move touched, as words by number: half-word pairs of memory, and numbers past them for
 * registers that several moves share: a hart's local state, its queue of signals, what its hardware
 * may have cached.
 */
import { FRAME_HALVES } from '../../runtime/hart.ts';
import type { Footprint } from './system.ts';

const REGISTERS = 2 ** 28;
const LOCAL = 0;
const QUEUE = 1;
const CACHES = 2;
const KINDS = 3;
const FRAME_WORDS = FRAME_HALVES / 2;

export type Touched = Footprint;

export class TouchedWords implements Footprint {
  #words: Int32Array = new Int32Array(0);
  readonly #registers: number[] = [];
  readonly #frames: number[] = [];

  begin(words: Int32Array): void {
    this.#words = words;
    this.#registers.length = 0;
    this.#frames.length = 0;
  }

  local(hart: number): void {
    this.#register(hart * KINDS + LOCAL, true);
  }

  queue(hart: number): void {
    this.#register(hart * KINDS + QUEUE, true);
  }

  caches(hart: number, wrote: boolean): void {
    this.#register(hart * KINDS + CACHES, wrote);
  }

  /** All words of a frame were written. */
  frame(frame: number): void {
    this.#frames.push(frame);
  }

  #register(number: number, wrote: boolean): void {
    this.#registers.push((REGISTERS + number) * 2 + (wrote ? 1 : 0));
  }

  get length(): number {
    return this.#words.length + this.#registers.length + this.#frames.length * FRAME_WORDS;
  }

  wordAt(i: number): number {
    return Math.floor(this.#codeAt(i) / 2);
  }

  wroteAt(i: number): boolean {
    return this.#codeAt(i) % 2 === 1;
  }

  #codeAt(i: number): number {
    if (i < this.#words.length) return this.#words[i]!;
    const register = i - this.#words.length;
    if (register < this.#registers.length) return this.#registers[register]!;
    const rest = register - this.#registers.length;
    const frame = this.#frames[Math.floor(rest / FRAME_WORDS)]!;
    return (frame * FRAME_WORDS + (rest % FRAME_WORDS)) * 2 + 1;
  }
}
