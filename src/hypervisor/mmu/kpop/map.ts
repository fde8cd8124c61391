/**
 * MAP installs an intent and, if the page is resident, its hardware entry; a fill installs the
 * hardware entry of an intent that is already there. Both take one entry lock and no other, and
 * neither ever writes the generation.
 *
 * Steps M1-M5 and the fill of primer/x86.md 6.3 (proposal). Huge intents: huge.ts, map-huge.ts.
 */
import { Status } from '../../../abi/kpop.ts';
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { frameOf } from '../../backing/huge.ts';
import { encode, lockEntry, unlockEntry } from './entry.ts';
import { joinFlush } from './flush.ts';
import { type FillOutcome, fillHuge, partOf } from './huge.ts';
import { allows, install } from './install.ts';
import { decodeIntent, type Intent, validIntent } from './intent.ts';
import { leafOf, protOf } from './leaf.ts';
import type { Space } from './space.ts';
import { makePlace, walk } from './walk.ts';
import { fillFromWindow } from './window.ts';
import { loadReaders } from './write-log.ts';

export type { FillOutcome };

export interface MapElement {
  readonly l2gfn: number;
  readonly l1gfn: number;
  readonly prot: number;
  /** L1's invalidation epoch when it looked its page up. */
  readonly epoch: number;
}

/** Installs one intent; idempotent, and never over a different one. */
export function* kpopMap(cpu: Context, space: Space, element: MapElement): Routine<number> {
  if (!space.reverse.has(element.l1gfn)) return Status.fault;
  const { l2gfn, l1gfn, prot } = element;
  const page = { first: l2gfn, end: l2gfn + 1 };
  cpu.attempt('kpop.place');
  const stop = yield* walk(cpu, space, page);
  if (stop.seen?.state === 'valid') {
    const status = partOf(space, stop.seen, stop.level, element);
    cpu.conclude('kpop.place', status);
    return status;
  }
  const place = stop.level === 0 ? stop.place : yield* makePlace(cpu, space, page, stop);
  cpu.conclude('kpop.place', place?.intent ?? 0);
  if (place === undefined) return yield* kpopMap(cpu, space, element); // a huge intent came
  // M1: the frame with a snapshot of its bucket's sequence; may sleep, holds nothing.
  const seq = num(yield cpu.load(space.reverse.seq(l1gfn), 'kpop.map.seq'));
  const pfn = frameOf(yield* space.l1Memory.find(cpu, l1gfn));
  if (pfn < 0) return Status.fault;
  cpu.attempt('kpop.map');
  for (;;) {
    const intent = yield* lockEntry(cpu, space, place);
    if (intent.state === 'dead') return yield* kpopMap(cpu, space, element); // walk again
    const refusal = refuse(intent, element);
    if (refusal !== undefined) {
      yield* unlockEntry(cpu, space, place, encode(intent));
      return refusal;
    }
    if (intent.payload > num(yield cpu.load(space.doneGen, 'kpop.map.done'))) {
      // The page that was here may still be cached: both would be usable at once.
      yield* unlockEntry(cpu, space, place, encode(intent));
      yield* joinFlush(cpu, space, intent.payload);
      cpu.again('kpop.map');
      continue;
    }
    if (num(yield cpu.load(space.fence(l2gfn), 'kpop.map.fence')) > element.epoch) {
      yield* unlockEntry(cpu, space, place, encode(intent));
      return Status.stale;
    }
    yield* install(cpu, space, place, { l1gfn, prot, pfn, seq });
    yield* unlockEntry(cpu, space, place, validIntent(l1gfn, prot));
    return Status.ok;
  }
}

/** The status with which MAP ends at this intent without changing it. */
export function refuse(intent: Intent, element: MapElement): number | undefined {
  if (intent.state === 'empty') return undefined;
  const same =
    intent.state === 'valid' && intent.payload === element.l1gfn && intent.prot === element.prot;
  return same ? Status.ok : Status.busy;
}

/** Fills the hardware entry of an existing intent: L1 is not involved. */
export function* kpopFill(
  cpu: Context,
  space: Space,
  l2gfn: number,
  needed: number,
): Routine<FillOutcome> {
  const stop = yield* walk(cpu, space, { first: l2gfn, end: l2gfn + 1 });
  if (stop.level > 0) {
    const outcome = yield* fillHuge(cpu, space, l2gfn, needed, stop);
    if (outcome === 'split') return yield* kpopFill(cpu, space, l2gfn, needed);
    if (outcome !== 'ask-owner' || space.windows === undefined) return outcome;
    return yield* fillFromWindow(cpu, space, space.windows, l2gfn, needed);
  }
  const { place } = stop;
  // Without the lock a snapshot, trusted only after the look under the lock below.
  const seen = decodeIntent(num(yield cpu.load(place.intent, 'kpop.fill.intent')));
  if (seen.state === 'dead') return 'retry'; // its table page was removed, or became a huge leaf
  if (seen.state !== 'valid' || !allows(seen, needed)) {
    // No intent permits the access: perhaps a window does.
    if (space.windows === undefined) return 'ask-owner';
    return yield* fillFromWindow(cpu, space, space.windows, l2gfn, needed);
  }
  const l1gfn = seen.payload;
  const seq = num(yield cpu.load(space.reverse.seq(l1gfn), 'kpop.map.seq'));
  const pfn = frameOf(yield* space.l1Memory.find(cpu, l1gfn));
  const intent = yield* lockEntry(cpu, space, place);
  if (intent.state === 'dead') return 'retry';
  const hardware = space.format.decode(yield cpu.load(place.hardware, 'kpop.fill.look'), 0);
  const unchanged = intent.state === 'valid' && intent.payload === l1gfn && pfn >= 0;
  const lacking = needed & ~protOf(hardware);
  if (!unchanged || (hardware.kind === 'leaf' && (lacking === 0 || !allows(intent, needed)))) {
    yield* unlockEntry(cpu, space, place, encode(intent));
    return 'retry'; // somebody else was faster
  }
  if (hardware.kind === 'leaf') {
    // Rights that a PROTECT has added. The entry is in the reverse map, so its frame is L1's still.
    const { log } = space;
    const isLogged = log !== undefined && num(yield loadReaders(cpu, log)) !== 0;
    const wider = isLogged
      ? log.widened(space, hardware, intent.prot, needed)
      : leafOf(space.format, hardware.pfn, intent.prot);
    yield cpu.storeWord(place.hardware, wider, 'kpop.fill.widen');
    yield* unlockEntry(cpu, space, place, encode(intent));
    return 'filled';
  }
  const plan = { l1gfn, prot: intent.prot, pfn, seq, needed };
  const installed = yield* install(cpu, space, place, plan);
  yield* unlockEntry(cpu, space, place, encode(intent));
  return installed ? 'filled' : 'retry';
}
