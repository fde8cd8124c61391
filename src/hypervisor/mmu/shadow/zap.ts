/**
 * Dropping entries and pages of the shadow MMU, under the mmu_lock held for writing. Each function
 * says whether TLBs may still hold what it removed; the caller flushes before it relies on it.
 */
import type { Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { type EntryOf, type ShadowMmu, targetIn } from './mmu.ts';
import { Role, ShadowPage } from './page.ts';

/** Whether something that hardware may have cached was removed. */
export type Removed = 'cached' | 'nothing';

/** Empties one entry: a leaf leaves the reverse map, a link leaves its child's parent list. */
export function* zapEntry(cpu: Context, mmu: ShadowMmu, of: EntryOf): Routine<Removed> {
  cpu.attempt('shadow.zap');
  const removed = yield* emptyEntry(cpu, mmu, of);
  cpu.conclude('shadow.zap', removed === 'cached' ? 1 : 0);
  return removed;
}

function* emptyEntry(cpu: Context, mmu: ShadowMmu, of: EntryOf): Routine<Removed> {
  const { format } = mmu;
  const level = Role.level(cpu.read(of.page + ShadowPage.at.role));
  const at = mmu.entry(cpu, of);
  const old = format.decode(yield cpu.exchangeWord(at, format.empty, 'shadow.zap.clear'), level);
  if (old.kind === 'empty') return 'nothing';
  const word = mmu.mapped(cpu, of);
  const target = targetIn(cpu.read(word));
  cpu.write(word, 0);
  if (old.kind === 'leaf') mmu.removeReverse(cpu, target, of);
  else mmu.removeParent(cpu, target, of);
  // The page was written to through this entry; the VM's own tables do not know.
  if (old.kind === 'leaf' && old.dirty) yield* mmu.backing.markDirty(cpu, target);
  return 'cached';
}

/** The guest wrote entry `index` of a shadowed table: what mirrors it is void. */
export function* zapWritten(
  cpu: Context,
  mmu: ShadowMmu,
  gfn: number,
  index: number,
): Routine<Removed> {
  let removed: Removed = 'nothing';
  for (const page of yield* mmu.pagesOf(cpu, gfn)) {
    if ((yield* zapEntry(cpu, mmu, { page, index })) === 'cached') removed = 'cached';
  }
  return removed;
}

/** The guest frame is no table any more: its SPs go. Their frames are free after a flush. */
export function* unshadow(
  cpu: Context,
  mmu: ShadowMmu,
  gfn: number,
): Routine<{ frames: number[]; roots: number }> {
  const frames: number[] = [];
  let roots = 0;
  for (const page of yield* mmu.pagesOf(cpu, gfn)) {
    for (const parent of mmu.parentsOf(cpu, page)) yield* zapEntry(cpu, mmu, parent);
    for (let index = 0; index < mmu.entries; index++) yield* zapEntry(cpu, mmu, { page, index });
    if (Role.level(cpu.read(page + ShadowPage.at.role)) === mmu.format.geometry.levels - 1) roots++;
    const { table, mapped } = yield* mmu.forget(cpu, page);
    frames.push(table, mapped);
  }
  return { frames, roots };
}

/** Empties every leaf that maps a guest page: the host takes the page away. */
export function* zapReverse(cpu: Context, mmu: ShadowMmu, gfn: number): Routine<Removed> {
  let removed: Removed = 'nothing';
  for (const leaf of mmu.reverseOf(cpu, gfn)) {
    if ((yield* zapEntry(cpu, mmu, leaf)) === 'cached') removed = 'cached';
  }
  return removed;
}
