/**
 * Which words one step touched, and in whose name: hardware's, because an act was performed, or the
 * code's own, without a step. Who follows what happens before what needs to tell them apart.
 *
 * Code reaches words by two doors (`Context.read`, `write` and `peek`); whoever keeps those doors
 * says so while an access goes through. What comes by no door is hardware's: the word of an act, or
 * the walk of a guest's access.
 */

/** How hardware touched a word: the low bits of a number in `Touches.atomic`. */
export const Touch = {
  read: 0,
  write: 1,
  /** A look at a word that only the one who looks changes: it orders nothing. */
  glance: 2,
} as const;
export const TOUCHES = 4;
/** In `Touches.atomic`: a store goes into the store buffer. */
export const STORE_WAITS = 3;
/** In `Touches.atomic`: the write that follows is the oldest store of the buffer. */
export const STORE_LEAVES = 7;

/** What stays known of a step. */
export interface TouchRecord {
  /** By hardware, in order: `word * TOUCHES` and how. */
  readonly atomic: Int32Array;
  /** Plainly by code: `word * 2 + wrote`. */
  readonly plain: Int32Array;
  /** Effects of the act itself; those from here on are of code that ran on. */
  readonly acted: number;
}

const NONE = new Int32Array(0);

export class Touches {
  /** By which door the next access comes. */
  door: 'none' | 'plain' | 'glance' = 'none';
  /** Effects of the act itself. */
  acted = 0;
  readonly #atomic: number[] = [];
  readonly #plain = new Set<number>();

  begin(): void {
    this.door = 'none';
    this.acted = 0;
    this.#atomic.length = 0;
    this.#plain.clear();
  }

  /** The half-word `index` is read. */
  read(index: number): void {
    if (this.door === 'plain') this.#plain.add(index & ~1);
    else this.#add(index, this.door === 'glance' ? Touch.glance : Touch.read);
  }

  /** The half-word `index` is written; a word's low half comes first. */
  write(index: number): void {
    if (this.door === 'plain') this.#plain.add(index | 1);
    else this.#add(index, Touch.write);
  }

  /** Both halves of a word are one touch; two stores to a word are two. */
  #add(index: number, touch: number): void {
    const code = (index >> 1) * TOUCHES + touch;
    const begins = touch === Touch.write && (index & 1) === 0;
    if (begins || this.#atomic.at(-1) !== code) this.#atomic.push(code);
  }

  storeWaits(): void {
    this.#atomic.push(STORE_WAITS);
  }

  storeLeaves(): void {
    this.#atomic.push(STORE_LEAVES);
  }

  get record(): TouchRecord {
    const { acted } = this;
    const atomic = this.#atomic.length === 0 ? NONE : Int32Array.from(this.#atomic);
    const plain = this.#plain.size === 0 ? NONE : Int32Array.from(this.#plain);
    return { atomic, plain, acted };
  }
}
