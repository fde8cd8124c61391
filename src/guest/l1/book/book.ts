/**
 * L1's book of what it has mapped for L2, of whatever kind: what the protocol of faults and
 * invalidations (guest/l1/kpop.ts) asks of one. Every kind lies in L1's memory, and its words are
 * those of slot.ts.
 */
import type { Slab } from '../../../alloc/slab.ts';
import type { PageRange } from '../../../hypervisor/mmu/common.ts';
import type { Act, Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';

/** What was in a page's place before; 0 if the word was stored. */
export interface Inserted {
  /** Where the word lies, if that never changes; else 0. */
  readonly slot: number;
  readonly seen: number;
}

/** Pages whose words were changed together. */
export interface Taken extends PageRange {
  readonly slot: number;
}

/** What a sweep does to the words it meets. */
export interface Rule {
  /** The word that is to be there instead; the same one to leave it. */
  readonly next: (word: number) => number;
  /** Names of the look and of the change; of the lock under which both are made, if one is. */
  readonly look: string;
  readonly take: string;
  /** A word that somebody else is about to change, and for which the sweep waits. */
  readonly waits?: { readonly until: (word: number) => boolean; readonly label: string };
}

export interface Book {
  /** Whether a sweep can wait for a word: where each has a place that never moves. */
  readonly canWait: boolean;
  /** Whether it remembers anything: else L0 is the only one to know what is mapped. */
  readonly keeps: boolean;
  /** Puts `word` into the page's place if that is empty. */
  insert(cpu: Context, l2gfn: number, word: number): Routine<Inserted>;
  /** Replaces a page's word if it is `from`; 0 empties the place. The answer is `won`. */
  change(cpu: Context, at: Place, from: number, to: number, label: string): Act;
  /**
   * Applies the rule to every page of the range that has a word, and lists where it changed one;
   * whether any page may be mapped.
   */
  sweep(cpu: Context, range: PageRange, rule: Rule, taken: Taken[]): Routine<boolean>;
  /** Empties what the caller has killed. */
  empty(cpu: Context, killed: Taken): Act;
  /** For checkers: the page's word, 0 if there is none. Takes no lock. */
  wordOf(cpu: Context, l2gfn: number): Routine<number>;
  /** Objects that it is made of, and how many bytes each has. */
  readonly slabs: readonly { readonly slab: Slab; readonly bytes: number }[];
  /** Bytes in use, at quiescence. */
  bytes(peek: (at: number) => number): number;
}

/** A page, and the slot that its insertion answered. */
export interface Place {
  readonly l2gfn: number;
  readonly slot: number;
}
