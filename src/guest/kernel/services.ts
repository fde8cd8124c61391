/**
 * The kernel as its programs see it: fault entry, process life, reporting.
 */

import { REPORT_PAGES } from '../../abi/owner.ts';
import { pagesAt } from '../../machine/format/format.ts';
import type { GuestContext } from '../../machine/guest.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import type { Routine } from '../../runtime/act.ts';
import type { KernelServices, Process } from '../common/process.ts';
import { type Interrupts, interruptServices } from './interrupts.ts';
import type { GuestKernel } from './kernel.ts';
import { reportFree } from './report.ts';
import { spaceServices } from './space-calls.ts';
import { faultInSpace } from './space-fault.ts';
import { exitProcess, munmap } from './unmap.ts';

export interface KernelRegion {
  /** Guest frames [first, end) that hold the kernel's own words. */
  readonly first: number;
  readonly end: number;
  /** Guest-physical address of REPORT_PAGES pages per vCPU for lists that are passed by address. */
  readonly lists: number;
}

export function kernelServices(
  kernel: GuestKernel,
  region: KernelRegion,
  interrupts: Interrupts = { base: 0, tickCycles: 0 },
): KernelServices {
  return {
    *boot(cpu: GuestContext): Routine<void> {
      for (let frame = region.first; frame < region.end; frame++) {
        yield cpu.or(frame * FRAME_BYTES, 0, 'kernel.boot.touch');
      }
      yield* kernel.boot(cpu);
    },
    exec: (cpu) => kernel.exec(cpu),
    switchTo: (cpu, process) => kernel.switchTo(cpu, process),
    handleFault: (cpu, process, page, code) =>
      process.space === undefined
        ? kernel.handleFault(cpu, process, page)
        : faultInSpace(kernel, cpu, { process, space: process.space, page, code }),
    *prepareTables(cpu, process, first, count): Routine<void> {
      const span = pagesAt(kernel.format.geometry, 1);
      for (let page = first; page < first + count; page = (Math.floor(page / span) + 1) * span) {
        yield* kernel.leafTable(cpu, process, page);
      }
    },
    munmap: (cpu, process, first, end) => munmap(kernel, cpu, process, first, end),
    exit: (cpu, process, areas) => exitProcess(kernel, cpu, process, areas),
    report: (cpu, frames) =>
      reportFree(cpu, frames, region.lists + cpu.seat * REPORT_PAGES * FRAME_BYTES),
    recycle(cpu, frames): void {
      for (let i = frames.length - 1; i >= 0; i--) kernel.free(cpu, frames[i]!);
    },
    frameOf: (cpu, process, page) => frameOf(kernel, cpu, process, page),
    spaces: spaceServices(kernel),
    interrupts: interruptServices(interrupts),
  };
}

function* frameOf(
  kernel: GuestKernel,
  cpu: GuestContext,
  process: Process,
  page: number,
): Routine<number> {
  const table = yield* kernel.leafTable(cpu, process, page);
  const at = table * FRAME_BYTES + (page % (1 << kernel.format.geometry.indexBits)) * 8;
  const seen = kernel.format.decode(yield cpu.load(at, 'kernel.frame-of'), 0);
  return seen.kind === 'leaf' ? seen.pfn : -1;
}
