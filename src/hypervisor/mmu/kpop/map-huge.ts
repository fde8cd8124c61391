/**
 * MAP of a huge intent, and promotion: where smaller intents of the same pages stand already, their
 * table page gives way to one huge intent and one huge leaf.
 *
 * Promotion locks the entry above and then all entries below, ascending. The leaf takes the place
 * of the pointer by one store, dirty from the start: until the flush CPUs may still write through
 * the table that nothing links any more, and D in its entries comes too late. The flush is joined
 * and a grace period is over before the table page is given back.
 *
 * Source: primer/x86.md 6.3, MAP and promote (proposal).
 */
import { MAP_EXACT_ORDER, MAP_PROMOTE, Status } from '../../../abi/kpop.ts';
import { pagesAt } from '../../../machine/format/format.ts';
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { frameOf, levelOf } from '../../backing/huge.ts';
import {
  clearHardware,
  encode,
  lockBelow,
  lockEntry,
  type Place,
  placeAt,
  unlockBelow,
  unlockEntry,
} from './entry.ts';
import { isFenced } from './fence.ts';
import { joinFlush, nextLabel } from './flush.ts';
import { partOf } from './huge.ts';
import { install, type Plan } from './install.ts';
import { deadIntent, type Intent, validIntent } from './intent.ts';
import { type MapElement, refuse } from './map.ts';
import type { Space } from './space.ts';
import { makePlace, walk } from './walk.ts';

export interface HugeElement extends MapElement {
  /** Of the place that is to hold the intent; above 0. */
  readonly level: number;
  /** MAP_* bits. */
  readonly flags: number;
}

/** What was known before the lock. */
interface Known extends Plan {
  /** Whether the host's page behind it is as large. */
  readonly isWhole: boolean;
}

/** Nothing was changed: a label had to be joined first. */
const AGAIN = -1;

/** Installs one huge intent; idempotent, and never over a different one. */
export function* kpopMapHuge(cpu: Context, space: Space, element: HugeElement): Routine<number> {
  const { l2gfn, l1gfn, level, flags } = element;
  const pages = pagesAt(space.format.geometry, level);
  if (!space.reverse.has(l1gfn) || !space.reverse.has(l1gfn + pages - 1)) return Status.fault;
  const range = { first: l2gfn, end: l2gfn + pages };
  const stop = yield* walk(cpu, space, range);
  if (stop.level > level && stop.seen!.state === 'valid') {
    return partOf(space, stop.seen!, stop.level, element);
  }
  const { place } =
    stop.level === level ? stop : { place: yield* makePlace(cpu, space, range, stop, level) };
  if (place === undefined) return yield* kpopMapHuge(cpu, space, element); // a larger one came
  const known = yield* lookUp(cpu, space, element, pages);
  if (known === undefined) return Status.fault;
  if ((flags & MAP_EXACT_ORDER) !== 0 && !known.isWhole) return Status.order;
  cpu.attempt('kpop.map');
  for (;;) {
    const intent = yield* lockEntry(cpu, space, place);
    if (intent.state === 'dead') return yield* kpopMapHuge(cpu, space, element); // walk again
    const status =
      intent.state === 'table'
        ? yield* promote(cpu, space, place, intent, element, known)
        : yield* installHuge(cpu, space, place, intent, element, known);
    if (status !== AGAIN) return status;
    cpu.again('kpop.map');
  }
}

/** M1: the frame of the first page with a snapshot of the sequence of all; holds nothing. */
function* lookUp(
  cpu: Context,
  space: Space,
  { l1gfn, prot, level }: HugeElement,
  pages: number,
): Routine<Known | undefined> {
  const seq = num(yield cpu.load(space.reverse.seq(l1gfn, pages), 'kpop.map.seq'));
  const found = yield* space.l1Memory.find(cpu, l1gfn);
  if (found < 0) return undefined;
  return { l1gfn, prot, pfn: frameOf(found), seq, isWhole: levelOf(found) >= level };
}

/** M2-M5 at a place that no table page hangs below, locked; unlocks it. */
function* installHuge(
  cpu: Context,
  space: Space,
  place: Place,
  intent: Intent,
  element: HugeElement,
  known: Known,
): Routine<number> {
  const status = yield* refusal(cpu, space, intent, element);
  if (status !== undefined) {
    yield* unlockEntry(cpu, space, place, encode(intent));
    if (status !== AGAIN) return status;
    // What was here may still be cached: both would be usable at once.
    yield* joinFlush(cpu, space, intent.payload);
    return AGAIN;
  }
  if (known.isWhole) yield* install(cpu, space, place, known, element.level);
  yield* unlockEntry(cpu, space, place, validIntent(known.l1gfn, known.prot));
  return Status.ok;
}

/** Why a MAP cannot be done at this intent; AGAIN: its label is not finished. */
function* refusal(
  cpu: Context,
  space: Space,
  intent: Intent,
  element: HugeElement,
): Routine<number | undefined> {
  const status = refuse(intent, element);
  if (status !== undefined) return status;
  if (intent.payload > num(yield cpu.load(space.doneGen, 'kpop.map.done'))) return AGAIN;
  return (yield* isFenced(cpu, space, rangeOf(space, element), element.epoch, 'kpop.map.fence'))
    ? Status.stale
    : undefined;
}

function rangeOf(space: Space, { l2gfn, level }: HugeElement): { first: number; end: number } {
  return { first: l2gfn, end: l2gfn + pagesAt(space.format.geometry, level) };
}

/** An entry below the one that is promoted, locked. */
interface Part {
  readonly place: Place;
  readonly intent: Intent;
}

/** The same where a table page hangs: it gives way if all that it says is what is wanted. */
function* promote(
  cpu: Context,
  space: Space,
  place: Place,
  intent: Intent,
  element: HugeElement,
  known: Known,
): Routine<number> {
  const header = intent.payload * 64;
  const parts: Part[] = [];
  const verdict = yield* lockParts(cpu, space, header, element, parts);
  const status = verdict.status ?? (yield* merge(cpu, space, place, parts, element, known));
  if (status !== undefined) {
    for (const part of parts) yield* unlockBelow(cpu, space, part.place, encode(part.intent));
    yield* unlockEntry(cpu, space, place, encode(intent));
    if (status === AGAIN) yield* joinFlush(cpu, space, verdict.label);
    return status;
  }
  const label = yield* clearParts(cpu, space, parts, element);
  // Who finds a part dead walks again and has to find the whole: it comes first, unless one lock
  // keeps everybody out until both are there.
  const isKept = space.scope !== 'entry';
  if (isKept) yield* endParts(cpu, space, parts, label);
  yield* unlockEntry(cpu, space, place, validIntent(known.l1gfn, known.prot));
  if (!isKept) yield* endParts(cpu, space, parts, label);
  yield* joinFlush(cpu, space, label);
  yield* space.grace.defer(cpu, header);
  return Status.ok;
}

/** Locks the entries of a table page as long as they fit; why they do not, if so. */
function* lockParts(
  cpu: Context,
  space: Space,
  header: number,
  element: HugeElement,
  parts: Part[],
): Routine<{ readonly status?: number; readonly label: number }> {
  const span = pagesAt(space.format.geometry, element.level - 1);
  const done = num(yield cpu.load(space.doneGen, 'kpop.promote.done'));
  for (let i = 0; i < 1 << space.format.geometry.indexBits; i++) {
    const place = placeAt(cpu, header, i);
    const intent = yield* lockBelow(cpu, space, place);
    parts.push({ place, intent });
    if (intent.state === 'empty') {
      if (intent.payload > done) return { status: AGAIN, label: intent.payload };
    } else if (!isPart(intent, element, element.l1gfn + i * span)) {
      return { status: Status.busy, label: 0 };
    }
  }
  return { label: 0 };
}

function isPart(intent: Intent, { prot, flags }: HugeElement, l1gfn: number): boolean {
  const mayMerge = (flags & MAP_PROMOTE) !== 0 && intent.state === 'valid';
  return mayMerge && intent.payload === l1gfn && intent.prot === prot;
}

/** The huge leaf instead of the pointer, everything locked; why not, if so. */
function* merge(
  cpu: Context,
  space: Space,
  place: Place,
  _parts: readonly Part[],
  element: HugeElement,
  known: Known,
): Routine<number | undefined> {
  if (!known.isWhole) return Status.order;
  const range = rangeOf(space, element);
  if (yield* isFenced(cpu, space, range, element.epoch, 'kpop.map.fence')) return Status.stale;
  // An invalidation that is under way looks for the parts.
  return (yield* install(cpu, space, place, known, element.level)) ? undefined : Status.order;
}

/** What hardware has below the huge leaf goes; the label that finishes it. */
function* clearParts(
  cpu: Context,
  space: Space,
  parts: readonly Part[],
  { l1gfn, level }: HugeElement,
): Routine<number> {
  const span = pagesAt(space.format.geometry, level - 1);
  const wasLeaf: boolean[] = [];
  for (const [i, part] of parts.entries()) {
    const old = yield* clearHardware(cpu, space, part.place, l1gfn + i * span, level - 1);
    wasLeaf.push(old.kind === 'leaf');
  }
  const label = yield* nextLabel(cpu, space, 'kpop.promote.gen');
  for (const [i, part] of parts.entries()) {
    if (wasLeaf[i] !== true) continue;
    yield* space.reverse.remove(cpu, l1gfn + i * span, part.place, label);
  }
  return label;
}

function* endParts(
  cpu: Context,
  space: Space,
  parts: readonly Part[],
  label: number,
): Routine<void> {
  for (const { place } of parts) yield* unlockBelow(cpu, space, place, deadIntent(label));
}
