/**
 * Filling the shadow: from what a software walk of the guest's tables found, entries are linked top
 * down under the mmu_lock held for writing, and the leaf is set. Newly shadowed tables must be
 * write-protected in the VM's own second stage; the caller does that and flushes.
 *
 * Source: arch/x86/kvm/mmu/paging_tmpl.h, fetch (facts).
 */
import { type Entry, indexAt } from '../../../machine/format/format.ts';
import { Unit } from '../../../machine/preset/price.ts';
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { SP_NEW, Tracepoint } from '../../../runtime/trace.ts';
import { clearWrites } from './flooding.ts';
import { type EntryOf, noteOf, type ShadowMmu, targetIn } from './mmu.ts';
import { noteShadowPage } from './note.ts';
import { ShadowPage, StateAt } from './page.ts';
import { syncChildren, syncEntries } from './sync.ts';
import type { GuestStep, GuestTables } from './tables.ts';
import { markChild } from './unsync.ts';
import { zapEntry } from './zap.ts';

/** Sets what the last step of a walk asks for; `of` is where its entry is mirrored. */
export type SetLeaf<T> = (of: EntryOf, step: GuestStep) => Routine<T>;

/**
 * `steps` from the root down to the leaf. The guest may write to a table until that is protected:
 * whatever was read before must be read once more. Nothing is linked if the guest has changed an
 * entry: it tries again.
 */
export function* fetchShadow<T>(
  cpu: Context,
  mmu: ShadowMmu,
  tables: GuestTables,
  root: number,
  page: number,
  steps: readonly GuestStep[],
  setLeaf: SetLeaf<T>,
): Routine<T | 'retry'> {
  const pages = [root];
  const made: number[] = [];
  let isSame = true;
  for (const [i, step] of steps.entries()) {
    if (yield* hasChanged(cpu, mmu, step)) isSame = false;
    if (!isSame || i === steps.length - 1) break;
    const of = { page: pages[i]!, index: indexAt(mmu.format.geometry, page, step.level) };
    const child = yield* childOf(cpu, mmu, tables, of, step);
    pages.push(child.page);
    if (child.made && step.entry.kind === 'table') made.push(step.entry.pfn);
  }
  if (made.length > 0 && (yield* tables.protect(cpu, made))) {
    yield* tables.flush(cpu);
    for (const step of steps) if (yield* hasChanged(cpu, mmu, step)) isSame = false;
  }
  if (!isSame) return 'retry';
  for (const [i, step] of steps.entries()) {
    const of = { page: pages[i]!, index: indexAt(mmu.format.geometry, page, step.level) };
    if (i === steps.length - 1) return yield* setLeaf(of, step);
    cpu.attempt('shadow.set');
    yield* link(cpu, mmu, of, pages[i + 1]!, tables, step.entry);
    cpu.conclude('shadow.set', step.level);
  }
  return 'retry'; // there was no step
}

/** The SP below an entry: the one that is linked there, one that exists, or a new one. */
function* childOf(
  cpu: Context,
  mmu: ShadowMmu,
  tables: GuestTables,
  of: EntryOf,
  step: GuestStep,
): Routine<{ page: number; made: boolean }> {
  if (mmu.header === 'full') yield clearWrites(cpu, of.page);
  if (tables.links === 'followed') {
    const child = targetIn(cpu.read(mmu.mapped(cpu, of)));
    if (child >= 0) return { page: child, made: false };
  }
  const parent = tables.links === 'followed' ? cpu.read(of.page + ShadowPage.at.role) : 0;
  const found = yield* findOrMake(cpu, mmu, tables, step.entry.pfn, tables.roleBelow(parent, step));
  if (mmu.header === 'small' || found.made) return found;
  if (num(yield cpu.load(found.page + StateAt.unsyncChildren, 'shadow.fetch.below')) !== 0) {
    yield* syncChildren(cpu, mmu, tables, found.page);
  }
  return found;
}

/**
 * The SP that mirrors a guest table in a role. One that is out of step is compared with the guest's
 * table, and stays out of step: a guest need not flush when it makes an entry present.
 */
export function* findOrMake(
  cpu: Context,
  mmu: ShadowMmu,
  tables: GuestTables,
  gfn: number,
  role: number,
): Routine<{ page: number; made: boolean }> {
  const found = yield* mmu.get(cpu, gfn, role);
  if (!found.made && mmu.header === 'full') {
    if (num(yield cpu.load(found.page + StateAt.unsync, 'shadow.fetch.found')) !== 0) {
      if (yield* syncEntries(cpu, mmu, tables, found.page)) yield* tables.flush(cpu);
    }
    yield clearWrites(cpu, found.page);
  }
  if (mmu.header === 'full') {
    noteShadowPage(cpu, mmu, Tracepoint.getPage, found.page, found.made ? SP_NEW : 0);
  } else {
    cpu.tracepoint(Tracepoint.more, 0, found.made ? SP_NEW : 0);
    cpu.tracepoint(Tracepoint.getPage, gfn, role);
  }
  return found;
}

function* hasChanged(cpu: Context, mmu: ShadowMmu, step: GuestStep): Routine<boolean> {
  cpu.spend(Unit.levelWalked, 1);
  cpu.attempt('shadow.recheck');
  const now = mmu.format.decode(yield cpu.load(step.at, 'shadow.fetch.recheck'), step.level);
  const changed = now.lo !== step.entry.lo || now.hi !== step.entry.hi;
  cpu.conclude('shadow.recheck', changed ? 1 : 0);
  return changed;
}

/** Makes `of` lead to SP `child`. */
function* link(
  cpu: Context,
  mmu: ShadowMmu,
  of: EntryOf,
  child: number,
  tables: GuestTables,
  guest: Entry,
): Routine<void> {
  const word = mmu.mapped(cpu, of);
  if (cpu.read(word) - 1 === child) return;
  if (cpu.read(word) !== 0) yield* zapEntry(cpu, mmu, of);
  cpu.write(word, child + 1);
  yield* mmu.addParent(cpu, child, of);
  const table = tables.link(cpu.read(child + ShadowPage.at.table), guest);
  yield cpu.storeWord(mmu.entry(cpu, of), table, 'shadow.fetch.link');
  if (mmu.header === 'full' && (yield* isMarkedBelow(cpu, child))) {
    yield* markChild(cpu, mmu, of);
  }
}

/** Links an SP that no table of the guest names: below a huge page of the guest. */
export function linkDirect(
  cpu: Context,
  mmu: ShadowMmu,
  of: EntryOf,
  child: number,
  tables: GuestTables,
  guest: Entry,
): Routine<void> {
  return link(cpu, mmu, of, child, tables, guest);
}

function* isMarkedBelow(cpu: Context, child: number): Routine<boolean> {
  if (num(yield cpu.load(child + StateAt.unsync, 'shadow.link.unsync')) !== 0) return true;
  return num(yield cpu.load(child + StateAt.unsyncChildren, 'shadow.link.below')) !== 0;
}

/**
 * A leaf of a second stage for a guest hypervisor's entry: rights are the entry's; writable only
 * once its dirty bit is set, so that D is emulated.
 */
export function* setNestedLeaf(
  cpu: Context,
  mmu: ShadowMmu,
  tables: GuestTables,
  of: EntryOf,
  guest: Entry,
  leaf: { readonly gfn: number; readonly pfn: number; readonly write: boolean },
): Routine<void> {
  cpu.attempt('shadow.set');
  const word = mmu.mapped(cpu, of);
  if (cpu.read(word) !== 0 && targetIn(cpu.read(word)) !== leaf.gfn) yield* zapEntry(cpu, mmu, of);
  const write = guest.write && (guest.dirty || leaf.write);
  const access = tables.access(0, guest);
  const entry = tables.leaf(guest, leaf.pfn, access, write);
  const note = noteOf(leaf.gfn, mmu.header === 'full' ? access : 0);
  if (cpu.read(word) === 0) {
    cpu.write(word, note);
    yield* mmu.addReverse(cpu, leaf.gfn, of);
  } else if (mmu.header === 'full') cpu.write(word, note);
  const at = mmu.entry(cpu, of);
  yield cpu.storeWord(at, entry, 'shadow.fetch.leaf');
  cpu.tracepoint(Tracepoint.more, entry.lo, entry.hi);
  cpu.tracepoint(Tracepoint.setSpte, leaf.gfn * 8 + 1, at);
  cpu.conclude('shadow.set', 0);
}
