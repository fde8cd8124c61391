/**
 * Lock classes: the names under which acquisitions, waits and holds are reported, and the order in
 * which locks nest (LOCKS.md). Locks themselves are words.
 */

/** Outermost first: a thread that holds a class may take only classes further down. */
export const LOCK_CLASSES = [
  'guest.mmap',
  'l1.mmu',
  'l1.invalidate',
  'l1.book',
  'kpop.global',
  'kpop.vm',
  'kpop.entry',
  'kpop.rmap',
  'l0.slots',
  'l0.mmu',
  'l0.unsync',
  'l0.pages',
  'l0.notifier',
] as const;

export type LockClass = (typeof LOCK_CLASSES)[number];

export function lockClass(name: LockClass): number {
  return LOCK_CLASSES.indexOf(name);
}
