/**
 * The contract between code and schedulers: an act is one visible deed, offered just before it
 * happens; the scheduler performs it when its turn comes and resumes the routine with what it
 * yielded. `const seen = codec(yield cpu.load(slot, 'label'))` is one statement for one act: there
 * is no window between offer and deed, nothing can be touched that was not offered, and no helper
 * generator is created (ARCHITECTURE.md, "The step idiom").
 */
import { join } from '../base/bits.ts';

/** Memory acts are below 16; a machine defines instructions from `FIRST_INSTRUCTION` on. */
export const Op = {
  load: 0,
  store: 1,
  /** Stores the low 32 bits only, as a byte or dword store into a wider lock word does. */
  storeLow: 2,
  cas: 3,
  exchange: 4,
  /** Adds to the word and yields the old value. */
  add: 5,
  or: 6,
  and: 7,
  fence: 8,
  wait: 9,
  choose: 10,
  /** Runs a routine on top of this one; no deed, hence no step: `Context.call` performs it. */
  call: 11,
} as const;
export const FIRST_INSTRUCTION = 16;

export type Order = 'relaxed' | 'acquire' | 'release' | 'full';

/** One act, preallocated per frame of a context and refilled for every offer. */
export interface Act {
  op: number;
  /** Address of the word, in the address space of the context. */
  at: number;
  lo: number;
  hi: number;
  /** Expected value of a compare-and-swap. */
  seenLo: number;
  seenHi: number;
  /** Names the site: `<subject>.<flow>.<deed>`, unique; guards and schedules are named by it. */
  label: string;
  order: Order;
  /** For `wait`: holds when the wait is over. Reads words only, through `peek`. */
  ready: (() => boolean) | undefined;
  /** For `wait`: the addresses that `ready` reads. */
  watch: readonly number[];
  /** Operand of a machine instruction. */
  operand: unknown;
  /** Performed when it was offered: its turn had come already (`OnTheSpot`). */
  isPerformed: boolean;
  /** And nothing keeps the routine from going on with `word`, without a pause. */
  goesOn: boolean;
  /** What it yields: the word of its frame. */
  readonly word: Word;
}

/**
 * What an act yielded: a reused record, to be consumed on the spot (`num`, `won`, a codec's
 * `decode`) and never kept; the steps lint enforces it.
 */
export interface Word {
  lo: number;
  hi: number;
  /** Compare-and-swap succeeded; an access went through. */
  ok: boolean;
}

/** Code that a scheduler can hold between any two acts. */
export type Routine<T> = Generator<Act, T, Word>;

/** The word as a number below 2^53. */
export function num(word: Word): number {
  return join(word.lo, word.hi);
}

/** Whether the compare-and-swap that yielded this word succeeded. */
export function won(word: Word): boolean {
  return word.ok;
}

export function newAct(word: Word): Act {
  return {
    op: Op.fence,
    at: 0,
    lo: 0,
    hi: 0,
    seenLo: 0,
    seenHi: 0,
    label: '',
    order: 'full',
    ready: undefined,
    watch: [],
    operand: undefined,
    isPerformed: false,
    goesOn: false,
    word,
  };
}
