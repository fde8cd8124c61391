/**
 * Removing table pages of the TDP MMU: the entry that links them is frozen, every entry below is
 * frozen in its turn and what it knew of accesses is kept, TLBs are flushed, the entry is emptied,
 * and the frames are given back after a grace period. Under the write lock nobody else installs;
 * under the read lock faults may stand in any of the tables, so unused entries are frozen as well.
 *
 * Source: arch/x86/kvm/mmu/tdp_mmu.c, handle_removed_pt and tdp_mmu_zap_spte_atomic (facts;
 * primer/x86.md 2.7).
 */
import { join } from '../../../base/bits.ts';
import { type Entry, pagesAt } from '../../../machine/format/format.ts';
import { FRAME_BYTES } from '../../../machine/memory.ts';
import type { Routine } from '../../../runtime/act.ts';
import { won } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { readLock, readUnlock, writeLock, writeUnlock } from '../../../sync/rwlock.ts';
import { flushRemote } from '../../flush/request-kick.ts';
import { entryAt, type PageRange } from '../common.ts';
import type { TdpMmu } from './mmu.ts';
import { tableAt } from './walk.ts';

/**
 * Removes the tables that serve an aligned range as large as one upper-level entry, or the huge
 * leaf that maps it.
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
    if (old.kind === 'table') {
      const below = { table: old.pfn, level: level - 1, first: range.first };
      yield* sweep(cpu, mmu, below, freezeUsed, removed);
    }
    if (old.kind === 'leaf' && old.dirty) yield* mmu.markDirty(cpu, range.first, level);
    if (old.kind === 'leaf' || removed.length > 0) {
      yield* flushRemote(cpu, mmu.vm, 'tdp.remove.wait');
    }
    yield cpu.storeWord(at, format.empty, 'tdp.remove.emptied');
  }
  yield* writeUnlock(cpu, mmu.lock, 'tdp.remove.unlock');
  yield* giveLater(cpu, mmu, removed);
}

/** Gives frames of unlinked tables back once nobody can stand in them; without any lock. */
export function* giveLater(cpu: Context, mmu: TdpMmu, frames: readonly number[]): Routine<void> {
  for (const frame of frames) {
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

/** A table and all that is below it. */
interface Subtree {
  readonly table: number;
  readonly level: number;
  /** First page that the table serves. */
  readonly first: number;
}

/** Freezes the entry at a place; what it was. An empty one may stay, where nobody installs. */
type Freeze = (cpu: Context, mmu: TdpMmu, at: number, level: number) => Routine<Entry>;

/**
 * Freezes the entries of an unlinked table and of those below it, and lists their frames. CPUs
 * still walk it: until they are flushed they may set D in its leaves.
 */
export function* sweep(
  cpu: Context,
  mmu: TdpMmu,
  { table, level, first }: Subtree,
  freeze: Freeze,
  removed: number[],
): Routine<void> {
  const { geometry } = mmu.format;
  removed.push(table);
  if (mmu.nx !== undefined) yield* mmu.nx.untrack(cpu, table);
  for (let index = 0; index < 1 << geometry.indexBits; index++) {
    const page = first + index * pagesAt(geometry, level);
    const old = yield* freeze(cpu, mmu, table * FRAME_BYTES + index * 8, level);
    if (old.kind === 'leaf' && old.dirty) yield* mmu.markDirty(cpu, page, level);
    if (old.kind !== 'table') continue;
    yield* sweep(cpu, mmu, { table: old.pfn, level: level - 1, first: page }, freeze, removed);
  }
}

/** Under the write lock: nobody else installs, so only used entries are frozen. */
export function* freezeUsed(
  cpu: Context,
  { format }: TdpMmu,
  at: number,
  level: number,
): Routine<Entry> {
  const seen = format.decode(yield cpu.load(at, 'tdp.remove.look'), level);
  if (seen.kind === 'empty') return seen;
  return format.decode(yield cpu.exchangeWord(at, format.frozen, 'tdp.remove.freeze'), level);
}

/**
 * Under the read lock: nobody may install below any more, so unused entries go too. An entry that
 * somebody else has frozen is his until he empties it: then it is taken.
 */
export function* freezeShared(
  cpu: Context,
  { format }: TdpMmu,
  at: number,
  level: number,
): Routine<Entry> {
  const { frozen } = format;
  const asNumber = join(frozen.lo, frozen.hi);
  cpu.attempt('tdp.sweep');
  for (;;) {
    const old = format.decode(yield cpu.exchangeWord(at, frozen, 'tdp.sweep.freeze'), level);
    if (old.kind !== 'frozen') return old;
    yield cpu.wait([at], () => cpu.peek(at) !== asNumber, 'tdp.sweep.wait');
    cpu.again('tdp.sweep');
  }
}

/**
 * Empties the entries of a range that link tables although the host has a huge page there, so that
 * the next fault maps it whole: when dirty logging ends (`kvm_tdp_mmu_zap_collapsible_sptes`).
 * Under the read lock.
 */
export function* tdpCollapse(cpu: Context, mmu: TdpMmu, range: PageRange): Routine<void> {
  const { backing, format } = mmu;
  if (backing.huge === undefined) return;
  const { level, pages } = backing.huge;
  const removed: number[] = [];
  yield* readLock(cpu, mmu.lock, 'tdp.collapse.lock');
  for (let gfn = range.first - (range.first % pages); gfn < range.end; gfn += pages) {
    if (!(yield* backing.mayBeHuge(cpu, gfn))) continue;
    const table = yield* tableAt(cpu, mmu, gfn, level);
    if (table < 0) continue;
    const at = entryAt(format.geometry, table, gfn, level);
    const seen = format.decode(yield cpu.load(at, 'tdp.collapse.look'), level);
    if (seen.kind !== 'table') continue;
    if (!won(yield cpu.casWord(at, seen, format.frozen, 'tdp.collapse.freeze'))) continue;
    const below = { table: seen.pfn, level: level - 1, first: gfn };
    yield* sweep(cpu, mmu, below, freezeShared, removed);
    yield* flushRemote(cpu, mmu.vm, 'tdp.collapse.wait');
    yield cpu.storeWord(at, format.empty, 'tdp.collapse.emptied');
  }
  yield* readUnlock(cpu, mmu.lock, 'tdp.collapse.unlock');
  yield* giveLater(cpu, mmu, removed);
}
