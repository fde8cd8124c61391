/**
 * AGE: which pages of L2 were used since L1 asked last. A is looked at, or cleared, without a lock
 * and without a flush: a CPU that has the translation cached does not set it again, and the page
 * looks unused for a while, which costs nothing but a worse guess. One try per entry: whoever
 * changes it meanwhile, hardware included, is using the page.
 *
 * Source: primer/x86.md 6.2, AGE; 6.3, A/D clearing (proposal): by compare-and-swap of the whole
 * entry only, since a blind operation could hit a pointer or an entry that was taken away.
 */
import { pagesAt } from '../../../machine/format/format.ts';
import { type Routine, won } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import type { PageRange } from '../common.ts';
import type { Space } from './space.ts';
import { walk } from './walk.ts';

/**
 * For each page of the range whether it was used, or whether the huge leaf was that maps it;
 * `clears`: they look unused from now on.
 */
export function* kpopAge(
  cpu: Context,
  space: Space,
  { first, end }: PageRange,
  clears: boolean,
): Routine<readonly boolean[]> {
  const { format } = space;
  const used = new Array<boolean>(end - first).fill(false);
  for (let gfn = first; gfn < end; ) {
    const { place, level } = yield* walk(cpu, space, { first: gfn, end: gfn + 1 });
    const span = pagesAt(format.geometry, level);
    const next = Math.min(end, gfn - (gfn % span) + span);
    cpu.attempt('kpop.age');
    const seen = format.decode(yield cpu.load(place.hardware, 'kpop.age.look'), level);
    const isUsed = seen.kind === 'leaf' && seen.accessed;
    if (isUsed && clears) {
      const { pfn, dirty } = seen;
      const old = format.leaf({ pfn, level, rights: seen, accessed: false, dirty });
      cpu.conclude(
        'kpop.age',
        won(yield cpu.casWord(place.hardware, seen, old, 'kpop.age.clear')) ? 2 : 1,
      );
    } else cpu.conclude('kpop.age', isUsed ? 1 : 0);
    if (isUsed) used.fill(true, gfn - first, next - first);
    gfn = next;
  }
  return used;
}
