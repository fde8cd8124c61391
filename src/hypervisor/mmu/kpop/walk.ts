/**
 * Down the tree of intents to the place of a page, without a lock: what is found is trusted only
 * under the lock of its entry. A dead intent on the way belongs to a table page that was removed
 * meanwhile; the walk begins again at the root.
 */
import { indexAt, pagesAt } from '../../../machine/format/format.ts';
import { zeroFrame } from '../../../machine/instruction.ts';
import { Unit } from '../../../machine/preset/price.ts';
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import type { PageRange } from '../common.ts';
import { encode, lockEntry, type Place, placeAt, unlockEntry } from './entry.ts';
import { joinFlush } from './flush.ts';
import { decodeIntent, type Intent, tableIntent } from './intent.ts';
import { type Space, TableWords } from './space.ts';

/** Where a walk ends, and what it saw there; nothing was looked at if `level` is 0. */
export interface Stop {
  readonly place: Place;
  readonly level: number;
  readonly seen: Intent | undefined;
}

/** What `linkTable` answers where it links nothing: the place is dead, or a huge intent's. */
const DEAD = -1;
const HUGE = -2;

/** Words of a header that name a frame of the table page. */
const FRAMES = [TableWords.at.hardware, TableWords.at.intents, TableWords.at.items];

/**
 * The place of the range's first page: of a leaf; above it where no table is linked, or where a
 * huge intent stands; or of the largest table that serves nothing but pages of the range.
 */
export function walk(cpu: Context, space: Space, range: PageRange): Routine<Stop> {
  return descend(cpu, space, range, space.root, space.format.geometry.levels - 1);
}

/**
 * The place of level `goal` for a range, of a leaf unless given, whose walk ended above it: missing
 * tables are linked; `undefined` if a huge intent was there first.
 */
export function* makePlace(
  cpu: Context,
  space: Space,
  range: PageRange,
  stop: Stop,
  goal = 0,
): Routine<Place | undefined> {
  let { place, level } = stop;
  while (level > goal) {
    const table = yield* linkTable(cpu, space, place, level - 1);
    if (table === HUGE) return undefined;
    const next: Stop =
      table === DEAD
        ? yield* walk(cpu, space, range)
        : yield* descend(cpu, space, range, table, level - 1);
    ({ place, level } = next);
  }
  return place;
}

function* descend(
  cpu: Context,
  space: Space,
  { first, end }: PageRange,
  from: number,
  fromLevel: number,
): Routine<Stop> {
  const { geometry } = space.format;
  let table = from;
  let level = fromLevel;
  for (;;) {
    cpu.spend(Unit.levelWalked, 1);
    const place = placeAt(cpu, table, indexAt(geometry, first, level));
    if (level === 0) return { place, level, seen: undefined };
    const seen = decodeIntent(num(yield cpu.load(place.intent, 'kpop.walk.look')));
    if (seen.state === 'dead') {
      table = space.root;
      level = geometry.levels - 1;
      continue;
    }
    const span = pagesAt(geometry, level);
    const isWhole = first % span === 0 && first + span <= end;
    if (seen.state !== 'table' || isWhole) return { place, level, seen };
    table = seen.payload * 64;
    level--;
  }
}

/** Links a new table page at an empty place, or finds the one that somebody else linked. */
function* linkTable(cpu: Context, space: Space, place: Place, level: number): Routine<number> {
  cpu.attempt('kpop.new-table');
  const table = yield* newTable(cpu, space, place, level); // allocation comes before the lock
  cpu.conclude('kpop.new-table', table);
  cpu.attempt('kpop.link');
  for (;;) {
    const intent = yield* lockEntry(cpu, space, place);
    if (intent.state === 'dead') {
      discardTable(cpu, space, table);
      return DEAD;
    }
    if (intent.state !== 'empty') {
      yield* unlockEntry(cpu, space, place, encode(intent));
      discardTable(cpu, space, table);
      return intent.state === 'table' ? intent.payload * 64 : HUGE;
    }
    // An earlier change here may still be cached by a CPU: join its flush before anything is
    // linked.
    if (intent.payload > num(yield cpu.load(space.doneGen, 'kpop.link.done'))) {
      yield* unlockEntry(cpu, space, place, encode(intent));
      yield* joinFlush(cpu, space, intent.payload);
      cpu.again('kpop.link');
      continue;
    }
    const hardware = cpu.read(table + TableWords.at.hardware);
    yield cpu.storeWord(place.hardware, space.format.table(hardware), 'kpop.link.hardware');
    yield* unlockEntry(cpu, space, place, tableIntent(table));
    return table;
  }
}

/** A table page of `level` for a place, that nothing links yet; its words are zero. */
export function* newTable(
  cpu: Context,
  space: Space,
  above: Place,
  level: number,
): Routine<number> {
  if (space.rcu?.hasWaiting(cpu)) yield* space.rcu.advance(cpu, 'try');
  const header = yield* space.headers.take(cpu);
  for (const frameAt of FRAMES) {
    const frame = yield* space.platform.frames.take(cpu);
    yield zeroFrame(cpu, frame, 'kpop.table.zero');
    cpu.write(header + frameAt, frame);
  }
  cpu.write(header + TableWords.at.level, level);
  if (space.log !== undefined) {
    const span = pagesAt(space.format.geometry, level + 1);
    const first = cpu.read(above.table + TableWords.at.first) + above.index * span;
    cpu.write(header + TableWords.at.first, first);
  }
  return header;
}

/** Gives a table page back; nobody can be looking at it. */
export function discardTable(cpu: Context, space: Space, header: number): void {
  for (const frameAt of FRAMES) {
    space.platform.frames.give(cpu, cpu.read(header + frameAt));
    cpu.write(header + frameAt, 0);
  }
  cpu.write(header + TableWords.at.level, 0);
  space.headers.give(cpu, header);
}
