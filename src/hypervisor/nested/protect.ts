/**
 * Write protection of L1's pages that are EPT12 tables: their leaves in EPT01 lose the right to
 * write and the mark that they could have it back, so that L1's stores to them trap.
 */
import { Unit } from '../../machine/preset/price.ts';
import { type Routine, won } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { entryAt } from '../mmu/common.ts';
import type { TdpMmu } from '../mmu/tdp/mmu.ts';

/**
 * Under the write lock; true if a CPU may hold a writable translation: flush before relying on
 * it.
 */
export function* protectTables(
  cpu: Context,
  mmu: TdpMmu,
  gfns: readonly number[],
): Routine<boolean> {
  let changed = false;
  cpu.attempt('protect');
  for (const gfn of gfns) if (yield* protect(cpu, mmu, gfn)) changed = true;
  cpu.conclude('protect', changed ? 1 : 0);
  return changed;
}

function* protect(cpu: Context, mmu: TdpMmu, gfn: number): Routine<boolean> {
  const { format } = mmu;
  let table = mmu.root;
  for (let level = format.geometry.levels - 1; level > 0; level--) {
    cpu.spend(Unit.levelWalked, 1);
    const at = entryAt(format.geometry, table, gfn, level);
    const seen = format.decode(yield cpu.load(at, 'protect.walk'), level);
    if (seen.kind !== 'table') return false;
    table = seen.pfn;
  }
  const at = entryAt(format.geometry, table, gfn, 0);
  for (;;) {
    const seen = format.decode(yield cpu.load(at, 'protect.look'), 0);
    if (seen.kind !== 'leaf' || !(seen.write || seen.mmuWritable)) return false;
    const readOnly = format.leaf({
      pfn: seen.pfn,
      level: 0,
      rights: { read: seen.read, write: false, execute: seen.execute, user: true },
      accessed: seen.accessed,
      dirty: seen.dirty,
      hostWritable: seen.hostWritable,
      mmuWritable: false,
    });
    // Hardware may set A or D at any time: compare-and-swap, and look again if it did.
    if (won(yield cpu.casWord(at, seen, readOnly, 'protect.clear-write'))) return true;
  }
}
