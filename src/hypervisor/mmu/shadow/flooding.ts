/**
 * How often a shadowed guest table was written to by emulation since it was used last: many writes
 * without a use say that it is no table any more. vCPUs that only load a root take no lock, so the
 * count is an atomic word.
 *
 * Source: arch/x86/kvm/mmu/mmu.c, detect_write_flooding; mmu_internal.h,
 * __clear_sp_write_flooding_count (facts).
 */
import { type Act, num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { StateAt } from './page.ts';

/** The SP is in use: writes to its table count from nothing again. */
export function clearWrites(cpu: Context, page: number): Act {
  return cpu.store(page + StateAt.writes, 0, 'shadow.writes.clear');
}

/** One more write; how many there are now. */
export function* countWrite(cpu: Context, page: number): Routine<number> {
  return num(yield cpu.add(page + StateAt.writes, 1, 'shadow.writes.count')) + 1;
}
