/**
 * The step that MAP, fills and promotion share: an entry of the reverse map, the look whether the
 * page is leaving, and the hardware entry, all under the entry lock.
 */
import { pagesAt } from '../../../machine/format/format.ts';
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import type { Place } from './entry.ts';
import type { Intent } from './intent.ts';
import { leafOf } from './leaf.ts';
import type { Space } from './space.ts';
import { loadReaders } from './write-log.ts';

/** What an entry is to say, and what was known of the L1 page before the lock. */
export interface Plan {
  /** First L1 page. */
  readonly l1gfn: number;
  readonly prot: number;
  readonly pfn: number;
  /** Of its bucket, to be checked again. */
  readonly seq: number;
  /** Rights of the access that waits for it; none unless given. */
  readonly needed?: number;
}

/**
 * M4: the item first, then the look at the counters. An invalidation either is seen here, or sees
 * the item and then waits for this entry's lock. No barrier stands between the two: the list's bit
 * is taken by a locked operation, after the look of which nothing here is performed earlier, and an
 * invalidation that takes the bit before this one has raised its counter before that.
 */
export function* install(
  cpu: Context,
  space: Space,
  place: Place,
  plan: Plan,
  level = 0,
): Routine<boolean> {
  const { reverse, log } = space;
  const { l1gfn, prot, pfn, seq, needed = 0 } = plan;
  const pages = level === 0 ? 1 : pagesAt(space.format.geometry, level);
  // An invalidation of huge entries takes several lists in turn: who tries again and again while
  // it lasts must not keep it from them.
  const isLeaving =
    space.top > 0 &&
    num(yield cpu.load(reverse.inProgress(l1gfn, pages), 'kpop.map.leaving')) !== 0;
  if (isLeaving) return false;
  // Under the lock: who begins to log has raised its flag, or looks at this entry after this.
  const isLogged = log !== undefined && num(yield loadReaders(cpu, log)) !== 0;
  if (isLogged && level > 0) return false; // a log knows pages of 4 KiB only
  yield* reverse.add(cpu, l1gfn, place);
  const moved =
    num(yield cpu.load(reverse.inProgress(l1gfn, pages), 'kpop.map.in-progress')) !== 0 ||
    num(yield cpu.load(reverse.seq(l1gfn, pages), 'kpop.map.seq-recheck')) !== seq;
  if (moved) {
    yield* reverse.remove(cpu, l1gfn, place, 0);
    return false;
  }
  const leaf = isLogged
    ? log.leaf(space, pfn, prot, needed)
    : leafOf(space.format, pfn, prot, level);
  yield cpu.storeWord(place.hardware, leaf, 'kpop.map.hardware');
  return true;
}

export function allows({ prot }: Intent, needed: number): boolean {
  return (prot & needed) === needed;
}
