/**
 * Ageing: the host wants to know which pages were used since it asked last. A is cleared without a
 * flush: a CPU that has the translation cached does not set it again, and the page looks unused for
 * a while, which costs nothing but a worse guess.
 *
 * Source: arch/x86/kvm/mmu/tdp_mmu.c, kvm_tdp_mmu_age_gfn_range (facts; primer/x86.md 2.6). Under
 * the write lock, as in Linux 6.12; later kernels hold none and try once.
 * Leaves out: access tracking without A/D bits; ageing without the lock.
 */
import { pagesAt } from '../../../machine/format/format.ts';
import { type Routine, won } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { writeLock, writeUnlock } from '../../../sync/rwlock.ts';
import { entryAt, type PageRange } from '../common.ts';
import type { TdpMmu } from './mmu.ts';
import { endOf, isLeafAt, tableAt } from './walk.ts';

/** How many leaves of the range were accessed since they were asked last. */
export function* tdpAge(cpu: Context, mmu: TdpMmu, range: PageRange): Routine<number> {
  const { geometry } = mmu.format;
  let young = 0;
  yield* writeLock(cpu, mmu.lock, 'tdp.age.lock');
  for (let gfn = range.first; gfn < range.end; ) {
    const table = yield* tableAt(cpu, mmu, gfn, 0);
    const level = table < 0 ? endOf(table) : 1;
    const span = pagesAt(geometry, level);
    const end = Math.min(range.end, (Math.floor(gfn / span) + 1) * span);
    if (isLeafAt(table)) {
      if (yield* ageLeaf(cpu, mmu, yield* tableAt(cpu, mmu, gfn, level), gfn, level)) young++;
    } else if (table >= 0) {
      for (let page = gfn; page < end; page++) {
        if (yield* ageLeaf(cpu, mmu, table, page, 0)) young++;
      }
    }
    gfn = end;
  }
  yield* writeUnlock(cpu, mmu.lock, 'tdp.age.unlock');
  return young;
}

/** One try: whoever changes the leaf meanwhile, hardware included, is using the page. */
function* ageLeaf(
  cpu: Context,
  mmu: TdpMmu,
  table: number,
  gfn: number,
  level: number,
): Routine<boolean> {
  const { format } = mmu;
  const at = entryAt(format.geometry, table, gfn, level);
  cpu.attempt('tdp.age');
  const seen = format.decode(yield cpu.load(at, 'tdp.age.look'), level);
  if (seen.kind !== 'leaf' || !seen.accessed) {
    cpu.conclude('tdp.age', 0);
    return false;
  }
  const old = format.leaf({
    pfn: seen.pfn,
    level,
    rights: seen,
    accessed: false,
    dirty: seen.dirty,
    hostWritable: seen.hostWritable,
    mmuWritable: seen.mmuWritable,
  });
  const isOld = won(yield cpu.casWord(at, seen, old, 'tdp.age.clear'));
  cpu.conclude('tdp.age', isOld ? 2 : 1);
  return true;
}
