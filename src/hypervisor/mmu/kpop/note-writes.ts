/** Noting in the logs what an entry said of its pages, by whoever has changed it. */
import { pagesAt } from '../../../machine/format/format.ts';
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import type { Place } from './entry.ts';
import { type Space, TableWords } from './space.ts';
import { ALL_READ, HOST_READS, L1_READS, loadReaders } from './write-log.ts';

/**
 * Notes in the logs of `readers` that the pages of an entry, which the caller has locked and
 * changed, may have been written to.
 */
export function* noteWrites(
  cpu: Context,
  space: Space,
  place: Place,
  l1gfn: number,
  level = 0,
  readers = ALL_READ,
): Routine<void> {
  const { log } = space;
  if (log === undefined) return;
  const told = num(yield loadReaders(cpu, log)) & readers;
  if (told === 0) return;
  const pages = pagesAt(space.format.geometry, level);
  const l2gfn = cpu.read(place.table + TableWords.at.first) + place.index * pages;
  if ((told & L1_READS) !== 0) {
    yield* log.ofL2.mark(cpu, { first: l2gfn, end: l2gfn + pages }, 'kpop.log.note');
  }
  if ((told & HOST_READS) !== 0) {
    yield* log.ofL1.mark(cpu, { first: l1gfn, end: l1gfn + pages }, 'kpop.log.note-host');
  }
}
