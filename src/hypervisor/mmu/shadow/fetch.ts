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

/** One level of the guest's walk: the guest frame of the table, and what its entry was. */
export interface GuestStep {
  readonly level: number;
  readonly tableGfn: number;
  /** Host-physical address of the guest's entry. */
  readonly at: number;
  readonly entry: Entry;
}

export interface Fetched {
  readonly outcome: 'mapped' | 'retry';
  /** Guest frames that are shadowed since now. */
  readonly shadowed: readonly number[];
}

/** `steps` from the root down to the leaf; `pfn` backs the leaf's page `gfn`. */
export function* fetchShadow(
  cpu: Context,
  mmu: ShadowMmu,
  root: number,
  page: number,
  steps: readonly GuestStep[],
  leaf: { readonly gfn: number; readonly pfn: number; readonly write: boolean },
): Routine<Fetched> {
  const { format } = mmu;
  const shadowed: number[] = [];
  let sp = root;
  for (const step of steps) {
    cpu.spend(Unit.levelWalked, 1);
    const now = format.decode(yield cpu.load(step.at, 'shadow.fetch.recheck'), step.level);
    if (now.lo !== step.entry.lo || now.hi !== step.entry.hi) return { outcome: 'retry', shadowed };
    const of = { page: sp, index: indexAt(format.geometry, page, step.level) };
    if (step.level === 0) {
      yield* setLeaf(cpu, mmu, of, step.entry, leaf);
      return { outcome: 'mapped', shadowed };
    }
    const child = yield* mmu.get(cpu, step.entry.pfn, step.level - 1);
    if (child.made) shadowed.push(step.entry.pfn);
    yield* link(cpu, mmu, of, child.page);
    sp = child.page;
  }
  return { outcome: 'retry', shadowed };
}

function* link(cpu: Context, mmu: ShadowMmu, of: EntryOf, child: number): Routine<void> {
  const word = mmu.mapped(cpu, of);
  if (cpu.read(word) - 1 === child) return;
  if (cpu.read(word) !== 0) yield* zapEntry(cpu, mmu, of);
  cpu.write(word, child + 1);
  yield* mmu.addParent(cpu, child, of);
  const table = mmu.format.table(cpu.read(child + ShadowPage.at.table));
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
