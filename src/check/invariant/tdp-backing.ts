/**
 * Promise of the TDP MMU at quiescence: every present leaf maps exactly the frame that backs its
 * page (primer/x86.md I1), nothing is frozen, and no invalidation is open.
 */
import { MmuWords } from '../../hypervisor/mmu/common.ts';
import type { TdpMmu } from '../../hypervisor/mmu/tdp/mmu.ts';
import { usedEntries } from './tables.ts';
import { hex, type View } from './view.ts';

/** `view`: of the memory in which the MMU's tables lie. */
export function tdpBacking(view: View, mmu: TdpMmu): string[] {
  const wrong: string[] = [];
  const { backing, format } = mmu;
  for (const { page, level, entry } of usedEntries(view, format, mmu.root)) {
    if (entry.kind === 'frozen') {
      wrong.push(`page ${hex(page)}: its entry of level ${level} is frozen, nobody owns it`);
    }
    if (entry.kind !== 'leaf') continue;
    const frame = backing.has(page) ? backing.peekFrame(view, page) : -1;
    if (entry.pfn !== frame) {
      wrong.push(`page ${hex(page)}: mapped to frame ${hex(entry.pfn)}, backed by ${hex(frame)}`);
    }
  }
  const open = view.read(mmu.words + MmuWords.at.inProgress);
  if (open !== 0) wrong.push(`${open} invalidations are open, expected 0`);
  return wrong;
}
