/**
 * How many mappings, or a page cache, use a data frame: one word per frame, which counts users
 * beyond the first, so that a frame fresh from its pool needs no word written.
 *
 * Who maps a frame that it got from somebody else adds itself while that one still holds it. Who
 * finds no other user is alone, because only a user can bring another.
 */
import { num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';

export class FrameUsers {
  readonly #base: number;
  readonly #indexOf: (frame: number) => number;

  /** `base`: address of the words; `indexOf`: which one is a frame's. */
  constructor(base: number, indexOf: (frame: number) => number) {
    this.#base = base;
    this.#indexOf = indexOf;
  }

  *add(cpu: Context, frame: number): Routine<void> {
    yield cpu.add(this.#at(frame), 1, 'kernel.users.add');
  }

  /** Whether the asking user is the only one. */
  *isSole(cpu: Context, frame: number): Routine<boolean> {
    return num(yield cpu.load(this.#at(frame), 'kernel.users.sole')) === 0;
  }

  /** One user less; true if it was the last, and the frame is nobody's. */
  *drop(cpu: Context, frame: number): Routine<boolean> {
    if (yield* this.isSole(cpu, frame)) return true;
    const others = num(yield cpu.add(this.#at(frame), -1, 'kernel.users.drop'));
    if (others > 0) return false;
    yield cpu.store(this.#at(frame), 0, 'kernel.users.last'); // others dropped meanwhile
    return true;
  }

  #at(frame: number): number {
    return this.#base + this.#indexOf(frame) * 8;
  }
}
