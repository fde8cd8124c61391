/**
 * Promise of the TDP MMU at quiescence: every present leaf maps exactly the frame that backs its
 * page (primer/x86.md I1), nothing is frozen, and no invalidation is open.
 */
import { MmuWords, type PageRange } from '../../hypervisor/mmu/common.ts';
import type { TdpMmu } from '../../hypervisor/mmu/tdp/mmu.ts';
import { pagesAt } from '../../machine/format/format.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import type { StatePromise } from '../promise.ts';
import { leafOf, usedEntries } from './tables.ts';
import { hex, type View } from './view.ts';

/** `view`: of the memory in which the MMU's tables lie. */
export function tdpBacking(view: View, mmu: TdpMmu): string[] {
  const wrong: string[] = [];
  const { format } = mmu;
  for (const { page, level, entry } of usedEntries(view, format, mmu.root)) {
    if (entry.kind === 'frozen') {
      wrong.push(`page ${hex(page)}: its entry of level ${level} is frozen, nobody owns it`);
    }
  }
  for (const { page, mapped, backs } of leafPages(view, mmu)) {
    if (mapped === backs) continue;
    wrong.push(`page ${hex(page)}: mapped to frame ${hex(mapped)}, backed by ${hex(backs)}`);
  }
  const open = view.read(mmu.words + MmuWords.at.inProgress);
  if (open !== 0) wrong.push(`${open} invalidations are open, expected 0`);
  return wrong;
}

export function tdpPromises(mmu: TdpMmu): readonly StatePromise[] {
  return [
    {
      id: 'tdp.backing',
      title: 'a present entry maps the frame that backs its page, in every state',
      source: 'primer/x86.md 2.8, I1',
      always: (view) => unbackedLeaf(view, mmu),
      atRest: (view) => tdpBacking(view, mmu),
    },
  ];
}

/** A leaf whose frame does not back its page at this moment. */
function unbackedLeaf(view: View, mmu: TdpMmu): string | undefined {
  for (const { page, mapped, backs } of leafPages(view, mmu)) {
    if (mapped === backs) continue;
    return `page ${hex(page)} is mapped to frame ${hex(mapped)}, ${backedBy(backs)}`;
  }
  return undefined;
}

/** Every page that a leaf of any size maps: the frame in the entry, and the one that backs it. */
function* leafPages(
  view: View,
  { backing, format, root }: TdpMmu,
): Generator<{ page: number; mapped: number; backs: number }> {
  for (const { page: first, level, entry } of usedEntries(view, format, root)) {
    if (entry.kind !== 'leaf') continue;
    for (let i = 0; i < pagesAt(format.geometry, level); i++) {
      const page = first + i;
      const backs = backing.has(page) ? backing.peekFrame(view, page) : -1;
      yield { page, mapped: entry.pfn + i, backs };
    }
  }
}

/** What the host says about a page instead. */
export function backedBy(frame: number): string {
  return frame < 0 ? 'no frame backs it' : `frame ${hex(frame)} backs it`;
}

/** I4 at rest: a page that was written to is dirty in its entry, or noted by who took that. */
export function tdpDirty(mmu: TdpMmu, memory: readonly PageRange[]): StatePromise {
  return {
    id: 'tdp.dirty',
    title: 'at rest every page that was written to is known to be dirty',
    source: 'primer/x86.md 2.8, I4; 9.2, R3',
    atRest: (view) => {
      const wrong: string[] = [];
      for (const { first, end } of memory) {
        for (let page = first; page < end; page++) {
          if (isLost(view, mmu, page)) wrong.push(`page ${hex(page)} was written to, nobody knows`);
        }
      }
      return wrong;
    },
  };
}

/**
 * Whether a page was written to and neither its entry nor a note says so. Frames are handed out
 * zeroed, and guests of explorations write what is not zero.
 */
export function isLost(view: View, mmu: TdpMmu, page: number): boolean {
  const { backing, format, root } = mmu;
  const frame = backing.peekFrame(view, page);
  if (frame < 0 || view.read(frame * FRAME_BYTES) === 0) return false;
  const entry = leafOf(view, format, root, page)?.entry;
  return entry?.dirty !== true && !backing.isMarkedDirty(view, page);
}
