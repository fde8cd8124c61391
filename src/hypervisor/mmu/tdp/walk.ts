/** Walks of the TDP MMU's own tables in software, under the mmu_lock. */
import { Unit } from '../../../machine/preset/price.ts';
import type { Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { entryAt } from '../common.ts';
import type { TdpMmu } from './mmu.ts';

/** Beyond every level: said of an entry that is a leaf. */
const LEAF = 16;

/**
 * The table of `target` level that serves `gfn`; or minus the level of the entry above it at which
 * the walk ended, and less by `LEAF` if that is a huge leaf (`endOf`, `isLeafAt`).
 */
export function* tableAt(
  cpu: Context,
  mmu: TdpMmu,
  gfn: number,
  target: number,
  root = mmu.root,
): Routine<number> {
  const { format } = mmu;
  let table = root;
  for (let level = format.geometry.levels - 1; level > target; level--) {
    cpu.spend(Unit.levelWalked, 1);
    const at = entryAt(format.geometry, table, gfn, level);
    const seen = format.decode(yield cpu.load(at, 'tdp.zap.look'), level);
    if (seen.kind !== 'table') return seen.kind === 'leaf' ? -level - LEAF : -level;
    table = seen.pfn;
  }
  return table;
}

/** Level of the entry at which a walk without a table ended. */
export function endOf(walked: number): number {
  return -walked % LEAF;
}

export function isLeafAt(walked: number): boolean {
  return walked < -LEAF;
}
