/**
 * Free-page reporting: the kernel tells the owner of its memory which pages it does not need, so
 * that the owner can take their frames. The list is written into a page of the guest and passed by
 * address; reported pages are isolated until the call returns.
 */
import { OwnerCall, REPORT_ELEMENT_BYTES, REPORT_LIMIT } from '../../abi/owner.ts';
import type { GuestContext } from '../../machine/guest.ts';
import { vmcall } from '../../machine/instruction.ts';
import type { Routine } from '../../runtime/act.ts';

/** Consecutive frames of an ascending list, merged. */
export function mergeRuns(frames: readonly number[]): { first: number; pages: number }[] {
  const runs: { first: number; pages: number }[] = [];
  for (const frame of frames) {
    const last = runs[runs.length - 1];
    if (last !== undefined && last.first + last.pages === frame) last.pages++;
    else runs.push({ first: frame, pages: 1 });
  }
  return runs;
}

/** Reports ascending frames through the list page at guest-physical address `list`. */
export function* reportFree(
  cpu: GuestContext,
  frames: readonly number[],
  list: number,
): Routine<void> {
  const runs = mergeRuns(frames);
  for (let from = 0; from === 0 || from < runs.length; from += REPORT_LIMIT) {
    const batch = runs.slice(from, from + REPORT_LIMIT);
    batch.forEach((run, i) => {
      cpu.write(list + i * REPORT_ELEMENT_BYTES, run.first);
      cpu.write(list + i * REPORT_ELEMENT_BYTES + 8, run.pages);
    });
    yield vmcall(cpu, OwnerCall.reclaim, [list, batch.length], 'kernel.report');
  }
}
