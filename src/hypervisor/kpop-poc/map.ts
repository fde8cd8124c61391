/**
 * MMU_MAP, MMU_UNMAP, and what the host does when it takes pages of L1, under the locks that the
 * proof of concept had: MAP runs the TDP MMU's own map under the mmu_lock held for reading, UNMAP
 * zaps under it held for writing and flushes before it lets go.
 *
 * A root is indexed by L2's page numbers, and nothing says at which of them a page of L1 is mapped.
 * So an invalidation by the host, which comes with page numbers of L1, finds entries of EPT01 only
 * (primer/x86.md 6.0: nothing in the code read reaches the others, unverified). The repair searches
 * every root for the frames.
 */
import { PocStatus } from '../../abi/kpop-poc.ts';
import { pagesAt } from '../../machine/format/format.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { Unit } from '../../machine/preset/price.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { readLock, readUnlock, writeLock, writeUnlock } from '../../sync/rwlock.ts';
import { flushRemote } from '../flush/request-kick.ts';
import {
  beginLookup,
  closeInvalidation,
  type FaultOutcome,
  isStale,
  openInvalidation,
  type PageRange,
} from '../mmu/common.ts';
import { memoryBelow, tdpMap } from '../mmu/tdp/fault.ts';
import type { TdpMmu } from '../mmu/tdp/mmu.ts';
import { tdpUnmap, zapRange } from '../mmu/tdp/zap.ts';
import { rootOfSpace } from './roots.ts';
import type { PocVm } from './vm.ts';

/** Pages of one UNMAP: a bound on work that cannot be interrupted. */
const RANGE_LIMIT = 2 ** 18;

const STATUS: Readonly<Record<FaultOutcome, number>> = {
  mapped: PocStatus.ok,
  present: PocStatus.ok,
  retry: PocStatus.again,
  absent: PocStatus.fault,
  other: PocStatus.busy,
};

/** Maps page `l2gfn` of an address space to L1's page `l1gfn`. */
export function* pocMap(
  cpu: Context,
  { tdp, poc }: PocVm,
  space: number,
  l2gfn: number,
  l1gfn: number,
): Routine<number> {
  if (!(l2gfn >= 0 && l2gfn < pagesOf(poc.roots[0]!.mmu))) return PocStatus.invalid;
  yield* tdp.topUp(cpu);
  const seq = yield* beginLookup(cpu, tdp.words);
  const pfn = yield* tdp.backing.find(cpu, l1gfn); // may sleep, so it comes before the lock
  if (pfn < 0) return PocStatus.fault;
  yield* readLock(cpu, tdp.lock, 'poc.map.lock');
  const root = rootOfSpace(cpu, poc, space);
  let outcome: FaultOutcome = 'retry';
  if (root !== undefined && !(yield* isStale(cpu, tdp.words, seq, l1gfn))) {
    // Who takes the entry away will not know of which page of L1 it was.
    yield* tdp.backing.markDirty(cpu, l1gfn);
    const what = { gfn: l2gfn, access: 'write', pfn, goal: 0, logs: false } as const;
    const { mmu } = root;
    outcome = yield* tdpMap(cpu, mmu, { ...what, ...memoryBelow(mmu), removed: [] });
  }
  yield* readUnlock(cpu, tdp.lock, 'poc.map.unlock');
  return root === undefined ? PocStatus.unknown : STATUS[outcome];
}

/** Pages that tables of the format can map. */
function pagesOf({ format: { geometry } }: TdpMmu): number {
  return pagesAt(geometry, geometry.levels);
}

/** Unmaps a range of an address space; on return no access of L2 uses it. */
export function* pocUnmap(
  cpu: Context,
  { tdp, poc }: PocVm,
  space: number,
  range: PageRange,
): Routine<number> {
  const { first, end } = range;
  const isRange = first >= 0 && end > first && end - first <= RANGE_LIMIT;
  if (!isRange || end > pagesOf(poc.roots[0]!.mmu)) return PocStatus.invalid;
  yield* writeLock(cpu, tdp.lock, 'poc.unmap.lock');
  const root = rootOfSpace(cpu, poc, space);
  if (root !== undefined && (yield* zapRange(cpu, root.mmu, range, false)) > 0) {
    yield* flushRemote(cpu, tdp.vm);
  }
  yield* writeUnlock(cpu, tdp.lock, 'poc.unmap.unlock');
  return root === undefined ? PocStatus.unknown : PocStatus.ok;
}

/**
 * The host takes pages of L1. `reach`: whether it looks for them in L2's roots too, which has to
 * come first: once EPT01 has lost them, L1's pages are given back.
 */
export function* pocTake(
  cpu: Context,
  vm: PocVm,
  reach: 'l1' | 'all',
  ranges: readonly PageRange[],
  pages: 'keep' | 'free',
): Routine<void> {
  const { tdp } = vm;
  if (ranges.length === 0) return;
  if (reach === 'l1') return yield* tdpUnmap(cpu, tdp, ranges, pages);
  yield* writeLock(cpu, tdp.lock, 'poc.take.lock');
  yield* openInvalidation(cpu, tdp.words, ranges); // a MAP in between is refused
  if (yield* zapRoots(cpu, vm, ranges)) yield* flushRemote(cpu, tdp.vm);
  yield* writeUnlock(cpu, tdp.lock, 'poc.take.unlock');
  yield* tdpUnmap(cpu, tdp, ranges, pages);
  yield* writeLock(cpu, tdp.lock, 'poc.taken.lock');
  yield* closeInvalidation(cpu, tdp.words);
  yield* writeUnlock(cpu, tdp.lock, 'poc.taken.unlock');
}

/** Under the write lock: whether an entry of some root mapped one of the pages. */
function* zapRoots(
  cpu: Context,
  { tdp, poc }: PocVm,
  ranges: readonly PageRange[],
): Routine<boolean> {
  const frames = new Set<number>();
  for (const { first, end } of ranges) {
    for (let gfn = first; gfn < end; gfn++) {
      const frame = yield* tdp.backing.resident(cpu, gfn);
      if (frame >= 0) frames.add(frame);
    }
  }
  let zapped = 0;
  for (const { mmu } of poc.roots) {
    const top = mmu.format.geometry.levels - 1;
    if (frames.size > 0) zapped += yield* zapFrames(cpu, mmu, mmu.root, top, frames);
  }
  return zapped > 0;
}

/** Empties the leaves below a table that map one of the frames; how many. */
function* zapFrames(
  cpu: Context,
  mmu: TdpMmu,
  table: number,
  level: number,
  frames: ReadonlySet<number>,
): Routine<number> {
  const { format } = mmu;
  let zapped = 0;
  for (let index = 0; index < 1 << format.geometry.indexBits; index++) {
    const at = table * FRAME_BYTES + index * 8;
    cpu.spend(Unit.levelWalked, 1);
    const seen = format.decode(yield cpu.load(at, 'poc.take.look'), level);
    if (seen.kind === 'table') zapped += yield* zapFrames(cpu, mmu, seen.pfn, level - 1, frames);
    if (seen.kind !== 'leaf' || !frames.has(seen.pfn)) continue;
    // By exchange, because hardware may set A and D meanwhile.
    yield cpu.exchangeWord(at, format.empty, 'poc.take.clear');
    zapped++;
  }
  return zapped;
}
