/**
 * Removal of a table page with everything below it, by one exchange of the entry that links it:
 * what hardware still walks to through paging-structure caches ends with the flush of that change,
 * and what threads still look at is told to be dead, entry by entry. Its frames are given back
 * after the flush and a grace period.
 *
 * The flush label is the one of the unlinking: a flush that began after it leaves no CPU a way to
 * the page, whatever is installed there until its entries are dead.
 */
import type { Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { clearHardware, encode, lockEntry, placeAt, unlockEntry } from './entry.ts';
import { nextLabel } from './flush.ts';
import { deadIntent, emptyIntent } from './intent.ts';
import type { Space } from './space.ts';
import type { Stop } from './walk.ts';

/**
 * Unlinks the table page at a place and lists the headers of what was removed; the label that
 * finishes it, -1 if the place itself is dead, or a huge intent's by now.
 */
export function* removeTable(
  cpu: Context,
  space: Space,
  { place, level }: Stop,
  removed: number[],
): Routine<number> {
  const intent = yield* lockEntry(cpu, space, place);
  if (intent.state === 'dead') return -1;
  if (intent.state !== 'table') {
    yield* unlockEntry(cpu, space, place, encode(intent));
    // Somebody else removed it, and is perhaps still flushing; or has put it together again.
    return intent.state === 'empty' ? intent.payload : -1;
  }
  const { log } = space;
  // Until all below is dead, what entries there say of writes may not be noted.
  if (log !== undefined) yield cpu.add(log.removal(cpu.cpu), 1, 'kpop.removals.begin');
  yield cpu.exchangeWord(place.hardware, space.format.empty, 'kpop.remove.unlink');
  const label = yield* nextLabel(cpu, space);
  yield* unlockEntry(cpu, space, place, emptyIntent(label));
  yield* dismantle(cpu, space, intent.payload * 64, level - 1, label, removed);
  if (log !== undefined) yield cpu.add(log.removal(cpu.cpu), 1, 'kpop.removals.end');
  return label;
}

/** Ends every entry of an unlinked table page, whoever is about to change it. */
function* dismantle(
  cpu: Context,
  space: Space,
  header: number,
  level: number,
  label: number,
  removed: number[],
): Routine<void> {
  for (let index = 0; index < 1 << space.format.geometry.indexBits; index++) {
    const place = placeAt(cpu, header, index);
    const intent = yield* lockEntry(cpu, space, place);
    if (level === 0 || intent.state === 'valid') {
      const old = yield* clearHardware(cpu, space, place, intent.payload, level);
      if (old.kind === 'leaf') yield* space.reverse.remove(cpu, intent.payload, place, label);
    }
    yield* unlockEntry(cpu, space, place, deadIntent(label));
    // With no lock held: under one lock for all entries, those below take the same one.
    if (intent.state === 'table') {
      yield* dismantle(cpu, space, intent.payload * 64, level - 1, label, removed);
    }
  }
  removed.push(header);
}
