/**
 * What one move touched, as words by number: half-word pairs of memory, and numbers past them for
 * registers that several moves share: a hart's local state, its queue of signals, what its hardware
 * may have cached.
 */
import { FRAME_HALVES } from '../../runtime/hart.ts';
import { enlarged } from './arrays.ts';
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
  // With counts: an array whose length is set to 0 loses its storage.
  #registers = new Int32Array(16);
  #registered = 0;
  #frames = new Int32Array(16);
  #zeroed = 0;

  begin(words: Int32Array): void {
    this.#words = words;
    this.#registered = 0;
    this.#zeroed = 0;
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
    if (this.#zeroed === this.#frames.length)
      this.#frames = enlarged(this.#frames, 2 * this.#zeroed);
    this.#frames[this.#zeroed++] = frame;
  }

  #register(number: number, wrote: boolean): void {
    if (this.#registered === this.#registers.length) {
      this.#registers = enlarged(this.#registers, 2 * this.#registered);
    }
    this.#registers[this.#registered++] = (REGISTERS + number) * 2 + (wrote ? 1 : 0);
  }

  get length(): number {
    return this.#words.length + this.#registered + this.#zeroed * FRAME_WORDS;
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
    if (register < this.#registered) return this.#registers[register]!;
    const rest = register - this.#registered;
    const frame = this.#frames[Math.floor(rest / FRAME_WORDS)]!;
    return (frame * FRAME_WORDS + (rest % FRAME_WORDS)) * 2 + 1;
  }
}
