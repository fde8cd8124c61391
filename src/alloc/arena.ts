/**
 * A region of one level's physical memory, handed out in pieces while the level is being built. The
 * arena itself is a boot-time object: after boot nobody takes from it, and what it gave out is
 * words.
 */
import { defect } from '../base/assert.ts';
import { FRAME_BYTES } from '../machine/memory.ts';
import type { Layout } from '../runtime/layout.ts';

const LINE_BYTES = 64;

/** A structure at its place. */
export interface Placed {
  readonly at: number;
  readonly layout: Layout<string>;
}

export class Arena {
  /** What `place` gave out, in order: for those who show memory to people. */
  readonly placed: Placed[] = [];
  #next: number;
  readonly #limit: number;

  /** `base`, `limit`: first and last frame number + 1. */
  constructor(base: number, limit: number) {
    this.#next = base * FRAME_BYTES;
    this.#limit = limit * FRAME_BYTES;
  }

  /** Address of `bytes` bytes, starting a cache line. */
  take(bytes: number): number {
    const at = Math.ceil(this.#next / LINE_BYTES) * LINE_BYTES;
    this.#next = at + bytes;
    if (this.#next > this.#limit) defect('Arena.take', 'the boot region is exhausted');
    return at;
  }

  /** Address of a structure. */
  place(layout: Layout<string>): number {
    const at = this.take(layout.bytes);
    this.placed.push({ at, layout });
    return at;
  }

  /** Number of the first of `count` whole frames. */
  frames(count: number): number {
    const first = Math.ceil(this.#next / FRAME_BYTES);
    this.#next = (first + count) * FRAME_BYTES;
    if (this.#next > this.#limit) defect('Arena.frames', 'the boot region is exhausted');
    return first;
  }

  /** First frame that nothing was taken from. */
  get end(): number {
    return Math.ceil(this.#next / FRAME_BYTES);
  }
}
