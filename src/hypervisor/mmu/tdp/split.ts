/**
 * Splitting a huge leaf: a table of smaller leaves with the same translations is filled where
 * nobody can see it and takes the leaf's place by one compare-and-swap of the whole entry. If
 * hardware has set D meanwhile, or anybody has changed anything, that fails and the leaf is looked
 * at again
 * (primer/x86.md R14). No flush: what a CPU has cached of the leaf says the same as its pieces.
 *
 * Source: arch/x86/kvm/mmu/tdp_mmu.c, tdp_mmu_split_huge_page (facts).
 */
import { type Entry, pagesAt } from '../../../machine/format/format.ts';
import { FRAME_BYTES } from '../../../machine/memory.ts';
import { Unit } from '../../../machine/preset/price.ts';
import { type Routine, won } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { readLock, readUnlock } from '../../../sync/rwlock.ts';
import { flushRemote } from '../../flush/request-kick.ts';
import { entryAt, type PageRange } from '../common.ts';
import type { TdpMmu } from './mmu.ts';

/** The entries of `table` that together say what the leaf `huge` of `level` says. */
export function* fillSplit(
  cpu: Context,
  mmu: TdpMmu,
  table: number,
  huge: Entry,
  level: number,
): Routine<void> {
  const { format } = mmu;
  const below = level - 1;
  const span = pagesAt(format.geometry, below);
  // What is not huge any more may be executed.
  const rights = mmu.nx !== undefined && below === 0 ? { ...huge, execute: true } : huge;
  for (let i = 0; i < 1 << format.geometry.indexBits; i++) {
    const piece = format.leaf({
      pfn: huge.pfn + i * span,
      level: below,
      rights,
      accessed: huge.accessed,
      dirty: huge.dirty,
      hostWritable: huge.hostWritable,
      mmuWritable: huge.mmuWritable,
    });
    yield cpu.storeWord(table * FRAME_BYTES + i * 8, piece, 'tdp.split.fill');
  }
}

/**
 * Puts `table` in the place of the leaf that was seen at `at`; its frame, or -1 if somebody was
 * faster. What the frame holds then is no zero any more.
 */
export function* splitLeaf(
  cpu: Context,
  mmu: TdpMmu,
  at: number,
  seen: Entry,
  level: number,
  table: number,
): Routine<number> {
  yield* fillSplit(cpu, mmu, table, seen, level);
  if (won(yield cpu.casWord(at, seen, mmu.format.table(table), 'tdp.split.commit'))) return table;
  mmu.platform.frames.give(cpu, table);
  return -1;
}

/**
 * What KVM did before it split in place: the leaf is taken away, TLBs are flushed, and whoever
 * needs the pages faults for each. Frozen meanwhile, because other faults run under the read lock.
 */
export function* zapInstead(
  cpu: Context,
  mmu: TdpMmu,
  at: number,
  seen: Entry,
  gfn: number,
  level: number,
): Routine<void> {
  const { format } = mmu;
  if (!won(yield cpu.casWord(at, seen, format.frozen, 'tdp.split.freeze'))) return;
  if (seen.dirty) yield* mmu.markDirty(cpu, gfn, level);
  yield* flushRemote(cpu, mmu.vm, 'tdp.split.wait');
  yield cpu.storeWord(at, format.empty, 'tdp.split.emptied');
}

/** Splits every huge leaf of a range down to 4 KiB, under the read lock: eager splitting. */
export function* tdpSplit(cpu: Context, mmu: TdpMmu, range: PageRange): Routine<void> {
  const { geometry } = mmu.format;
  yield* readLock(cpu, mmu.lock, 'tdp.split.lock');
  for (let gfn = range.first; gfn < range.end; ) {
    const span = pagesAt(geometry, yield* splitAround(cpu, mmu, gfn));
    gfn = (Math.floor(gfn / span) + 1) * span;
  }
  yield* readUnlock(cpu, mmu.lock, 'tdp.split.unlock');
}

/** Level above which nothing huge maps `gfn` any more: 1, or that of an absent entry. */
function* splitAround(cpu: Context, mmu: TdpMmu, gfn: number): Routine<number> {
  const { format, platform } = mmu;
  let table = mmu.root;
  for (let level = format.geometry.levels - 1; level > 0; level--) {
    const at = entryAt(format.geometry, table, gfn, level);
    cpu.spend(Unit.levelWalked, 1);
    let below = -1;
    cpu.attempt('tdp.split');
    while (below < 0) {
      const seen = format.decode(yield cpu.load(at, 'tdp.split.look'), level);
      if (seen.kind === 'empty' || seen.kind === 'frozen') {
        cpu.conclude('tdp.split', 0);
        return level;
      }
      if (seen.kind === 'table') {
        below = seen.pfn;
        break;
      }
      const spare = yield* platform.frames.take(cpu);
      below = yield* splitLeaf(cpu, mmu, at, seen, level, spare);
      if (below < 0) cpu.again('tdp.split');
    }
    cpu.conclude('tdp.split', below);
    table = below;
  }
  return 1;
}
