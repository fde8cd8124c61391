/**
 * Windows: intents in bulk that L0 makes real page by page, at the first touch.
 *
 * A fill under a window and a call that takes pages out of it are a store/load pair: the fill locks
 * the entry and then looks whether the array is the one that it read; the other publishes its
 * array, and then looks at entries, waiting for locks. Either the fill sees the new array and does
 * nothing, or the other meets it and takes the page away. So nothing that a window gave outlives
 * the return of the UNMAP (K15).
 *
 * A window is opened in two steps, because its call may be older than an UNMAP that has returned:
 * it is put in the array without effect, then the fences are looked at, then it takes effect. An
 * UNMAP raises its fence before it looks at the array, and takes out what is being opened as well.
 *
 * Source: primer/x86.md 6.3, windows (proposal; there without a fence, which K8 needs).
 */
import { Status } from '../../../abi/kpop.ts';
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { frameOf } from '../../backing/huge.ts';
import type { PageRange } from '../common.ts';
import { encode, lockEntry, unlockEntry } from './entry.ts';
import { isFenced } from './fence.ts';
import { joinFlush } from './flush.ts';
import type { FillOutcome } from './huge.ts';
import { allows, install } from './install.ts';
import { validIntent } from './intent.ts';
import type { Space } from './space.ts';
import { makePlace, walk } from './walk.ts';
import type { WindowArray } from './window-array.ts';
import { narrowed, opened, type Window, withoutOpener, withWindow } from './window-plan.ts';

export interface WindowElement extends PageRange {
  readonly l1gfn: number;
  readonly prot: number;
  /** L1's invalidation epoch when it decided so. */
  readonly epoch: number;
}

/** Opens a window; its status. */
export function* openWindow(
  cpu: Context,
  space: Space,
  windows: WindowArray,
  { first, end, l1gfn, prot, epoch }: WindowElement,
): Routine<number> {
  const { reverse } = space;
  if (!reverse.has(l1gfn) || !reverse.has(l1gfn + (end - first) - 1)) return Status.fault;
  const window: Window = { first, end, l1gfn, prot, opener: cpu.seat + 1 };
  if ((yield* windows.replace(cpu, (all) => withWindow(all, window))) === 'busy') {
    return Status.busy;
  }
  const isLate = yield* isFenced(cpu, space, window, epoch, 'kpop.window.epoch');
  const failed = isLate ? 'stale' : yield* windows.replace(cpu, (all) => opened(all, window));
  if (failed === undefined) return Status.ok;
  yield* windows.replace(cpu, (all) => withoutOpener(all, window.opener));
  return Status.stale;
}

/**
 * Windows leave the pages of the ranges no more than these rights; false, and nothing is changed,
 * if that would make too many of them.
 */
export function* narrowWindows(
  cpu: Context,
  { windows }: Space,
  ranges: readonly PageRange[],
  prot: number,
): Routine<boolean> {
  if (windows === undefined) return true;
  return (yield* windows.replace(cpu, (all) => narrowed(all, ranges, prot))) === undefined;
}

/** Makes an intent of what a window says of a page, where there is none, and fills it. */
export function* fillFromWindow(
  cpu: Context,
  space: Space,
  windows: WindowArray,
  l2gfn: number,
  needed: number,
): Routine<FillOutcome> {
  const array = num(yield cpu.load(windows.current, 'kpop.window.look'));
  const window = array === 0 ? undefined : windows.find(cpu, array, l2gfn);
  if (window === undefined || window.opener !== 0) return 'ask-owner';
  const { prot } = window;
  if ((prot & needed) !== needed) return 'ask-owner';
  const l1gfn = window.l1gfn + (l2gfn - window.first);
  const page = { first: l2gfn, end: l2gfn + 1 };
  const stop = yield* walk(cpu, space, page);
  const place = stop.level === 0 ? stop.place : yield* makePlace(cpu, space, page, stop);
  if (place === undefined) return 'ask-owner'; // a huge intent is there, and forbids this
  const seq = num(yield cpu.load(space.reverse.seq(l1gfn), 'kpop.map.seq'));
  const pfn = frameOf(yield* space.l1Memory.find(cpu, l1gfn));
  if (pfn < 0) return 'ask-owner';
  const intent = yield* lockEntry(cpu, space, place);
  if (intent.state === 'dead') return 'retry';
  if (intent.state !== 'empty') {
    yield* unlockEntry(cpu, space, place, encode(intent));
    return allows(intent, needed) ? 'retry' : 'ask-owner';
  }
  if (intent.payload > num(yield cpu.load(space.doneGen, 'kpop.window.done'))) {
    // The page that was here may still be cached: both would be usable at once.
    yield* unlockEntry(cpu, space, place, encode(intent));
    yield* joinFlush(cpu, space, intent.payload);
    return 'retry';
  }
  if (num(yield cpu.load(windows.current, 'kpop.window.recheck')) !== array) {
    yield* unlockEntry(cpu, space, place, encode(intent));
    return 'retry';
  }
  const installed = yield* install(cpu, space, place, { l1gfn, prot, pfn, seq, needed });
  yield* unlockEntry(cpu, space, place, validIntent(l1gfn, prot));
  return installed ? 'filled' : 'retry';
}
