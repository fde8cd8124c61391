/**
 * A page fault of a guest whose tables are shadowed: the guest's own tables say whether it is the
 * guest's business; otherwise the shadow is filled, and the guest tries again.
 *
 * Source: arch/x86/kvm/mmu/paging_tmpl.h, page_fault; mmu.c, direct_page_fault (facts;
 * primer/x86.md 3.2).
 */
import { indexAt } from '../../machine/format/format.ts';
import { WRITE } from '../../machine/format/judge.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { Tracepoint } from '../../runtime/trace.ts';
import { writeLock, writeUnlock } from '../../sync/rwlock.ts';
import { beginLookup, isStale } from '../mmu/common.ts';
import { fetchShadow, findOrMake, linkDirect } from '../mmu/shadow/fetch.ts';
import { clearWrites } from '../mmu/shadow/flooding.ts';
import { type EntryOf, targetIn } from '../mmu/shadow/mmu.ts';
import { Role, ShadowPage } from '../mmu/shadow/page.ts';
import type { Vcpu } from '../vcpu.ts';
import { type Found, type Wanted, walkGuest } from './guest-walk.ts';
import { type LeafOutcome, prefetch, setLeaf } from './set-leaf.ts';
import { type ShadowVm, shadowOf } from './state.ts';

/** Error code: the shadow had a present entry that does not permit the access. */
const PRESENT = 1;

/**
 * `guest`: a #PF for the guest, with its error code; `emulate`: a write to a shadowed table, which
 * the host carries out; `absent`: no memory is there.
 */
export type ShadowFault =
  | { readonly kind: 'again' | 'absent' }
  | { readonly kind: 'emulate'; readonly gfn: number }
  | { readonly kind: 'guest'; readonly code: number };

const AGAIN: ShadowFault = { kind: 'again' };

export function* shadowFault(
  cpu: Context,
  v: Vcpu,
  vm: ShadowVm,
  want: Wanted,
): Routine<ShadowFault> {
  const { root } = shadowOf(vm, v);
  const walk = yield* walkGuest(cpu, vm, root.gfn, want);
  if (walk === 'changed') return AGAIN;
  if ('fault' in walk) return { kind: 'guest', code: walk.fault };
  const write = want.access === WRITE;
  if (write && (want.code & PRESENT) !== 0 && (yield* isUpperTable(cpu, vm, walk.gfn))) {
    // The fault came through these SPs: they are in use.
    yield* clearWritesOf(cpu, vm, root.page, Math.floor(want.address / FRAME_BYTES));
    return { kind: 'emulate', gfn: walk.gfn };
  }
  yield* vm.mmu.topUp(cpu);
  const seq = yield* beginLookup(cpu, vm.words);
  const pfn = yield* vm.backing.find(cpu, walk.gfn);
  if (pfn < 0) return { kind: 'absent' };
  yield* writeLock(cpu, vm.lock, 'shadow.fault.lock');
  let outcome: LeafOutcome | 'retry' = 'retry';
  const isGone = vm.mmu.isObsolete(cpu, root.page);
  if (!isGone && !(yield* isStale(cpu, vm.words, seq, walk.gfn))) {
    outcome = yield* fill(cpu, vm, root.page, want, walk, pfn);
  }
  yield* writeUnlock(cpu, vm.lock, 'shadow.fault.unlock');
  return outcome === 'protected' ? { kind: 'emulate', gfn: walk.gfn } : AGAIN;
}

function* isUpperTable(cpu: Context, vm: ShadowVm, gfn: number): Routine<boolean> {
  if (!vm.backing.has(gfn)) return false;
  return (yield* vm.mmu.countOf(cpu, gfn)).upper > 0;
}

/** The SPs on the way to a page are in use; under the lock, so that none goes meanwhile. */
function* clearWritesOf(cpu: Context, vm: ShadowVm, root: number, page: number): Routine<void> {
  yield* writeLock(cpu, vm.lock, 'shadow.clear-writes.lock');
  const { mmu } = vm;
  if (!mmu.isObsolete(cpu, root)) {
    let at = root;
    for (let level = mmu.format.geometry.levels - 1; level >= 0; level--) {
      yield clearWrites(cpu, at);
      const of = { page: at, index: indexAt(mmu.format.geometry, page, level) };
      at = level === 0 ? -1 : targetIn(cpu.read(mmu.mapped(cpu, of)));
      if (at < 0) break;
    }
  }
  yield* writeUnlock(cpu, vm.lock, 'shadow.clear-writes.unlock');
}

/** Under the lock: SPs down to the guest's leaf, SPs of the hypervisor's own below it, the leaf. */
function* fill(
  cpu: Context,
  vm: ShadowVm,
  root: number,
  want: Wanted,
  walk: Found,
  pfn: number,
): Routine<LeafOutcome | 'retry'> {
  const page = Math.floor(want.address / FRAME_BYTES);
  const why = want.access === WRITE ? 'write' : 'fault';
  const set = function* set(of: EntryOf, level: number): Routine<LeafOutcome> {
    cpu.tracepoint(Tracepoint.spteRequested, walk.gfn * 8 + 1, pfn);
    const leaf = { gfn: walk.gfn, pfn, access: walk.access };
    const place = yield* descendDirect(cpu, vm, of, level, page, walk);
    const outcome = yield* setLeaf(cpu, vm, place, leaf, why);
    if (outcome !== 'present') yield* prefetch(cpu, vm, place);
    return outcome;
  };
  const top = vm.mmu.format.geometry.levels - 1;
  if (walk.steps.length === 0) {
    return yield* set({ page: root, index: indexAt(vm.mmu.format.geometry, page, top) }, top);
  }
  return yield* fetchShadow(cpu, vm.mmu, vm.tables, root, page, walk.steps, (of, step) =>
    set(of, step.level),
  );
}

/**
 * Below a huge page of the guest, or without paging, the hypervisor has SPs of its own, since the
 * host's pages are small: from the entry `of` at `level` down to the one for the page.
 */
function* descendDirect(
  cpu: Context,
  vm: ShadowVm,
  of: EntryOf,
  level: number,
  page: number,
  walk: Found,
): Routine<EntryOf> {
  const { mmu, tables } = vm;
  const { geometry } = mmu.format;
  let at = of;
  for (let below = level - 1; below >= 0; below--) {
    yield clearWrites(cpu, at.page);
    const next = targetIn(cpu.read(mmu.mapped(cpu, at)));
    const parent = cpu.read(at.page + ShadowPage.at.role);
    let child = next;
    const role = Role.of(parent, below, 'direct', walk.access);
    // Another SP may be there from when the guest's entry allowed less or more.
    if (child < 0 || cpu.read(child + ShadowPage.at.role) !== role) {
      const span = 2 ** (geometry.indexBits * (below + 1));
      const base = walk.gfn - (walk.gfn % span);
      child = (yield* findOrMake(cpu, mmu, tables, base, role)).page;
      const empty = mmu.format.empty;
      yield* linkDirect(cpu, mmu, at, child, tables, empty);
      if (next >= 0) yield* tables.flush(cpu);
    }
    at = { page: child, index: indexAt(geometry, page, below) };
  }
  return at;
}
