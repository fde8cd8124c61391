/**
 * Promises of the proof of concept's L0, where L2's page n is L1's page n: an entry of a root maps
 * what backs the page of L1 now, and nothing that L1 has taken away.
 */
import { MmuWords } from '../../hypervisor/mmu/common.ts';
import type { TdpMmu } from '../../hypervisor/mmu/tdp/mmu.ts';
import type { StatePromise } from '../promise.ts';
import { usedEntries } from './tables.ts';
import { backedBy } from './tdp-backing.ts';
import { hex, type View } from './view.ts';

/** Where L1's pages are, and the word that says that L1 has taken one away. */
export interface PocPages {
  readonly tdp: TdpMmu;
  readonly taken: (page: number) => number;
}

/** Why no CPU may use `frame` for `page`, once whoever takes it away has returned. */
export function takenBack(
  view: View,
  { tdp, taken }: PocPages,
  page: number,
  frame: number,
): string | undefined {
  const now = tdp.backing.peekFrame(view, page);
  if (now !== frame) return backedBy(now);
  return view.read(taken(page)) === 0 ? undefined : 'L1 has taken it away';
}

export function pocPromises(tdp: TdpMmu, root: TdpMmu, taken: PocPages['taken']): StatePromise[] {
  return [
    {
      id: 'poc.backing',
      title: 'an entry of L2 maps the frame that backs its L1 page, and none that L1 took away',
      source: 'primer/x86.md 6.0: host invalidation must reach roots indexed by L2 pages',
      always: (view) => {
        for (const { page, entry } of usedEntries(view, root.format, root.root)) {
          if (entry.kind !== 'leaf') continue;
          const why = takenBack(view, { tdp, taken }, page, entry.pfn);
          if (why !== undefined) {
            return `L2 page ${hex(page)} is mapped to frame ${hex(entry.pfn)}, ${why}`;
          }
        }
        return undefined;
      },
      atRest: (view) => {
        const open = view.read(tdp.words + MmuWords.at.inProgress);
        return open === 0 ? [] : [`${open} invalidations are open, expected 0`];
      },
    },
  ];
}
