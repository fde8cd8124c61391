/**
 * PROTECT changes the rights of what L1 has mapped. What it takes away goes at once, intent and
 * hardware entry, and the call waits for one flush at the end, as an UNMAP does. What it adds goes
 * to the intent only: the hardware entry follows with the fault of whoever needs it.
 *
 * A right that is taken away leaves no trace in the entry, as an empty intent's label does; so the
 * flush that ends it is found in the label of the table page, by whoever takes the same right away
 * and finds it gone already, and by an UNMAP.
 *
 * Source: primer/x86.md 6.3, PROTECT (proposal). Differs: a call that adds rights obeys the fence
 * as MAP does, and a restrictive one raises it (docs/found.md).
 */
import { PROT_ALL } from '../../../abi/kpop.ts';
import { pagesAt } from '../../../machine/format/format.ts';
import { num, type Routine, won } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import type { PageRange } from '../common.ts';
import { emptyLabel, encode, lockEntry, type Place, unlockEntry } from './entry.ts';
import { isFenced, raiseFences } from './fence.ts';
import { nextLabel, raise } from './flush.ts';
import { splitIntent } from './huge.ts';
import { type Intent, validIntent } from './intent.ts';
import { protOf, rightsOf } from './leaf.ts';
import { noteWrites } from './note-writes.ts';
import { type Space, TableWords } from './space.ts';
import { type Stop, walk } from './walk.ts';
import { narrowWindows } from './window.ts';

export interface ProtectElement extends PageRange {
  /** The rights that the pages are to have. */
  readonly prot: number;
  /** L1's invalidation epoch when it decided so. */
  readonly epoch: number;
}

/** What a PROTECT has done so far. */
export interface Protected {
  /** Of the flush after which nobody uses a right that was taken away; or 0. */
  label: number;
  /** Somewhere rights were not added, because the call was older than a restriction there. */
  isStale: boolean;
  /** An element was not done: it would leave too many windows. */
  isBusy: boolean;
  /** Entries that may still be looked at before the call ends. */
  budget: number;
}

/** Before anything is done. */
export function nothingProtected(budget = Number.POSITIVE_INFINITY): Protected {
  return { label: 0, isStale: false, isBusy: false, budget };
}

/**
 * Gives the pages of a range the rights; those that are not mapped are passed over. The first page
 * that the budget has left over, else the range's end.
 */
export function* kpopProtect(
  cpu: Context,
  space: Space,
  element: ProtectElement,
  done: Protected,
): Routine<number> {
  const { end, epoch } = element;
  if (takesAway(element)) yield* raiseFences(cpu, space, element, epoch, 'kpop.protect.fence');
  // What is in a window and not filled yet gets no right back: L1 is asked.
  if (takesAway(element) && !(yield* narrowWindows(cpu, space, [element], element.prot))) {
    done.isBusy = true;
    return end;
  }
  let gfn = element.first;
  for (; gfn < end && done.budget > 0; done.budget--) {
    const stop = yield* walk(cpu, space, { first: gfn, end: gfn + 1 });
    const next = nextAt(space, gfn, stop);
    if (stop.level > 0 && stop.seen!.state === 'empty') {
      // Nothing is mapped here; what was, a moment ago, may still be used until its flush is over.
      const label = yield* emptyLabel(cpu, space, stop.place, stop.seen!);
      if (label < 0) continue;
      joinAt(done, element, label);
      gfn = next;
    } else if (stop.level > 0 && (next > end || gfn !== firstAt(space, gfn, stop))) {
      yield* splitIntent(cpu, space, stop.place, stop.level); // the range covers a part of it
    } else if (yield* protectPage(cpu, space, stop, gfn, element, done)) gfn = next;
  }
  return Math.min(gfn, end);
}

function takesAway({ prot }: ProtectElement): boolean {
  return (prot & PROT_ALL) !== PROT_ALL;
}

/** A call that takes nothing away has no flush to wait for. */
function joinAt(done: Protected, element: ProtectElement, label: number): void {
  if (takesAway(element)) done.label = Math.max(done.label, label);
}

/** First page of what a place serves, and the first past it. */
function firstAt(space: Space, gfn: number, { level }: Stop): number {
  return gfn - (gfn % pagesAt(space.format.geometry, level));
}

function nextAt(space: Space, gfn: number, stop: Stop): number {
  return firstAt(space, gfn, stop) + pagesAt(space.format.geometry, stop.level);
}

/** A page, or all pages of a huge intent. False: walk again. */
function* protectPage(
  cpu: Context,
  space: Space,
  { place, level }: Stop,
  gfn: number,
  element: ProtectElement,
  done: Protected,
): Routine<boolean> {
  const intent = yield* lockEntry(cpu, space, place);
  if (intent.state === 'dead') return false;
  if (intent.state === 'table') {
    yield* unlockEntry(cpu, space, place, encode(intent)); // it was split
    return false;
  }
  if (intent.state !== 'valid') {
    joinAt(done, element, intent.payload);
    yield* unlockEntry(cpu, space, place, encode(intent));
    return true;
  }
  const range = { first: gfn, end: gfn + pagesAt(space.format.geometry, level) };
  const prot = yield* allowed(cpu, space, range, element, intent, done);
  const own = (yield* narrow(cpu, space, place, intent.payload, prot, level))
    ? yield* nextLabel(cpu, space)
    : 0;
  const tableLabel = place.table + TableWords.at.label;
  // Gone already: perhaps a moment ago, by somebody who is still flushing.
  const label = Math.max(own, num(yield cpu.load(tableLabel, 'kpop.protect.label')));
  if (own > 0) yield* raise(cpu, tableLabel, own, 'kpop.protect.relabel');
  joinAt(done, element, label);
  yield* unlockEntry(cpu, space, place, validIntent(intent.payload, prot));
  return true;
}

/** The rights that the pages get, their entry locked: none that a fence does not let be added. */
function* allowed(
  cpu: Context,
  space: Space,
  range: PageRange,
  { prot, epoch }: ProtectElement,
  intent: Intent,
  done: Protected,
): Routine<number> {
  if ((prot & ~intent.prot) === 0) return prot;
  if (!(yield* isFenced(cpu, space, range, epoch, 'kpop.protect.epoch'))) return prot;
  done.isStale = true;
  return prot & intent.prot;
}

/**
 * Takes rights from the hardware entry; true if it had any of them. Hardware may set A and D
 * meanwhile: the whole entry is compared.
 */
function* narrow(
  cpu: Context,
  space: Space,
  place: Place,
  l1gfn: number,
  prot: number,
  level: number,
): Routine<boolean> {
  const { format } = space;
  cpu.attempt('kpop.protect.narrow');
  for (;;) {
    const seen = format.decode(yield cpu.load(place.hardware, 'kpop.protect.look'), level);
    const kept = protOf(seen) & prot;
    if (seen.kind !== 'leaf' || kept === protOf(seen)) return false;
    const { pfn, accessed, dirty } = seen;
    const next = format.leaf({ pfn, level, rights: rightsOf(kept), accessed, dirty });
    if (won(yield cpu.casWord(place.hardware, seen, next, 'kpop.protect.narrow'))) {
      // What said that the page may have been written to may be the right that is gone.
      if (space.log?.isNoticed(seen) === true && !space.log.isNoticed(next)) {
        yield* noteWrites(cpu, space, place, l1gfn, level);
      }
      return true;
    }
    cpu.again('kpop.protect.narrow');
  }
}
