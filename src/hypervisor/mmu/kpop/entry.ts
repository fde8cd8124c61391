/**
 * One entry of a KPOP table page: locking it, and reading what it is. With `lock=entry` the lock is
 * one bit of the intent word, taken by compare-and-swap and never held across sleep, flush or
 * allocation; the other scopes take one spinlock instead and show what that costs.
 */
import type { Entry } from '../../../machine/format/format.ts';
import { FRAME_BYTES } from '../../../machine/memory.ts';
import { num, type Routine, won } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { Event } from '../../../runtime/trace.ts';
import { lockClass } from '../../../sync/lock-class.ts';
import { lock, unlock } from '../../../sync/spinlock.ts';
import { decodeIntent, type Intent, isDead, isLocked, LOCKED } from './intent.ts';
import { noteWrites } from './note-writes.ts';
import { type Space, TableWords } from './space.ts';

const CLASS = lockClass('kpop.entry');
/** Whether a lock is told to who counts locks: one below another that is held is a part of it. */
type Told = 'told' | 'part';

/**
 * A place for one page, or for the pages of one huge intent, by the level of its table page: the
 * words of its intent and its hardware entry, and its table page.
 */
export interface Place {
  readonly table: number;
  readonly index: number;
  readonly intent: number;
  readonly hardware: number;
  /** The word that links this entry into the reverse map. */
  readonly item: number;
}

/** Frames of the table page looked at last, as its header names them, consumed on the spot. */
const frames = new Float64Array(3);

export function placeAt(cpu: Context, table: number, index: number): Place {
  cpu.readRun(table + TableWords.at.hardware, frames);
  return {
    table,
    index,
    hardware: frames[0]! * FRAME_BYTES + index * 8,
    intent: frames[1]! * FRAME_BYTES + index * 8,
    item: frames[2]! * FRAME_BYTES + index * 8,
  };
}

/**
 * Locks the place and returns its intent as it is under the lock; a dead one is not locked, for it
 * never changes again.
 */
export function* lockEntry(
  cpu: Context,
  space: Space,
  place: Place,
  told: Told = 'told',
): Routine<Intent> {
  if (space.scope !== 'entry') {
    yield* lock(cpu, space.lock, 'kpop.scope.lock');
    const intent = decodeIntent(num(yield cpu.load(place.intent, 'kpop.entry.look')));
    if (intent.state === 'dead') yield* unlock(cpu, space.lock, 'kpop.scope.unlock');
    return intent;
  }
  if (told === 'told') cpu.note(Event.want, CLASS, 0);
  let free = true;
  cpu.attempt('kpop.entry.locked');
  for (;;) {
    const seen = num(yield cpu.load(place.intent, 'kpop.entry.look'));
    if (isDead(seen)) return decodeIntent(seen);
    if (isLocked(seen)) {
      free = false;
      yield cpu.wait([place.intent], () => !isLocked(cpu.peek(place.intent)), 'kpop.entry.locked');
      cpu.again('kpop.entry.locked');
      continue;
    }
    if (won(yield cpu.cas(place.intent, seen, seen + LOCKED, 'kpop.entry.locked'))) {
      if (told === 'told') cpu.note(Event.acquire, CLASS, free ? 0 : 1);
      return decodeIntent(seen);
    }
    cpu.again('kpop.entry.locked');
  }
}

/** Publishes the intent and drops the lock: one store with release order. */
export function* unlockEntry(
  cpu: Context,
  space: Space,
  place: Place,
  intent: number,
  told: Told = 'told',
): Routine<void> {
  if (space.scope === 'entry' && told === 'told') cpu.note(Event.release, CLASS, 0);
  yield cpu.store(place.intent, intent, 'kpop.entry.unlock');
  if (space.scope !== 'entry') yield* unlock(cpu, space.lock, 'kpop.scope.unlock');
}

/** The word of an unlocked intent. */
export function encode(intent: Intent): number {
  const states = { empty: 0, valid: 1, table: 2, dead: 3 } as const;
  return intent.payload * 64 + intent.prot * 8 + states[intent.state] * 2;
}

/**
 * Takes the hardware entry away and notes what it alone knew: that its pages, the L1 pages from
 * `l1gfn` on, were written to. What it was. The entry is locked.
 */
export function* clearHardware(
  cpu: Context,
  space: Space,
  place: Place,
  l1gfn: number,
  level = 0,
): Routine<Entry> {
  const { format } = space;
  const old = format.decode(
    yield cpu.exchangeWord(place.hardware, format.empty, 'kpop.entry.clear'),
    level,
  );
  if (space.notesDirty && old.kind === 'leaf' && old.dirty) {
    yield* space.l1Memory.markDirty(cpu, l1gfn, level);
  }
  if (space.log?.isNoticed(old) === true) yield* noteWrites(cpu, space, place, l1gfn, level);
  return old;
}

/**
 * Locks an entry below one that the caller has locked: where one lock serves all entries, it holds
 * that already. The intent; a dead one is not locked.
 */
export function* lockBelow(cpu: Context, space: Space, place: Place): Routine<Intent> {
  if (space.scope === 'entry') return yield* lockEntry(cpu, space, place, 'part');
  return decodeIntent(num(yield cpu.load(place.intent, 'kpop.entry.look')));
}

export function* unlockBelow(
  cpu: Context,
  space: Space,
  place: Place,
  intent: number,
): Routine<void> {
  if (space.scope === 'entry') yield* unlockEntry(cpu, space, place, intent, 'part');
  else yield cpu.store(place.intent, intent, 'kpop.part.unlock');
}

/**
 * The label of a place above the leaf tables that was seen empty, without its lock; -1 if it is
 * empty no more. Somebody may hold the lock and be about to put a huge intent there, having looked
 * at the fence before it was raised: then that is waited for.
 */
export function* emptyLabel(
  cpu: Context,
  space: Space,
  place: Place,
  seen: Intent,
): Routine<number> {
  if (space.scope === 'entry' && !seen.locked) return seen.payload;
  const intent = yield* lockEntry(cpu, space, place);
  if (intent.state === 'dead') return -1;
  yield* unlockEntry(cpu, space, place, encode(intent));
  return intent.state === 'empty' ? intent.payload : -1;
}
