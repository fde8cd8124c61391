/**
 * Tables out of step: a guest may write to a leaf table without an exit once every SP of it, and
 * every entry above on the way to the roots, says so. Whoever is to use the tables as of now syncs
 * first. The flag is set before the table can be written to; only who holds the lock for writing
 * clears it.
 *
 * Source: arch/x86/kvm/mmu/mmu.c, mmu_try_to_unsync_pages, mark_unsync (facts; primer/x86.md 3.3).
 */
import { Unit } from '../../../machine/preset/price.ts';
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { Tracepoint } from '../../../runtime/trace.ts';
import type { EntryOf, ShadowMmu } from './mmu.ts';
import { noteShadowPage } from './note.ts';
import { BITMAP_BITS, bitmapAt, StateAt } from './page.ts';

/** What a leaf that allows writing to a guest frame would need. */
export type Writability = 'granted' | 'refused';

/**
 * Before a leaf lets the guest write to `gfn`: its SPs go out of step. Refused for upper tables,
 * for a guess about the future (`prefetch`), and while an entry is synced. Under the lock, held for
 * writing, or for reading with the lock of marks.
 */
export function* tryToUnsync(
  cpu: Context,
  mmu: ShadowMmu,
  gfn: number,
  why: 'fault' | 'prefetch' | 'sync',
): Routine<Writability> {
  const { leaf, upper } = yield* mmu.countOf(cpu, gfn);
  if (upper > 0) return 'refused';
  if (leaf === 0) return 'granted';
  if (why === 'sync') return 'refused';
  for (const page of yield* mmu.pagesOf(cpu, gfn)) {
    if (mmu.isObsolete(cpu, page)) continue;
    if (num(yield cpu.load(page + StateAt.unsync, 'shadow.unsync.look')) !== 0) continue;
    if (why === 'prefetch') return 'refused';
    noteShadowPage(cpu, mmu, Tracepoint.unsyncPage, page, 0);
    // Seen by whoever sees the table writable: the entry that allows it is stored after this.
    yield cpu.store(page + StateAt.unsync, 1, 'shadow.unsync.mark');
    yield* markParents(cpu, mmu, page);
  }
  return 'granted';
}

function* markParents(cpu: Context, mmu: ShadowMmu, page: number): Routine<void> {
  for (const parent of mmu.parentsOf(cpu, page)) yield* markChild(cpu, mmu, parent);
}

/** Something below this entry is out of step; so is something below every entry above it. */
export function* markChild(cpu: Context, mmu: ShadowMmu, of: EntryOf): Routine<void> {
  const word = of.page + bitmapAt(of.index);
  const bits = cpu.read(word);
  if (hasBit(bits, of.index)) return;
  cpu.write(word, bits + 2 ** (of.index % BITMAP_BITS));
  const before = num(yield cpu.add(of.page + StateAt.unsyncChildren, 1, 'shadow.unsync.parents'));
  if (before === 0) yield* markParents(cpu, mmu, of.page);
}

/** Nothing below this entry is out of step. */
export function* clearChild(cpu: Context, of: EntryOf): Routine<void> {
  const word = of.page + bitmapAt(of.index);
  const bits = cpu.read(word);
  if (!hasBit(bits, of.index)) return;
  cpu.write(word, bits - 2 ** (of.index % BITMAP_BITS));
  yield cpu.add(of.page + StateAt.unsyncChildren, -1, 'shadow.sync.parents');
}

/** Entries of an SP whose bits are set, ascending. */
export function markedChildren(cpu: Context, mmu: ShadowMmu, page: number): number[] {
  const found: number[] = [];
  for (let first = 0; first < mmu.entries; first += BITMAP_BITS) {
    cpu.spend(Unit.listElement, 1);
    const bits = cpu.read(page + bitmapAt(first));
    if (bits === 0) continue;
    const end = Math.min(first + BITMAP_BITS, mmu.entries);
    for (let index = first; index < end; index++) if (hasBit(bits, index)) found.push(index);
  }
  return found;
}

function hasBit(bits: number, index: number): boolean {
  return Math.floor(bits / 2 ** (index % BITMAP_BITS)) % 2 === 1;
}
