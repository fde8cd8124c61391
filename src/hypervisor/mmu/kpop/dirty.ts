/**
 * DIRTY: L1 asks which pages of L2 were written to; and the host asks the same of pages of L1.
 * Either harvests for both, so each has its own bits and takes them when it likes.
 *
 * ON: the flag first, then all that was written to so far is forgotten (by the one that begins),
 * and huge leaves are split, so that bits speak for 4 KiB. COLLECT: harvest, take the bits, flush,
 * and only then return: a CPU that still has an entry cached with D set wrote before the return, to
 * a page that is named. Under PML the flush makes every CPU that runs L2 empty its list; what
 * was in it is named now, keeps its D, and is named once more by the next COLLECT.
 *
 * Source: primer/x86.md 6.5, dirty log (proposal). Differs: bits are taken before the flush, since
 * one of them may be of another harvest, which is still flushing (docs/found.md); one flush under
 * PML too.
 */
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import type { PageRange } from '../common.ts';
import { joinFlush, nextLabel } from './flush.ts';
import { type Harvest, harvestAll, harvestListed } from './harvest.ts';
import type { Space } from './space.ts';
import { ALL_READ, HOST_READS, L1_READS, type WriteLog } from './write-log.ts';

/**
 * Every write of L2 to the range after the flush with the label is in L1's log. What `end` has
 * begun is for the whole address space: the pages of no range are noticed too, by and by.
 */
export function* dirtyOn(
  cpu: Context,
  space: Space,
  log: WriteLog,
  range: PageRange,
): Routine<number> {
  yield cpu.or(log.readers, L1_READS, 'kpop.log.on');
  yield* log.ofL2.take(cpu, range, 'kpop.log.forget');
  return yield* harvestAll(cpu, space, { log, range, readers: HOST_READS });
}

export function* dirtyOff(cpu: Context, log: WriteLog): Routine<void> {
  yield cpu.and(log.readers, ~L1_READS, -1, 'kpop.log.off');
}

/** Pages of the range written to since they were named last, ascending; a few perhaps again. */
export function* dirtyCollect(
  cpu: Context,
  space: Space,
  log: WriteLog,
  range: PageRange,
): Routine<readonly number[]> {
  const label = yield* harvest(cpu, space, { log, range, readers: ALL_READ });
  yield* log.awaitRemovals(cpu);
  const pages = yield* log.ofL2.take(cpu, range, 'kpop.log.take');
  yield* flushTaken(cpu, space, pages, label);
  if (log.listed === undefined) return pages;
  const late = yield* log.listed.look(cpu, range);
  return [...new Set([...pages, ...late])].sort((a, b) => a - b);
}

function harvest(cpu: Context, space: Space, what: Harvest): Routine<number> {
  return what.log.by === 'pml' ? harvestListed(cpu, space, what) : harvestAll(cpu, space, what);
}

/** The host begins to log what L2 writes to pages of L1. */
export function* hostLogOn(cpu: Context, space: Space, log: WriteLog): Routine<void> {
  const range = { first: 0, end: log.l2Pages };
  yield cpu.or(log.readers, HOST_READS, 'kpop.host-log.on');
  yield* log.ofL1.take(cpu, { first: 0, end: log.l1Pages }, 'kpop.host-log.forget');
  const label = yield* harvestAll(cpu, space, { log, range, readers: L1_READS });
  yield* joinFlush(cpu, space, label);
}

/**
 * Pages of L1 that L2 has written to since the host asked last. What CPUs have listed by PML and
 * not given away yet is named the next time, as in the host's log of any VM.
 */
export function* hostLogCollect(
  cpu: Context,
  space: Space,
  log: WriteLog,
): Routine<readonly number[]> {
  const range = { first: 0, end: log.l2Pages };
  const label = yield* harvest(cpu, space, { log, range, readers: ALL_READ });
  yield* log.awaitRemovals(cpu);
  const all = { first: 0, end: log.l1Pages };
  const pages = yield* log.ofL1.take(cpu, all, 'kpop.host-log.take');
  yield* flushTaken(cpu, space, pages, label);
  return pages;
}

/** A flush that began after the bits were taken ends every write that they speak of. */
function* flushTaken(
  cpu: Context,
  space: Space,
  pages: readonly number[],
  label: number,
): Routine<void> {
  const own = pages.length === 0 ? 0 : yield* nextLabel(cpu, space);
  yield* joinFlush(cpu, space, Math.max(label, own));
}

export function* isLogging(cpu: Context, log: WriteLog): Routine<boolean> {
  return (num(yield cpu.load(log.readers, 'kpop.log.state')) & L1_READS) !== 0;
}
