/**
 * One entry of a KPOP table page: finding it, locking it, and reading what it is. With `lock=entry`
 * the lock is one bit of the intent word, taken by compare-and-swap and never held across sleep,
 * flush or allocation; the other scopes take one spinlock instead and show what that costs.
 */
import type { Entry } from '../../../machine/format/format.ts';
import { indexAt } from '../../../machine/format/format.ts';
import { zeroFrame } from '../../../machine/instruction.ts';
import { Unit } from '../../../machine/preset/price.ts';
import { num, type Routine, won } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { Event } from '../../../runtime/trace.ts';
import { lockClass } from '../../../sync/lock-class.ts';
import { lock, unlock } from '../../../sync/spinlock.ts';
import { joinFlush } from './flush.ts';
import { decodeIntent, type Intent, isLocked, LOCKED, tableIntent } from './intent.ts';
import { type Space, TableWords } from './space.ts';

const FRAME_BYTES = 4096;
const CLASS = lockClass('kpop.entry');
/** Words of a header that name a frame of the table page. */
const FRAMES = [TableWords.at.hardware, TableWords.at.intents, TableWords.at.items];

/** A place for one page: the words of its intent and its hardware entry, and its table page. */
export interface Place {
  readonly table: number;
  readonly index: number;
  readonly intent: number;
  readonly hardware: number;
  /** The word that links this entry into the reverse map. */
  readonly item: number;
}

export function placeAt(cpu: Context, table: number, index: number): Place {
  return {
    table,
    index,
    intent: cpu.read(table + TableWords.at.intents) * FRAME_BYTES + index * 8,
    hardware: cpu.read(table + TableWords.at.hardware) * FRAME_BYTES + index * 8,
    item: cpu.read(table + TableWords.at.items) * FRAME_BYTES + index * 8,
  };
}

/** The leaf place of a page; with `make` missing tables are linked, else `undefined` if one is. */
export function* findPlace(
  cpu: Context,
  space: Space,
  gfn: number,
  missing: 'make' | 'stop',
): Routine<Place | undefined> {
  const { geometry } = space.format;
  let table = space.root;
  for (let level = geometry.levels - 1; level > 0; level--) {
    cpu.spend(Unit.levelWalked, 1);
    const place = placeAt(cpu, table, indexAt(geometry, gfn, level));
    const intent = decodeIntent(num(yield cpu.load(place.intent, 'kpop.walk.look')));
    if (intent.state === 'table') {
      table = intent.payload * 64;
      continue;
    }
    if (missing === 'stop') return undefined;
    table = yield* linkTable(cpu, space, place, level - 1);
  }
  cpu.spend(Unit.levelWalked, 1);
  return placeAt(cpu, table, indexAt(geometry, gfn, 0));
}

/** Links a new table page at an empty place, or finds the one that somebody else linked. */
function* linkTable(cpu: Context, space: Space, place: Place, level: number): Routine<number> {
  const table = yield* newTable(cpu, space, level); // allocation comes before the lock
  cpu.attempt('kpop.link');
  for (;;) {
    const intent = yield* lockEntry(cpu, space, place);
    if (intent.state === 'table') {
      yield* unlockEntry(cpu, space, place, tableIntent(intent.payload * 64));
      discardTable(cpu, space, table);
      return intent.payload * 64;
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

function* newTable(cpu: Context, space: Space, level: number): Routine<number> {
  const header = yield* space.headers.take(cpu);
  for (const frameAt of FRAMES) {
    const frame = yield* space.platform.frames.take(cpu);
    yield zeroFrame(cpu, frame, 'kpop.table.zero');
    cpu.write(header + frameAt, frame);
  }
  cpu.write(header + TableWords.at.level, level);
  return header;
}

function discardTable(cpu: Context, space: Space, header: number): void {
  for (const frameAt of FRAMES) {
    space.platform.frames.give(cpu, cpu.read(header + frameAt));
    cpu.write(header + frameAt, 0);
  }
  cpu.write(header + TableWords.at.level, 0);
  space.headers.give(cpu, header);
}

/** Locks the place and returns its intent as it is under the lock. */
export function* lockEntry(cpu: Context, space: Space, place: Place): Routine<Intent> {
  if (space.scope !== 'entry') {
    yield* lock(cpu, space.lock, 'kpop.scope.lock');
    return decodeIntent(num(yield cpu.load(place.intent, 'kpop.entry.look')));
  }
  cpu.note(Event.want, CLASS, 0);
  let free = true;
  cpu.attempt('kpop.entry.lock');
  for (;;) {
    const seen = num(yield cpu.load(place.intent, 'kpop.entry.look'));
    if (isLocked(seen)) {
      free = false;
      yield cpu.wait([place.intent], () => !isLocked(cpu.peek(place.intent)), 'kpop.entry.wait');
      cpu.again('kpop.entry.lock');
      continue;
    }
    if (won(yield cpu.cas(place.intent, seen, seen + LOCKED, 'kpop.entry.lock'))) {
      cpu.note(Event.acquire, CLASS, free ? 0 : 1);
      return decodeIntent(seen);
    }
    cpu.again('kpop.entry.lock');
  }
}

/** Publishes the intent and drops the lock: one store with release order. */
export function* unlockEntry(
  cpu: Context,
  space: Space,
  place: Place,
  intent: number,
): Routine<void> {
  if (space.scope === 'entry') cpu.note(Event.release, CLASS, 0);
  yield cpu.store(place.intent, intent, 'kpop.entry.unlock');
  if (space.scope !== 'entry') yield* unlock(cpu, space.lock, 'kpop.scope.unlock');
}

/** The word of an unlocked intent. */
export function encode(intent: Intent): number {
  const states = { empty: 0, valid: 1, table: 2, dead: 3 } as const;
  return intent.payload * 64 + intent.prot * 8 + states[intent.state] * 2;
}

/** Takes the hardware entry away; what it was, so that its accessed and dirty bits count. */
export function* clearHardware(cpu: Context, space: Space, place: Place): Routine<Entry> {
  const { format } = space;
  return format.decode(yield cpu.exchangeWord(place.hardware, format.empty, 'kpop.entry.clear'), 0);
}
