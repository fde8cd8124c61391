/**
 * The fast page fault: a write to a page whose leaf is there and only lacks W, although the MMU may
 * give it, takes no lock. The tables may be removed under its feet (RCU keeps their frames), and
 * the leaf may be changed by anybody, so it is given W by one compare-and-swap of what was seen.
 * The page is marked afterwards, before the vCPU can write; whoever writes through another CPU
 * earlier is reported in the next harvest.
 *
 * Source: arch/x86/kvm/mmu/mmu.c, fast_page_fault (facts; primer/x86.md 2.3).
 * Leaves out: access tracking without A/D bits.
 */
import type { Entry } from '../../../machine/format/format.ts';
import { Unit } from '../../../machine/preset/price.ts';
import { type Routine, won } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { entryAt, type FaultOutcome, type Stage2Fault } from '../common.ts';
import type { TdpMmu } from './mmu.ts';

const TRIES = 5;

/** `retry`: not for this path, or lost too often: the slow one decides. */
export function* fastFault(
  cpu: Context,
  mmu: TdpMmu,
  { gfn }: Stage2Fault,
  logs: boolean,
): Routine<FaultOutcome> {
  const { format } = mmu;
  let table = mmu.root;
  let level = format.geometry.levels - 1;
  let tries = 0;
  while (tries < TRIES) {
    cpu.spend(Unit.levelWalked, 1);
    const at = entryAt(format.geometry, table, gfn, level);
    const seen = format.decode(yield cpu.load(at, 'tdp.fast.look'), level);
    if (seen.kind === 'table') {
      table = seen.pfn;
      level--;
      continue;
    }
    if (seen.kind !== 'leaf') return 'retry';
    if (seen.write) return 'present';
    // A huge leaf of a logged slot has to be split, or all of it would be writable unnoticed.
    if (!seen.mmuWritable || (level > 0 && logs)) return 'retry';
    if (won(yield cpu.casWord(at, seen, writable(mmu, seen, level), 'tdp.fast.commit'))) {
      if (logs) yield* mmu.logging!.slots.mark(cpu, gfn);
      return 'mapped';
    }
    tries++;
  }
  return 'retry';
}

/** D stays as it is: where the CPU logs it, that is how the write is noticed. */
function writable({ format }: TdpMmu, seen: Entry, level: number): Entry {
  return format.leaf({
    pfn: seen.pfn,
    level,
    rights: { ...seen, write: true },
    accessed: seen.accessed,
    dirty: seen.dirty,
    hostWritable: seen.hostWritable,
    mmuWritable: seen.mmuWritable,
  });
}
