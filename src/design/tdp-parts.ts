/** What every stack on a TDP MMU is composed of: exits of its guest, and what it may be asked. */
import { emulateCpuid, ignoreInterrupt } from '../hypervisor/emulate.ts';
import { emulateMsr } from '../hypervisor/emulate-msr.ts';
import { emulateHalt } from '../hypervisor/interrupt.ts';
import type { PageRange } from '../hypervisor/mmu/common.ts';
import type { TdpMmu } from '../hypervisor/mmu/tdp/mmu.ts';
import { ignorePmlFull } from '../hypervisor/pml.ts';
import type { ExitHandler, ExitTable } from '../hypervisor/vcpu.ts';
import { VIRTUALISATIONS } from '../hypervisor/virt/index.ts';
import type { Virtualisation } from '../hypervisor/virt/virt.ts';
import type { Machine } from '../machine/machine.ts';

/** Single pages as ranges, ascending. */
export function rangesOf(gfns: readonly number[]): PageRange[] {
  return [...gfns].sort((a, b) => a - b).map((gfn) => ({ first: gfn, end: gfn + 1 }));
}

/** What any owner does about its guest's exits, whichever vendor's numbers they have. */
export function hostExits(
  violation: ExitHandler,
  hypercall: ExitHandler,
  misconfig?: ExitHandler,
): ExitTable {
  const of = ({ exits }: Virtualisation): (readonly [number, ExitHandler])[] => [
    [exits.interrupt, ignoreInterrupt],
    [exits.fault, violation],
    [exits.cpuid, emulateCpuid],
    [exits.msrWrite, emulateMsr],
    [exits.msrRead, emulateMsr],
    [exits.halt, emulateHalt],
    [exits.hypercall, hypercall],
    ...(exits.logFull === undefined ? [] : [[exits.logFull, ignorePmlFull] as const]),
    ...(exits.misconfig === undefined || misconfig === undefined
      ? []
      : [[exits.misconfig, misconfig] as const]),
  ];
  return new Map(VIRTUALISATIONS.flatMap(of));
}

/** Bytes of the tables reachable from the root; `toHost` says where the MMU's memory lies. */
export function tableBytes(
  machine: Machine,
  mmu: TdpMmu,
  toHost: (at: number) => number = (at) => at,
  root = mmu.root,
): number {
  const { memory } = machine;
  const { format } = mmu;
  const count = (table: number, level: number): number => {
    if (level === 0) return 1;
    let tables = 1;
    for (let index = 0; index < 1 << format.geometry.indexBits; index++) {
      const at = memory.indexOf(toHost(table * 4096 + index * 8));
      const entry = format.decode({ lo: memory.words[at]!, hi: memory.words[at + 1]! }, level);
      if (entry.kind === 'table') tables += count(entry.pfn, level - 1);
    }
    return tables;
  };
  return count(root, format.geometry.levels - 1) * 4096;
}
