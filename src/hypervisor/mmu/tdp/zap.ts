/**
 * Removing access in the TDP MMU: leaves are exchanged for empty entries under the write lock,
 * remote TLBs are flushed before the lock is dropped, and only then are pages given back. A huge
 * leaf that reaches into the range goes as a whole, as in KVM: who needs the rest faults.
 *
 * A long zap may let the lock go between two tables if somebody waits for it. What was taken away
 * so far is flushed before: another thread that finds an entry empty relies on that (R22).
 */
import { pagesAt } from '../../../machine/format/format.ts';
import type { Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { isContended, writeLock, writeUnlock } from '../../../sync/rwlock.ts';
import { flushRemote } from '../../flush/request-kick.ts';
import { closeInvalidation, entryAt, openInvalidation, type PageRange } from '../common.ts';
import type { TdpMmu } from './mmu.ts';
import { endOf, isLeafAt, tableAt } from './walk.ts';

/**
 * Unmaps ascending ranges: a fault in between is refused (`openInvalidation`), afterwards it must
 * look up its page again. `pages` says whether the backing keeps or frees them.
 */
export function* tdpUnmap(
  cpu: Context,
  mmu: TdpMmu,
  ranges: readonly PageRange[],
  pages: 'keep' | 'free',
  yields = mmu.yields,
): Routine<void> {
  if (ranges.length === 0) return;
  const announced = yield* mmu.backing.widened(cpu, ranges);
  yield* writeLock(cpu, mmu.lock, 'tdp.unmap.lock');
  yield* openInvalidation(cpu, mmu.words, announced);
  let zapped = 0;
  for (const range of announced) {
    zapped += yield* zapRange(cpu, mmu, range, yields);
    if (yield* mmu.alsoZap(cpu, range)) zapped++;
  }
  if (zapped > 0) yield* flushRemote(cpu, mmu.vm);
  yield* writeUnlock(cpu, mmu.lock, 'tdp.unmap.unlock');
  if (pages === 'free') yield* freePages(cpu, mmu, ranges);
  yield* writeLock(cpu, mmu.lock, 'tdp.unmap-end.lock');
  yield* closeInvalidation(cpu, mmu.words);
  yield* writeUnlock(cpu, mmu.lock, 'tdp.unmap-end.unlock');
}

function* freePages(cpu: Context, mmu: TdpMmu, ranges: readonly PageRange[]): Routine<void> {
  for (const range of ranges) {
    for (let gfn = range.first; gfn < range.end; gfn++) yield* mmu.backing.release(cpu, gfn);
  }
}

/** Empties the leaves of a range below a root; returns how many were present. */
export function* zapRange(
  cpu: Context,
  mmu: TdpMmu,
  range: PageRange,
  yields: boolean,
  root = mmu.root,
): Routine<number> {
  const { geometry } = mmu.format;
  let zapped = 0;
  let gfn = range.first;
  while (gfn < range.end) {
    const table = yield* tableAt(cpu, mmu, gfn, 0, root);
    const span = pagesAt(geometry, table < 0 ? endOf(table) : 1);
    const end = Math.min(range.end, (Math.floor(gfn / span) + 1) * span);
    if (table >= 0) zapped += yield* zapLeaves(cpu, mmu, table, { first: gfn, end });
    else if (isLeafAt(table)) zapped += yield* zapHuge(cpu, mmu, root, gfn, endOf(table));
    gfn = end;
    if (yields && gfn < range.end && (yield* letOthers(cpu, mmu, zapped > 0))) zapped = 0;
  }
  return zapped;
}

/** Between two tables: true if the lock was let go, with nothing left to be flushed. */
export function* letOthers(cpu: Context, mmu: TdpMmu, owesFlush: boolean): Routine<boolean> {
  if (!(yield* isContended(cpu, mmu.lock, 'tdp.yield.look'))) return false;
  if (owesFlush) yield* flushRemote(cpu, mmu.vm, 'tdp.yield.wait');
  yield* writeUnlock(cpu, mmu.lock, 'tdp.yield.unlock');
  yield* writeLock(cpu, mmu.lock, 'tdp.yield.lock');
  return true;
}

function* zapHuge(
  cpu: Context,
  mmu: TdpMmu,
  root: number,
  gfn: number,
  level: number,
): Routine<number> {
  const { format } = mmu;
  const table = yield* tableAt(cpu, mmu, gfn, level, root);
  const at = entryAt(format.geometry, table, gfn, level);
  const old = format.decode(yield cpu.exchangeWord(at, format.empty, 'tdp.zap.clear-huge'), level);
  if (old.dirty) yield* mmu.markDirty(cpu, gfn, level);
  return 1;
}

function* zapLeaves(cpu: Context, mmu: TdpMmu, table: number, range: PageRange): Routine<number> {
  const { format } = mmu;
  let zapped = 0;
  for (let gfn = range.first; gfn < range.end; gfn++) {
    const at = entryAt(format.geometry, table, gfn, 0);
    const seen = format.decode(yield cpu.load(at, 'tdp.zap.look-leaf'), 0);
    if (seen.kind !== 'leaf') continue;
    // Exchange, because hardware may set D between a look and a store.
    const old = format.decode(yield cpu.exchangeWord(at, format.empty, 'tdp.zap.clear'), 0);
    if (old.dirty) yield* mmu.markDirty(cpu, gfn);
    zapped++;
  }
  return zapped;
}
