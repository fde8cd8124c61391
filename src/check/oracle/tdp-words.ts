/** What the words of a TDP MMU mean to its specification. */
import { MmuWords } from '../../hypervisor/mmu/common.ts';
import type { TdpMmu } from '../../hypervisor/mmu/tdp/mmu.ts';
import { pagesAt } from '../../machine/format/format.ts';
import { usedEntries } from '../invariant/tables.ts';
import type { Oracle } from './specification.ts';
import { TdpSpecification, type TdpState } from './tdp.ts';

/** Bits of the lock word that say that a writer holds it. */
const HELD = 0xff;

export function tdpOracle(mmu: TdpMmu, pages: number): Oracle<TdpState> {
  const { format, root } = mmu;
  const { geometry } = format;
  // Made when somebody looks: systems that are timed have far too many pages.
  let none: readonly boolean[] = [];
  return {
    specification: new TdpSpecification(({ first, end }) =>
      Array.from({ length: geometry.levels - 1 }, (_, i) => pagesAt(geometry, i + 1)).some(
        (span) => end - first === span && first % span === 0,
      ),
    ),
    wordless: ['access'],
    abstraction: (view, before) => {
      // What is done under the lock held for writing counts when the lock is dropped.
      const isHeld = (view.read(mmu.words + MmuWords.at.lock) & HELD) !== 0;
      if (isHeld && before !== undefined) return before;
      if (none.length !== pages) none = new Array<boolean>(pages).fill(false);
      const mapped = [...none];
      for (const { page, level, entry } of usedEntries(view, format, root)) {
        if (entry.kind !== 'leaf') continue;
        const end = Math.min(pages, page + pagesAt(geometry, level));
        for (let each = page; each < end; each++) mapped[each] = true;
      }
      return { mapped, lingers: none };
    },
  };
}
