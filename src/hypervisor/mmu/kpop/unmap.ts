/**
 * UNMAP removes intents, and whole table pages where it covers all they serve; the host's
 * invalidation removes hardware entries and leaves the intents. Both clear entries one by one under
 * the entry lock, label the change, and wait for one flush at the end, with nothing held.
 *
 * Steps U1-U3 and N1-N6 of primer/x86.md 6.3 (proposal).
 */
import { pagesAt } from '../../../machine/format/format.ts';
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import type { PageRange } from '../common.ts';
import {
  clearHardware,
  emptyLabel,
  encode,
  lockEntry,
  type Place,
  placeAt,
  unlockEntry,
} from './entry.ts';
import { raiseFences } from './fence.ts';
import { joinFlush, nextLabel, raise } from './flush.ts';
import { splitIntent } from './huge.ts';
import { emptyIntent, type Intent } from './intent.ts';
import { removeTable } from './remove.ts';
import { beginSection, endSection } from './section.ts';
import { type Space, TableWords } from './space.ts';
import { type Stop, walk } from './walk.ts';
import { narrowWindows } from './window.ts';

/** What an UNMAP has taken out of the tree, to be finished by `finishUnmap`. */
export interface Unmapped {
  /** Of the flush that ends it: no access uses the pages any more once it is joined; or 0. */
  readonly label: number;
  /** Headers of table pages that nothing links any more. */
  readonly tables: readonly number[];
  /** Where the budget ended it: the number of the range, and its first page that is left. */
  readonly left?: { readonly range: number; readonly first: number };
  /** Nothing was done: it would leave too many windows. */
  readonly isBusy?: true;
}

/**
 * Removes the intents of ranges, and the table pages that serve nothing else. With a budget it ends
 * after about as many entries, and removes no table page but those of leaves: each is a bounded
 * piece of work. It always does at least one step.
 */
export function* kpopUnmap(
  cpu: Context,
  space: Space,
  ranges: readonly PageRange[],
  epoch: number,
  budget = Number.POSITIVE_INFINITY,
): Routine<Unmapped> {
  // The fence first: a MAP with an older epoch that comes later is refused under the entry lock.
  for (const range of ranges) yield* raiseFences(cpu, space, range, epoch, 'kpop.unmap.fence');
  // Then what windows say of the pages: nothing is filled from there any more.
  if (!(yield* narrowWindows(cpu, space, ranges, 0))) return { label: 0, tables: [], isBusy: true };
  const { geometry } = space.format;
  const most = Number.isFinite(budget) ? pagesAt(geometry, 1) : budget;
  let target = 0;
  let entries = 0;
  const tables: number[] = [];
  for (const [i, range] of ranges.entries()) {
    let first = range.first;
    while (first < range.end) {
      if (entries >= budget) return { label: target, tables, left: { range: i, first } };
      const stop = yield* walk(cpu, space, { first, end: Math.min(range.end, first + most) });
      const span = pagesAt(geometry, stop.level);
      entries += stop.seen?.state === 'table' ? 1 << geometry.indexBits : 1;
      const isWhole = first % span === 0 && first + span <= range.end;
      const label = yield* unmapAt(cpu, space, stop, isWhole, tables);
      if (label < 0) continue; // its table page was removed, or there is one now: walk again
      target = Math.max(target, label);
      first = (Math.floor(first / span) + 1) * span;
    }
  }
  return { label: target, tables };
}

/** Returns when the removal is visible everywhere; nothing may be held. */
export function* finishUnmap(
  cpu: Context,
  space: Space,
  { label, tables }: Unmapped,
): Routine<void> {
  if (label > 0) yield* joinFlush(cpu, space, label);
  // No CPU walks them any more; threads that went down before may still look at them.
  for (const header of tables) yield* space.grace.defer(cpu, header);
}

/**
 * The label that finishes it; -1: walk again. `isWhole`: the range covers all that the place
 * serves.
 */
function* unmapAt(
  cpu: Context,
  space: Space,
  stop: Stop,
  isWhole: boolean,
  tables: number[],
): Routine<number> {
  const { place, level, seen } = stop;
  if (level === 0) return yield* unmapPage(cpu, space, place, 0);
  switch (seen!.state) {
    case 'table':
      return yield* removeTable(cpu, space, stop, tables);
    case 'valid':
      if (isWhole) return yield* unmapPage(cpu, space, place, level);
      yield* splitIntent(cpu, space, place, level);
      return -1;
    default:
      // A table that is not there may have been removed a moment ago, and that one still be
      // flushing.
      return yield* emptyLabel(cpu, space, place, seen!);
  }
}

/**
 * The label whose flush finishes the removal of a page, or of all pages of a huge intent; 0 if
 * nothing can be cached, -1: walk again.
 */
function* unmapPage(cpu: Context, space: Space, place: Place, level: number): Routine<number> {
  const intent = yield* lockEntry(cpu, space, place);
  if (intent.state === 'dead') return -1;
  if (intent.state === 'table') {
    yield* unlockEntry(cpu, space, place, encode(intent)); // it was split
    return -1;
  }
  const old = yield* clearHardware(cpu, space, place, intent.payload, level);
  const own = old.kind === 'leaf' ? yield* nextLabel(cpu, space) : 0;
  if (old.kind === 'leaf') yield* space.reverse.remove(cpu, intent.payload, place, own);
  // The entry may be empty because somebody emptied it a moment ago and is still flushing:
  // returning without joining that flush would leave a stale translation behind.
  const pending = intent.state === 'empty' ? intent.payload : 0;
  const tableLabel = num(yield cpu.load(place.table + TableWords.at.label, 'kpop.unmap.label'));
  const label = Math.max(own, tableLabel, pending);
  // The entry tells whoever unmaps it; a COLLECT, which looks at entries that say nothing of
  // writes without their intents, goes by the table's label.
  if (label > tableLabel) {
    yield* raise(cpu, place.table + TableWords.at.label, label, 'kpop.unmap.relabel');
  }
  yield* unlockEntry(cpu, space, place, emptyIntent(label));
  return label;
}

/**
 * The host takes L1's pages away (or moves them): L2's entries go here, `body` takes the pages from
 * L1 itself and frees them. Until it is done no fill installs them. Intents stay, so that L2's next
 * access is filled again without L1.
 */
export function* kpopInvalidate(
  cpu: Context,
  space: Space,
  l1gfns: readonly number[],
  body: Routine<void>,
): Routine<void> {
  const { reverse } = space;
  for (const l1gfn of l1gfns) yield* reverse.begin(cpu, l1gfn);
  let target = 0;
  yield* beginSection(cpu, space); // the thread may be no vCPU's
  for (const l1gfn of l1gfns) {
    // The larger first: what is split meanwhile is found below; nothing is promoted any more.
    for (let level = space.top; level >= 0; level--) {
      target = Math.max(target, yield* dropAll(cpu, space, l1gfn, level));
    }
  }
  yield* endSection(cpu, space);
  if (target > 0) yield* joinFlush(cpu, space, target);
  yield* body;
  for (const l1gfn of l1gfns) yield* reverse.end(cpu, l1gfn);
}

/**
 * Empties the entries of a level that map the L1 page; the label that finishes it, and what others
 * have taken from the list before.
 */
function* dropAll(cpu: Context, space: Space, l1gfn: number, level: number): Routine<number> {
  const span = level === 0 ? 1 : pagesAt(space.format.geometry, level);
  const first = l1gfn - (l1gfn % span);
  const { mappings, label } = yield* space.reverse.collect(cpu, first);
  let target = label; // an UNMAP may have emptied an entry and still be flushing
  for (const mapping of mappings) {
    // A huge entry and a small one may be in the same list: each is looked at for its own level.
    if (space.top > 0 && cpu.read(mapping.table + TableWords.at.level) !== level) continue;
    const place = placeAt(cpu, mapping.table, mapping.index);
    target = Math.max(target, yield* dropHardware(cpu, space, place, first, level));
  }
  return target;
}

/**
 * Empties the entry if it still maps the L1 pages from `l1gfn` on; the label that finishes what
 * emptied it.
 */
function* dropHardware(
  cpu: Context,
  space: Space,
  place: Place,
  l1gfn: number,
  level: number,
): Routine<number> {
  const intent = yield* lockEntry(cpu, space, place);
  if (intent.state === 'dead') return intent.payload; // whoever removed it may still be flushing
  const label = yield* dropLocked(cpu, space, place, intent, l1gfn, level);
  yield* unlockEntry(cpu, space, place, encode(intent));
  return label;
}

function* dropLocked(
  cpu: Context,
  space: Space,
  place: Place,
  intent: Intent,
  l1gfn: number,
  level: number,
): Routine<number> {
  const tableLabel = place.table + TableWords.at.label;
  if (intent.state === 'valid' && intent.payload === l1gfn) {
    const old = yield* clearHardware(cpu, space, place, l1gfn, level);
    if (old.kind !== 'leaf') return num(yield cpu.load(tableLabel, 'kpop.notify.emptied'));
    const label = yield* nextLabel(cpu, space);
    yield* space.reverse.remove(cpu, l1gfn, place, label);
    yield* raise(cpu, tableLabel, label, 'kpop.notify.label');
    return label;
  }
  // Whoever emptied it since the list was copied may still be flushing.
  return intent.state === 'empty' ? intent.payload : 0;
}
