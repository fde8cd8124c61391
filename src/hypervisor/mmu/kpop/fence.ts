/**
 * Epoch fences: a restrictive call announces L1's epoch before it locks an entry, and a call that
 * gives L2 something is refused under the entry lock if it knows an older one. So a delayed MAP
 * cannot resurrect a page after its UNMAP has returned, nor a delayed PROTECT a right.
 *
 * Source: primer/x86.md 6.2, epoch fence (proposal; there for MAP only).
 */
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import type { PageRange } from '../common.ts';
import { raise } from './flush.ts';
import { FENCE_GROUP, type Space } from './space.ts';

export function* raiseFences(
  cpu: Context,
  space: Space,
  range: PageRange,
  epoch: number,
  label: string,
): Routine<void> {
  for (let gfn = range.first; gfn < range.end; gfn = nextGroup(gfn)) {
    yield* raise(cpu, space.fence(gfn), epoch, label);
  }
}

/** Whether a call with this epoch comes too late for some page of the range. */
export function* isFenced(
  cpu: Context,
  space: Space,
  range: PageRange,
  epoch: number,
  label: string,
): Routine<boolean> {
  for (let gfn = range.first; gfn < range.end; gfn = nextGroup(gfn)) {
    if (num(yield cpu.load(space.fence(gfn), label)) > epoch) return true;
  }
  return false;
}

/** First page of the next group that shares a fence. */
function nextGroup(gfn: number): number {
  return (Math.floor(gfn / FENCE_GROUP) + 1) * FENCE_GROUP;
}
