/**
 * Filling the shadow: from what a software walk of the guest's tables found, entries are linked top
 * down under the mmu_lock held for writing, and the leaf is set. Newly shadowed tables must be
 * write-protected in the VM's own second stage; the caller does that and flushes.
 *
 * Source: arch/x86/kvm/mmu/paging_tmpl.h, fetch (facts).
 */
import { type Entry, indexAt } from '../../../machine/format/format.ts';
import { Unit } from '../../../machine/preset/price.ts';
import type { Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { type EntryOf, type ShadowMmu, ShadowPage } from './mmu.ts';
import { zapEntry } from './zap.ts';

/** One level of the guest's walk, and what its entry was. */
export interface GuestStep {
  readonly level: number;
  /** Host-physical address of the guest's entry. */
  readonly at: number;
  readonly entry: Entry;
}

/**
 * Takes from the guest the right to write to newly shadowed tables, and flushes. False if it had
 * none.
 */
export type Protect = (gfns: readonly number[]) => Routine<boolean>;

/**
 * `steps` from the root down to the leaf; `pfn` backs the leaf's page `gfn`. The guest may write to
 * a table until that is protected: whatever was read before must be read once more. Nothing is
 * linked if the guest has changed an entry: it tries again.
 */
export function* fetchShadow(
  cpu: Context,
  mmu: ShadowMmu,
  root: number,
  page: number,
  steps: readonly GuestStep[],
  leaf: { readonly gfn: number; readonly pfn: number; readonly write: boolean },
  protect: Protect,
): Routine<'mapped' | 'retry'> {
  const pages = [root];
  const made: number[] = [];
  let isSame = true;
  for (const step of steps) {
    if (yield* hasChanged(cpu, mmu, step)) isSame = false;
    if (!isSame || step.level === 0) break;
    const child = yield* mmu.get(cpu, step.entry.pfn, step.level - 1);
    pages.push(child.page);
    if (child.made) made.push(step.entry.pfn);
  }
  if (made.length > 0 && (yield* protect(made))) {
    for (const step of steps) if (yield* hasChanged(cpu, mmu, step)) isSame = false;
  }
  if (!isSame) return 'retry';
  for (const [i, step] of steps.entries()) {
    const of = { page: pages[i]!, index: indexAt(mmu.format.geometry, page, step.level) };
    cpu.attempt('shadow.set');
    if (step.level === 0) yield* setLeaf(cpu, mmu, of, step.entry, leaf);
    else yield* link(cpu, mmu, of, pages[i + 1]!, step.entry);
    cpu.conclude('shadow.set', step.level);
  }
  return 'mapped';
}

function* hasChanged(cpu: Context, mmu: ShadowMmu, step: GuestStep): Routine<boolean> {
  cpu.spend(Unit.levelWalked, 1);
  cpu.attempt('shadow.recheck');
  const now = mmu.format.decode(yield cpu.load(step.at, 'shadow.fetch.recheck'), step.level);
  const changed = now.lo !== step.entry.lo || now.hi !== step.entry.hi;
  cpu.conclude('shadow.recheck', changed ? 1 : 0);
  return changed;
}

/** With the rights of the guest's own pointer: hardware joins them on the way down. */
function* link(
  cpu: Context,
  mmu: ShadowMmu,
  of: EntryOf,
  child: number,
  guest: Entry,
): Routine<void> {
  const word = mmu.mapped(cpu, of);
  if (cpu.read(word) - 1 === child) return;
  if (cpu.read(word) !== 0) yield* zapEntry(cpu, mmu, of);
  cpu.write(word, child + 1);
  yield* mmu.addParent(cpu, child, of);
  const table = mmu.format.table(cpu.read(child + ShadowPage.at.table), guest);
  yield cpu.storeWord(mmu.entry(cpu, of), table, 'shadow.fetch.link');
}

/** Rights are the guest's; writable only once its dirty bit is set, so that D is emulated. */
function* setLeaf(
  cpu: Context,
  mmu: ShadowMmu,
  of: EntryOf,
  guest: Entry,
  leaf: { readonly gfn: number; readonly pfn: number; readonly write: boolean },
): Routine<void> {
  const word = mmu.mapped(cpu, of);
  if (cpu.read(word) !== 0 && cpu.read(word) - 1 !== leaf.gfn) yield* zapEntry(cpu, mmu, of);
  const write = guest.write && (guest.dirty || leaf.write);
  const entry = mmu.format.leaf({
    pfn: leaf.pfn,
    level: 0,
    rights: { read: guest.read, write, execute: guest.execute, user: true },
    accessed: true,
    dirty: write,
    hostWritable: true,
    mmuWritable: write,
  });
  if (cpu.read(word) === 0) {
    cpu.write(word, leaf.gfn + 1);
    yield* mmu.addReverse(cpu, leaf.gfn, of);
  }
  yield cpu.storeWord(mmu.entry(cpu, of), entry, 'shadow.fetch.leaf');
}
