/**
 * Page-modification logging of L2 for KPOP: the pages that a CPU lists are pages of L2, which is
 * what L1 asks for. Hardware's list is on for as long as L2 lives: while nobody logs, entries that
 * permit writes come with D set, and nothing is listed.
 *
 * The list is emptied before its CPU says that it has left the address space. So who has waited for
 * a flush finds in the log all that was written before.
 */
import { FRAME_BYTES } from '../../machine/memory.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import type { WriteLog } from '../mmu/kpop/write-log.ts';
import type { Platform } from '../platform.ts';
import { drainBuffer, makeBuffer, type PmlBuffer, switchOn } from '../pml.ts';
import type { Vcpu, VcpuLogging } from '../vcpu.ts';

/**
 * Gives the control blocks of L2 vCPUs a list each. `entries`: room in it; all that the manual
 * allows unless a small program under exploration is to fill it.
 */
export function kpopPml(
  platform: Platform,
  log: WriteLog,
  blocks: readonly number[],
  { entries = FRAME_BYTES / 8 }: { readonly entries?: number } = {},
): VcpuLogging {
  const buffers = new Map<number, PmlBuffer>();
  for (const block of blocks) {
    buffers.set(block, makeBuffer(platform, block, entries));
    switchOn(platform, block);
  }
  return {
    *leave(cpu: Context, v: Vcpu): Routine<void> {
      const buffer = buffers.get(v.active.block);
      if (buffer === undefined) return; // L1 itself was out there
      yield* drainBuffer(cpu, buffer, (gfn) =>
        log.listed!.mark(cpu, { first: gfn, end: gfn + 1 }, 'kpop.listed.note'),
      );
    },
    *drain(): Routine<void> {
      // done by then
    },
    *update(): Routine<void> {
      // always on
    },
  };
}
