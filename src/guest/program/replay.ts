/**
 * Runs recorded or generated accesses in a process: hits go ahead privately, the rest are acts; a
 * fault in the guest's own tables goes to the kernel, one of the second stage nobody here notices.
 */
import type { AccessLines, GuestContext } from '../../machine/guest.ts';
import { access } from '../../machine/instruction.ts';
import { type Routine, won } from '../../runtime/act.ts';
import { Event } from '../../runtime/trace.ts';
import type { KernelServices, Process } from '../common/process.ts';

export function* replay(
  cpu: GuestContext,
  kernel: KernelServices,
  process: Process,
  lines: AccessLines,
): Routine<void> {
  const { pageOf, pages, kinds, instructions } = lines;
  const end = pages.length;
  let i = 0;
  for (;;) {
    i = cpu.runAhead(lines, i);
    if (i === end) break;
    const page = pageOf[pages[i]!]!;
    if (won(yield access(cpu, page, kinds[i]!, instructions[i]!, 'program.access'))) i++;
    else yield* kernel.handleFault(cpu, process, page);
  }
  cpu.note(Event.operation, end, 0);
}

/** One write to each of `count` consecutive pages. */
export function writes(first: number, count: number): AccessLines {
  return {
    pageOf: Float64Array.from({ length: count }, (_, i) => first + i),
    pages: Int32Array.from({ length: count }, (_, i) => i),
    kinds: new Uint8Array(count).fill(1),
    instructions: new Uint32Array(count).fill(10),
  };
}
