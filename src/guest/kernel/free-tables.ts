/**
 * Page tables that serve no area any more, after an unmapping: their links are emptied at once, and
 * their frames go back once nobody can walk through them.
 *
 * Source: Linux 6.12 free_pgd_range (mm/memory.c) with its floor and ceiling; facts. Done under the
 * lock of the space, which faults hold for reading: nobody fills a table that goes.
 */
import { pagesAt } from '../../machine/format/format.ts';
import type { GuestContext } from '../../machine/guest.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Area, Process } from '../common/process.ts';
import type { GuestKernel } from './kernel.ts';

interface Subtree {
  readonly table: number;
  readonly level: number;
}

/**
 * Unlinks tables all of whose pages lie in the hole [floor, ceiling) and some of whose pages are of
 * `range`; their frames.
 */
export function* unlinkTables(
  kernel: GuestKernel,
  cpu: GuestContext,
  process: Process,
  range: Area,
  hole: Area,
): Routine<number[]> {
  const frames: number[] = [];
  const top = { table: process.root, level: kernel.format.geometry.levels - 1 };
  yield* unlinkBelow(kernel, cpu, top, range, hole, frames);
  return frames;
}

function* unlinkBelow(
  kernel: GuestKernel,
  cpu: GuestContext,
  { table, level }: Subtree,
  range: Area,
  hole: Area,
  frames: number[],
): Routine<void> {
  const { format } = kernel;
  const span = pagesAt(format.geometry, level);
  for (let page = range.first; page < range.end; page = (Math.floor(page / span) + 1) * span) {
    const at = kernel.slot(table, page, level);
    const seen = format.decode(yield cpu.load(at, 'kernel.tables.look'), level);
    if (seen.kind !== 'table') continue;
    const first = Math.floor(page / span) * span;
    const end = first + span;
    const part = { first: Math.max(first, range.first), end: Math.min(end, range.end) };
    if (level > 1) {
      yield* unlinkBelow(kernel, cpu, { table: seen.pfn, level: level - 1 }, part, hole, frames);
    }
    if (first < hole.first || end > hole.end) continue;
    yield cpu.storeWord(at, format.empty, 'kernel.tables.unlink');
    frames.push(seen.pfn);
  }
}
