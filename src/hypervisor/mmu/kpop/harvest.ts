/**
 * A harvest of written pages: entries of a range lose the bit that says so, and both logs are told.
 * What it changes carries a label; until that is finished a CPU may write through what it has
 * cached and set no bit. The label of a table page is joined even if nothing was found there,
 * because another harvest may have taken the bits a moment ago and still be flushing.
 *
 * Only entries whose bit is set, or which somebody has locked, are locked: who holds the lock may
 * have taken the bit away and not noted it yet.
 */
import { pagesAt } from '../../../machine/format/format.ts';
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import type { PageRange } from '../common.ts';
import { emptyLabel, encode, lockEntry, type Place, placeAt, unlockEntry } from './entry.ts';
import { nextLabel, raise } from './flush.ts';
import { splitIntent } from './huge.ts';
import { isDead, isLocked } from './intent.ts';
import { noteWrites } from './note-writes.ts';
import { type Space, TableWords } from './space.ts';
import { type Stop, walk } from './walk.ts';
import type { WriteLog } from './write-log.ts';

/** What is harvested, and into whose logs. */
export interface Harvest {
  readonly log: WriteLog;
  readonly range: PageRange;
  /** *_READS bits. */
  readonly readers: number;
}

/** The place is no more what it was: walk again. */
const AGAIN = -1;

/**
 * Looks at every entry of the range, and splits huge leaves; the label that finishes what it, and
 * others before, have taken away.
 */
export function* harvestAll(cpu: Context, space: Space, harvest: Harvest): Routine<number> {
  const { range } = harvest;
  const { geometry } = space.format;
  let target = 0;
  for (let gfn = range.first; gfn < range.end; ) {
    const stop = yield* walk(cpu, space, { first: gfn, end: gfn + 1 });
    const span = pagesAt(geometry, Math.max(1, stop.level));
    const next = Math.min(range.end, (Math.floor(gfn / span) + 1) * span);
    const label =
      stop.level > 0
        ? yield* harvestAbove(cpu, space, stop)
        : yield* harvestTable(cpu, space, stop.place, next - gfn, harvest);
    if (label === AGAIN) continue;
    target = Math.max(target, label);
    gfn = next;
  }
  return target;
}

/** The same for the pages that CPUs have listed. Everything is to be flushed afterwards. */
export function* harvestListed(cpu: Context, space: Space, harvest: Harvest): Routine<number> {
  const { log, range } = harvest;
  for (const gfn of yield* log.listed!.take(cpu, range, 'kpop.listed.take')) {
    for (;;) {
      const { place, level } = yield* walk(cpu, space, { first: gfn, end: gfn + 1 });
      // Gone: whoever took it away has noted it.
      if (level > 0 || (yield* harvestPage(cpu, space, place, harvest))) break;
    }
  }
  return yield* nextLabel(cpu, space);
}

/** A place above the leaf tables: nothing to harvest, or a huge leaf, which is split first. */
function* harvestAbove(cpu: Context, space: Space, { place, level, seen }: Stop): Routine<number> {
  if (seen!.state === 'empty') return yield* emptyLabel(cpu, space, place, seen!);
  const intent = yield* lockEntry(cpu, space, place);
  if (intent.state === 'dead') return AGAIN;
  const hardware = space.format.decode(yield cpu.load(place.hardware, 'kpop.harvest.above'), level);
  const label = num(yield cpu.load(place.table + TableWords.at.label, 'kpop.harvest.label'));
  yield* unlockEntry(cpu, space, place, encode(intent));
  if (intent.state === 'table') return AGAIN;
  if (hardware.kind !== 'leaf') return label;
  yield* splitIntent(cpu, space, place, level);
  return AGAIN;
}

/** So many entries of a leaf table from a place on; the label of their table page. */
function* harvestTable(
  cpu: Context,
  space: Space,
  { table, index }: Place,
  pages: number,
  harvest: Harvest,
): Routine<number> {
  for (let i = index; i < index + pages; i++) {
    if (!(yield* harvestPage(cpu, space, placeAt(cpu, table, i), harvest))) return AGAIN;
  }
  return num(yield cpu.load(table + TableWords.at.label, 'kpop.harvest.label'));
}

/** False: its table page was removed, or became a huge leaf. */
function* harvestPage(
  cpu: Context,
  space: Space,
  place: Place,
  harvest: Harvest,
): Routine<boolean> {
  const { format } = space;
  const { log } = harvest;
  cpu.attempt('kpop.harvest');
  // Who locks the entry after this look knows that the log is read: what it puts here is clean.
  const before = num(yield cpu.load(place.intent, 'kpop.harvest.before'));
  const seen = format.decode(yield cpu.load(place.hardware, 'kpop.harvest.look'), 0);
  if (!log.isNoticed(seen) && !isLocked(before) && space.scope === 'entry') {
    // And who has emptied it meanwhile has it locked until it has noted what it said.
    const after = num(yield cpu.load(place.intent, 'kpop.harvest.recheck'));
    if (isDead(after) || !isLocked(after)) {
      cpu.conclude('kpop.harvest', isDead(after) ? 1 : 0);
      return !isDead(after);
    }
  }
  const intent = yield* lockEntry(cpu, space, place);
  if (intent.state === 'dead') return false;
  const isTaken = yield* takeBit(cpu, space, place, log);
  if (isTaken) {
    yield* noteWrites(cpu, space, place, intent.payload, 0, harvest.readers);
    // The entry was the only one to know, for those who write pages back as well.
    if (log.by !== 'protect' && space.notesDirty) {
      yield* space.l1Memory.markDirty(cpu, intent.payload);
    }
    const label = yield* nextLabel(cpu, space);
    yield* raise(cpu, place.table + TableWords.at.label, label, 'kpop.harvest.relabel');
  }
  yield* unlockEntry(cpu, space, place, encode(intent));
  return true;
}

/**
 * Takes D or W from an entry that is locked; false if it has none. Nothing is compared: hardware,
 * and AGE without the lock, can change nothing but A, for D is set, as it is wherever W is. A
 * locked operation all the same: the label is read after the change is there for everybody, or a
 * CPU that has flushed up to it caches the old entry afterwards.
 */
function* takeBit(cpu: Context, space: Space, place: Place, log: WriteLog): Routine<boolean> {
  const { format } = space;
  const seen = format.decode(yield cpu.load(place.hardware, 'kpop.harvest.seen'), 0);
  if (!log.isNoticed(seen)) return false;
  const { pfn, accessed } = seen;
  const rights = log.by === 'protect' ? { ...seen, write: false } : seen;
  const dirty = log.by === 'protect' && seen.dirty;
  const next = format.leaf({ pfn, level: 0, rights, accessed, dirty });
  yield cpu.exchangeWord(place.hardware, next, 'kpop.harvest.clear');
  return true;
}
