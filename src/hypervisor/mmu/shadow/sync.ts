/**
 * Bringing SPs into step with the guest's tables again, under the lock held for writing. Before an
 * entry is read for good, its table is write-protected and TLBs are flushed: otherwise the guest
 * could change it after the look and before the next flush, unseen.
 *
 * Source: arch/x86/kvm/mmu/mmu.c, mmu_sync_children, kvm_sync_page; paging_tmpl.h, sync_spte
 * (facts; primer/x86.md 3.3).
 * Leaves out: batches and lock breaks of a long sync.
 */
import { Unit } from '../../../machine/preset/price.ts';
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { Tracepoint } from '../../../runtime/trace.ts';
import { accessIn, type EntryOf, noteOf, type ShadowMmu, targetIn } from './mmu.ts';
import { noteShadowPage } from './note.ts';
import { ACCESS_WRITE, Role, ShadowPage, StateAt } from './page.ts';
import type { GuestTables } from './tables.ts';
import { clearChild, markedChildren, tryToUnsync } from './unsync.ts';
import { zapEntry } from './zap.ts';

/**
 * Whether the tables under a root may be out of step. Without the lock: the marks were stored
 * before a table could be written to, and are read after whatever told this CPU of such a write.
 */
export function* isOutOfStep(cpu: Context, root: number): Routine<boolean> {
  if (num(yield cpu.load(root + StateAt.unsyncChildren, 'shadow.sync.look')) !== 0) return true;
  return num(yield cpu.load(root + StateAt.unsync, 'shadow.sync.look-root')) !== 0;
}

/** Everything below an SP is in step afterwards, and no TLB has anything older. */
export function* syncChildren(
  cpu: Context,
  mmu: ShadowMmu,
  tables: GuestTables,
  parent: number,
): Routine<void> {
  for (;;) {
    cpu.attempt('shadow.sync');
    const pages: number[] = [];
    yield* collect(cpu, mmu, parent, pages);
    if (pages.length === 0) break;
    const gfns = pages.map((page) => cpu.read(page + ShadowPage.at.gfn));
    if (yield* tables.protect(cpu, gfns)) yield* tables.flush(cpu);
    let isStale = false;
    for (const page of pages) {
      yield* clearUnsync(cpu, mmu, page);
      if (yield* syncEntries(cpu, mmu, tables, page)) isStale = true;
    }
    if (isStale) yield* tables.flush(cpu);
    cpu.conclude('shadow.sync', 0);
  }
  cpu.conclude('shadow.sync', 1);
}

/**
 * The SPs below `parent` that are out of step. Marks that lead to none any more are cleared.
 * Returns whether there are any.
 */
function* collect(cpu: Context, mmu: ShadowMmu, parent: number, into: number[]): Routine<boolean> {
  let any = false;
  for (const index of markedChildren(cpu, mmu, parent)) {
    const of = { page: parent, index };
    const child = targetIn(cpu.read(mmu.mapped(cpu, of)));
    const isBelow = child >= 0 && (yield* isMarked(cpu, mmu, child, into));
    if (isBelow) any = true;
    else yield* clearChild(cpu, of);
  }
  return any;
}

function* isMarked(cpu: Context, mmu: ShadowMmu, child: number, into: number[]): Routine<boolean> {
  if (num(yield cpu.load(child + StateAt.unsyncChildren, 'shadow.sync.below')) !== 0) {
    return yield* collect(cpu, mmu, child, into);
  }
  if (num(yield cpu.load(child + StateAt.unsync, 'shadow.sync.child')) === 0) return false;
  if (!into.includes(child)) into.push(child);
  return true;
}

/** The SP counts as in step from here on: its table is protected. */
export function* clearUnsync(cpu: Context, mmu: ShadowMmu, page: number): Routine<void> {
  noteShadowPage(cpu, mmu, Tracepoint.syncPage, page, 0);
  yield cpu.store(page + StateAt.unsync, 0, 'shadow.sync.clear');
}

/** Compares every present entry with the guest's; true if TLBs may hold more than it allows now. */
export function* syncEntries(
  cpu: Context,
  mmu: ShadowMmu,
  tables: GuestTables,
  page: number,
): Routine<boolean> {
  let isStale = false;
  for (let index = 0; index < mmu.entries; index++) {
    if (yield* syncEntry(cpu, mmu, tables, { page, index })) isStale = true;
  }
  return isStale;
}

/** One of them. */
export function* syncEntry(
  cpu: Context,
  mmu: ShadowMmu,
  tables: GuestTables,
  of: EntryOf,
): Routine<boolean> {
  const note = cpu.read(mmu.mapped(cpu, of));
  if (note === 0) return false;
  cpu.spend(Unit.levelWalked, 1);
  cpu.attempt('shadow.sync.entry');
  const isStale = yield* compare(cpu, mmu, tables, of, note);
  cpu.conclude('shadow.sync.entry', isStale ? 1 : 0);
  return isStale;
}

function* compare(
  cpu: Context,
  mmu: ShadowMmu,
  tables: GuestTables,
  of: EntryOf,
  note: number,
): Routine<boolean> {
  const role = cpu.read(of.page + ShadowPage.at.role);
  const gfn = cpu.read(of.page + ShadowPage.at.gfn);
  const guest = yield* tables.entryNow(cpu, gfn, of.index, Role.level(role));
  const access = guest === undefined ? 0 : tables.access(role, guest);
  if (guest === undefined || access === 0 || guest.pfn !== targetIn(note)) {
    return (yield* zapEntry(cpu, mmu, of)) === 'cached';
  }
  if (access === accessIn(note)) return false;
  return yield* change(cpu, mmu, tables, of, { guest, access });
}

/** The guest's entry names the same page with other rights. */
function* change(
  cpu: Context,
  mmu: ShadowMmu,
  tables: GuestTables,
  of: EntryOf,
  now: { guest: Parameters<GuestTables['leaf']>[0]; access: number },
): Routine<boolean> {
  const { guest, access } = now;
  const { format } = mmu;
  const wants = (access & ACCESS_WRITE) !== 0;
  const isWritable = wants && (yield* tryToUnsync(cpu, mmu, guest.pfn, 'sync')) === 'granted';
  const at = mmu.entry(cpu, of);
  const seen = format.decode(yield cpu.load(at, 'shadow.sync.leaf'), 0);
  const leaf = tables.leaf(guest, seen.pfn, access, isWritable);
  // Exchanged, because hardware may set D until it is.
  const old = format.decode(yield cpu.exchangeWord(at, leaf, 'shadow.sync.rights'), 0);
  cpu.write(mmu.mapped(cpu, of), noteOf(guest.pfn, access));
  if (old.dirty && !leaf.dirty) yield* mmu.backing.markDirty(cpu, guest.pfn);
  return (old.write && !leaf.write) || (old.execute && !leaf.execute) || (old.read && !leaf.read);
}
