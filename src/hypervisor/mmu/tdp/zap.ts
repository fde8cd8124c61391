/**
 * Removing access in the TDP MMU: leaves are exchanged for empty entries under the write lock,
 * remote TLBs are flushed before the lock is dropped, and only then are pages and tables given
 * back.
 */
import { pagesAt } from '../../../machine/format/format.ts';
import { Unit } from '../../../machine/preset/price.ts';
import type { Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { writeLock, writeUnlock } from '../../../sync/rwlock.ts';
import { flushRemote } from '../../flush/request-kick.ts';
import { closeInvalidation, entryAt, openInvalidation, type PageRange } from '../common.ts';
import type { TdpMmu } from './mmu.ts';

/**
 * Unmaps ascending ranges: a fault in between is refused (`openInvalidation`), afterwards it must
 * look up its page again. `pages` says whether the backing keeps or frees them.
 */
export function* tdpUnmap(
  cpu: Context,
  mmu: TdpMmu,
  ranges: readonly PageRange[],
  pages: 'keep' | 'free',
): Routine<void> {
  if (ranges.length === 0) return;
  yield* writeLock(cpu, mmu.lock, 'tdp.unmap.lock');
  yield* openInvalidation(cpu, mmu.words, ranges);
  let zapped = 0;
  for (const range of ranges) {
    zapped += yield* zapRange(cpu, mmu, range);
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

/** Empties the leaves of a range; returns how many were present. */
function* zapRange(cpu: Context, mmu: TdpMmu, range: PageRange): Routine<number> {
  const { geometry } = mmu.format;
  let zapped = 0;
  let gfn = range.first;
  while (gfn < range.end) {
    const table = yield* tableAt(cpu, mmu, gfn, 0);
    const span = pagesAt(geometry, table < 0 ? -table : 1);
    const end = Math.min(range.end, (Math.floor(gfn / span) + 1) * span);
    if (table >= 0) zapped += yield* zapLeaves(cpu, mmu, table, { first: gfn, end });
    gfn = end;
  }
  return zapped;
}

/**
 * The table of `target` level that serves `gfn`, or minus the level of the entry absent above
 * it.
 */
function* tableAt(cpu: Context, mmu: TdpMmu, gfn: number, target: number): Routine<number> {
  const { format } = mmu;
  let table = mmu.root;
  for (let level = format.geometry.levels - 1; level > target; level--) {
    cpu.spend(Unit.levelWalked, 1);
    const at = entryAt(format.geometry, table, gfn, level);
    const seen = format.decode(yield cpu.load(at, 'tdp.zap.look'), level);
    if (seen.kind !== 'table') return -level;
    table = seen.pfn;
  }
  return table;
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
    if (old.dirty) yield* mmu.backing.markDirty(cpu, gfn);
    zapped++;
  }
  return zapped;
}

/**
 * Removes the tables that serve an aligned range as large as one upper-level entry: the entry is
 * frozen, used entries below are frozen too, TLBs are flushed, the entry is emptied, and the frames
 * are given back after a grace period. All under the write lock, which keeps faults out; a removal
 * under the read lock would have to freeze unused entries as well (later step).
 */
export function* tdpRemoveTables(cpu: Context, mmu: TdpMmu, range: PageRange): Routine<void> {
  const { format } = mmu;
  const level = levelSpanning(mmu, range);
  if (level < 0) return; // no entry spans it: nothing to remove
  const removed: number[] = [];
  yield* writeLock(cpu, mmu.lock, 'tdp.remove.lock');
  const table = yield* tableAt(cpu, mmu, range.first, level);
  if (table >= 0) {
    const at = entryAt(format.geometry, table, range.first, level);
    const old = format.decode(
      yield cpu.exchangeWord(at, format.frozen, 'tdp.remove.unlink'),
      level,
    );
    if (old.kind === 'table') yield* sweep(cpu, mmu, old.pfn, level - 1, range.first, removed);
    if (removed.length > 0) yield* flushRemote(cpu, mmu.vm);
    yield cpu.storeWord(at, format.empty, 'tdp.remove.emptied');
  }
  yield* writeUnlock(cpu, mmu.lock, 'tdp.remove.unlock');
  for (const frame of removed) {
    if (mmu.rcu === undefined) mmu.platform.frames.give(cpu, frame);
    else yield* mmu.rcu.defer(cpu, frame);
  }
}

/** Level whose entries span exactly the range; -1 if there is none. */
function levelSpanning(mmu: TdpMmu, range: PageRange): number {
  const { geometry } = mmu.format;
  for (let level = geometry.levels - 1; level > 0; level--) {
    const span = pagesAt(geometry, level);
    if (range.end - range.first === span && range.first % span === 0) return level;
  }
  return -1;
}

/**
 * Freezes every used entry of an unlinked table, whose first page is `first`, and of those below
 * it; lists their frames. CPUs still walk it: until they are flushed they may set D in its leaves.
 */
export function* sweep(
  cpu: Context,
  mmu: TdpMmu,
  table: number,
  level: number,
  first: number,
  removed: number[],
): Routine<void> {
  const { format } = mmu;
  removed.push(table);
  for (let index = 0; index < 1 << format.geometry.indexBits; index++) {
    const at = table * 4096 + index * 8;
    const page = first + index * pagesAt(format.geometry, level);
    const seen = format.decode(yield cpu.load(at, 'tdp.remove.look'), level);
    if (seen.kind === 'empty') continue;
    const old = format.decode(
      yield cpu.exchangeWord(at, format.frozen, 'tdp.remove.freeze'),
      level,
    );
    if (old.kind === 'leaf' && old.dirty) yield* mmu.backing.markDirty(cpu, page);
    if (old.kind === 'table') yield* sweep(cpu, mmu, old.pfn, level - 1, page, removed);
  }
}
