/**
 * Bad twins: the real code with one labelled primitive weakened by the machine that performs it
 * (DESIGN.md law 6). Nothing of a design is copied or changed.
 */
import { type Act, Op } from '../../runtime/act.ts';

/**
 * `drop` does nothing: a wait is over at once, a flush, an interrupt or a fence does not happen, a
 * lock or a compare-and-swap seems to have succeeded (and the unlocking that belongs to a lock does
 * nothing either). `blind` makes a compare-and-swap a store. `stale` yields what the context saw
 * there last, without looking. `split` makes a locked operation a load and a store with a gap
 * between them that any CPU may use.
 * `unordered` lets a locked operation or a fence leave the store buffer alone (only under TSO).
 * `relaxed` takes its order away and nothing else: explored hardware never shows the difference,
 * but the happens-before detector goes by the order that is stated (DESIGN.md law 1).
 */
export type How = 'drop' | 'blind' | 'stale' | 'split' | 'unordered' | 'relaxed';

export interface Weakening {
  readonly label: string;
  readonly how: How;
}

/** What a locked operation stores; undefined for a compare-and-swap that fails. */
export function modified(
  act: Pick<Act, 'op' | 'lo' | 'hi' | 'seenLo' | 'seenHi'>,
  old: { readonly lo: number; readonly hi: number },
): { lo: number; hi: number } | undefined {
  switch (act.op) {
    case Op.cas:
      return old.lo === act.seenLo && old.hi === act.seenHi
        ? { lo: act.lo, hi: act.hi }
        : undefined;
    case Op.add: {
      const sum = (old.lo >>> 0) + (act.lo >>> 0);
      return { lo: sum | 0, hi: (old.hi + act.hi + (sum > 0xffffffff ? 1 : 0)) | 0 };
    }
    case Op.or:
      return { lo: old.lo | act.lo, hi: old.hi | act.hi };
    case Op.and:
      return { lo: old.lo & act.lo, hi: old.hi & act.hi };
    default:
      return { lo: act.lo, hi: act.hi };
  }
}
