/**
 * Leaves of the shadow of a guest's own tables: what a fault asked for, and up to seven neighbours
 * that the guest has used before.
 *
 * Source: arch/x86/kvm/mmu/mmu.c, mmu_set_spte, direct_pte_prefetch; spte.c, make_spte;
 * paging_tmpl.h, pte_prefetch, prefetch_gpte (facts).
 */
import { Unit } from '../../machine/preset/price.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { type EntryOf, noteOf, targetIn } from '../mmu/shadow/mmu.ts';
import { noteLeaf } from '../mmu/shadow/note.ts';
import { ACCESS_WRITE, Role, ShadowPage } from '../mmu/shadow/page.ts';
import { tryToUnsync } from '../mmu/shadow/unsync.ts';
import { zapEntry } from '../mmu/shadow/zap.ts';
import type { ShadowVm } from './state.ts';
import { leafOf } from './tables.ts';

/** Entries around a fault that are looked at: the aligned group that it lies in. */
const PREFETCHED = 8;

/** A leaf to set. */
export interface Leaf {
  readonly gfn: number;
  readonly pfn: number;
  readonly access: number;
}

/** `protected`: it allows no writing although the guest's tables do, because a table lies there. */
export type LeafOutcome = 'mapped' | 'present' | 'protected';

/** Sets a leaf under the lock held for writing; `why`: a fault that writes, another, or a guess. */
export function* setLeaf(
  cpu: Context,
  vm: ShadowVm,
  of: EntryOf,
  leaf: Leaf,
  why: 'write' | 'fault' | 'prefetch',
): Routine<LeafOutcome> {
  const { mmu } = vm;
  const { format } = mmu;
  const word = mmu.mapped(cpu, of);
  const at = mmu.entry(cpu, of);
  let seen = format.decode(yield cpu.load(at, 'shadow.leaf.look'), 0);
  let isStale = false;
  if (seen.kind === 'leaf' && seen.pfn !== leaf.pfn) {
    isStale = (yield* zapEntry(cpu, mmu, of)) === 'cached';
    seen = format.empty;
  }
  const wants = (leaf.access & ACCESS_WRITE) !== 0;
  const may = wants && (seen.write || (yield* mayWrite(cpu, vm, leaf.gfn, why)));
  const made = leafOf(format, leaf.pfn, leaf.access, may);
  const note = noteOf(leaf.gfn, leaf.access);
  let outcome: LeafOutcome = 'mapped';
  if (seen.lo === made.lo && seen.hi === made.hi) outcome = 'present';
  else {
    // Exchanged, because hardware may set D in a leaf that narrows.
    const old = format.decode(yield cpu.exchangeWord(at, made, 'shadow.leaf.set'), 0);
    if (old.dirty && !made.dirty) yield* vm.backing.markDirty(cpu, leaf.gfn);
    noteLeaf(cpu, leaf.gfn, 0, at, made);
    if (old.write && !made.write) isStale = true;
  }
  if (targetIn(cpu.read(word)) < 0) yield* mmu.addReverse(cpu, leaf.gfn, of);
  cpu.write(word, note);
  if (isStale) yield* vm.tables.flush(cpu);
  return wants && !may && why === 'write' ? 'protected' : outcome;
}

/** Whether a leaf may let the guest write to a page, which may be a table of its own. */
function* mayWrite(
  cpu: Context,
  vm: ShadowVm,
  gfn: number,
  why: 'write' | 'fault' | 'prefetch',
): Routine<boolean> {
  if (vm.unsync === 'off') {
    const { leaf, upper } = yield* vm.mmu.countOf(cpu, gfn);
    return leaf === 0 && upper === 0;
  }
  const reason = why === 'prefetch' ? 'prefetch' : 'fault';
  return (yield* tryToUnsync(cpu, vm.mmu, gfn, reason)) === 'granted';
}

/** What the guest is likely to use next, as far as its tables say that it did before. */
export function* prefetch(cpu: Context, vm: ShadowVm, of: EntryOf): Routine<void> {
  const role = cpu.read(of.page + ShadowPage.at.role);
  if (Role.isDirect(role)) return yield* prefetchDirect(cpu, vm, of, role);
  const { mmu, tables } = vm;
  const table = cpu.read(of.page + ShadowPage.at.gfn);
  const { first, end } = groupOf(vm, of.index);
  for (let index = first; index < end; index++) {
    const at = { page: of.page, index };
    if (index === of.index || cpu.read(mmu.mapped(cpu, at)) !== 0) continue;
    cpu.spend(Unit.listElement, 1);
    const guest = yield* tables.entryNow(cpu, table, index, 0);
    const access = guest === undefined ? 0 : tables.access(role, guest);
    if (guest === undefined || access === 0) return;
    const pfn = yield* vm.backing.resident(cpu, guest.pfn);
    if (pfn < 0) return;
    yield* setLeaf(cpu, vm, at, { gfn: guest.pfn, pfn, access }, 'prefetch');
  }
}

/** Below a huge page of the guest: neighbours that the host has resident, run by run. */
function* prefetchDirect(cpu: Context, vm: ShadowVm, of: EntryOf, role: number): Routine<void> {
  const base = cpu.read(of.page + ShadowPage.at.gfn);
  const { first, end } = groupOf(vm, of.index);
  let isOpen = true; // until a page of the present run turns out not to be resident
  for (let index = first; index < end; index++) {
    const at = { page: of.page, index };
    if (index === of.index || cpu.read(vm.mmu.mapped(cpu, at)) !== 0) {
      if (!isOpen) return;
      continue;
    }
    if (!isOpen) continue;
    const gfn = base + index;
    const pfn = vm.backing.has(gfn) ? yield* vm.backing.resident(cpu, gfn) : -1;
    if (pfn < 0) isOpen = false;
    else yield* setLeaf(cpu, vm, at, { gfn, pfn, access: Role.access(role) }, 'prefetch');
  }
}

function groupOf(vm: ShadowVm, index: number): { first: number; end: number } {
  const size = Math.min(PREFETCHED, vm.mmu.entries);
  const first = index - (index % size);
  return { first, end: first + size };
}
