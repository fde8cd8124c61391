/**
 * Runs recorded or generated accesses in a process: hits go ahead privately, the rest are acts; a
 * fault in the guest's own tables goes to the kernel, one of the second stage nobody here notices.
 */
import { EXECUTE, READ, WRITE } from '../../machine/format/judge.ts';
import type { AccessLines, GuestContext } from '../../machine/guest.ts';
import { access, faultCode } from '../../machine/instruction.ts';
import type { Routine } from '../../runtime/act.ts';
import { Event } from '../../runtime/trace.ts';
import type { KernelServices, Process } from '../common/process.ts';

export type { AccessLines } from '../../machine/guest.ts';
/** What a line does to its page, as the machine numbers it. */
export const ACCESS = { read: READ, write: WRITE, execute: EXECUTE } as const;

/** `operations`: how many the whole of the lines counts as; by default one each. */
export function* replay(
  cpu: GuestContext,
  kernel: KernelServices,
  process: Process,
  lines: AccessLines,
  operations: number = lines.pages.length,
): Routine<void> {
  const { pageOf, pages, kinds, instructions } = lines;
  const end = pages.length;
  let i = 0;
  for (;;) {
    i = cpu.runAhead(lines, i);
    if (i === end) break;
    const page = pageOf[pages[i]!]!;
    const code = faultCode(yield access(cpu, page, kinds[i]!, instructions[i]!, 'program.access'));
    if (code === 0) i++;
    else yield cpu.call(kernel.handleFault(cpu, process, page, code));
  }
  if (operations > 0) cpu.note(Event.operation, operations, 0);
}

/** Instructions between two accesses of a program that does nothing else. */
export const PAUSE = 10;

/** One write to each of `count` consecutive pages, each after `pause` instructions. */
export function writes(first: number, count: number, pause = PAUSE): AccessLines {
  return accesses(first, count, ACCESS.write, pause);
}

/** One access of a kind to each of `count` consecutive pages. */
export function accesses(first: number, count: number, kind: number, pause = PAUSE): AccessLines {
  return {
    pageOf: Float64Array.from({ length: count }, (_, i) => first + i),
    pages: Int32Array.from({ length: count }, (_, i) => i),
    kinds: new Uint8Array(count).fill(kind),
    instructions: new Uint32Array(count).fill(pause),
  };
}
