/**
 * What the second-stage MMUs share: the words of the invalidation protocol between a fault and the
 * unmapping of its page (KVM's mmu_invalidate_seq and in-progress range), where entries lie, and
 * the words that handlers speak.
 */
import { type Geometry, indexAt, pagesAt } from '../../machine/format/format.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { atomic, atomicLine, layout, plain } from '../../runtime/layout.ts';

/** Ranges of guest pages, half open. */
export interface PageRange {
  readonly first: number;
  readonly end: number;
}

export interface Stage2Fault {
  readonly gfn: number;
  readonly access: 'read' | 'write' | 'execute';
  /** Whether the walk found the page and lacked a right: not said where nobody asks. */
  readonly present?: boolean;
}

/**
 * `mapped`: installed; `present`: somebody else did; `retry`: a race was lost; `absent`: no
 * memory; `other`: another frame is mapped there.
 */
export type FaultOutcome = 'mapped' | 'present' | 'retry' | 'absent' | 'other';

export const MmuWords = layout('kvm.mmu', {
  lock: atomicLine,
  lockQueue: atomic,
  /** Read without the lock before the page is looked up, under it afterwards. */
  invalidateSeq: atomicLine,
  inProgress: atomic,
  /** Hull of the ranges being invalidated; protected by the lock. */
  hullFirst: plain,
  hullEnd: plain,
});

/** Address of the entry for `gfn` in the table at frame `table`. */
export function entryAt(geometry: Geometry, table: number, gfn: number, level: number): number {
  return table * FRAME_BYTES + indexAt(geometry, gfn, level) * 8;
}

/** First page that the entry of a level serves which serves `gfn`. */
export function firstBelow(geometry: Geometry, gfn: number, level: number): number {
  return gfn - (gfn % pagesAt(geometry, level));
}

/** The sequence, read before the page is looked up. */
export function* beginLookup(cpu: Context, mmu: number): Routine<number> {
  return num(yield cpu.load(mmu + MmuWords.at.invalidateSeq, 'mmu.seq'));
}

/** Under the lock: whether one of the pages may have left since `seq` was read. */
export function* isStale(
  cpu: Context,
  mmu: number,
  seq: number,
  ...gfns: readonly number[]
): Routine<boolean> {
  cpu.attempt('mmu.stale');
  let stale = yield* isLeaving(cpu, mmu, ...gfns);
  if (!stale) {
    stale = num(yield cpu.load(mmu + MmuWords.at.invalidateSeq, 'mmu.seq-recheck')) !== seq;
  }
  cpu.conclude('mmu.stale', stale ? 1 : 0);
  return stale;
}

/** Under the lock: whether one of the pages is being taken away. */
export function* isLeaving(
  cpu: Context,
  mmu: number,
  ...gfns: readonly number[]
): Routine<boolean> {
  if (num(yield cpu.load(mmu + MmuWords.at.inProgress, 'mmu.in-progress')) === 0) return false;
  const first = cpu.read(mmu + MmuWords.at.hullFirst);
  const end = cpu.read(mmu + MmuWords.at.hullEnd);
  return gfns.some((gfn) => gfn >= first && gfn < end);
}

/** The smallest range that covers all of them, in whatever order they come. */
export function hullOf(ranges: readonly PageRange[]): PageRange {
  let { first, end } = ranges[0]!;
  for (const range of ranges) {
    if (range.first < first) first = range.first;
    if (range.end > end) end = range.end;
  }
  return { first, end };
}

/** Under the write lock: faults on the ranges are refused from here on. */
export function* openInvalidation(
  cpu: Context,
  mmu: number,
  ranges: readonly PageRange[],
): Routine<void> {
  const { first, end } = hullOf(ranges);
  const running = num(yield cpu.add(mmu + MmuWords.at.inProgress, 1, 'mmu.invalidate-begin'));
  const at = MmuWords.at;
  const merged = running !== 0;
  const oldFirst = cpu.read(mmu + at.hullFirst);
  cpu.write(mmu + at.hullFirst, merged ? Math.min(oldFirst, first) : first);
  const oldEnd = cpu.read(mmu + at.hullEnd);
  cpu.write(mmu + at.hullEnd, merged ? Math.max(oldEnd, end) : end);
}

/** Under the write lock: whoever looked up a page before must look again. */
export function* closeInvalidation(cpu: Context, mmu: number): Routine<void> {
  yield cpu.add(mmu + MmuWords.at.invalidateSeq, 1, 'mmu.invalidate-end');
  yield cpu.add(mmu + MmuWords.at.inProgress, -1, 'mmu.invalidate-close');
}
