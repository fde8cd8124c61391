/**
 * The contract between a machine whose CPUs are run by threads of their own, and whoever starts
 * those threads: words that really are shared, and one CPU as its thread drives it. No scheduler
 * decides who goes next; the hardware below does.
 */
import type { Act, Word } from './act.ts';

/** What of an act a word needs to know. */
export type WordAct = Pick<Act, 'op' | 'lo' | 'hi' | 'seenLo' | 'seenHi'>;

/** Words in memory that all threads see. */
export interface SharedWords {
  /** The words as halves, for plain accesses. */
  readonly halves: Int32Array;
  /** Performs a memory act on the word whose low half lies at `index`; `word`: what it held. */
  perform(act: WordAct, index: number, word: Word): void;
  /** The word as a number, both halves at once. */
  value(index: number): number;
}

/** One CPU of a machine. */
export interface ThreadCpu {
  /** Lets code run until it offers an act; false if all code here has ended. */
  settle(): boolean;
  /** Performs the offered act; false if it waits for what does not hold yet. */
  perform(): boolean;
  interrupt(vector: number): void;
  /** Label of the offered act; '' at the end. */
  readonly label: string;
  readonly isInGuest: boolean;
  /** Whether the code stands where it could stay for ever and nobody would miss anything. */
  readonly isAtRest: boolean;
}
