/**
 * DIRTY as a call: one range in the argument page, which the bits of the answer replace. The page
 * is looked up again before they are written: the host may have moved it.
 */
import {
  FLAG_MORE,
  LIST_ELEMENT_BYTES,
  LIST_HEADER_BYTES,
  ListHeader,
  packAnswer,
  Status,
} from '../../abi/kpop.ts';
import { DIRTY_CALL, DIRTY_LIMIT, DIRTY_PER_WORD, DirtyMode } from '../../abi/kpop-dirty.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { Event } from '../../runtime/trace.ts';
import { frameOf } from '../backing/huge.ts';
import { retire } from '../emulate.ts';
import type { PageRange } from '../mmu/common.ts';
import { dirtyCollect, dirtyOff, dirtyOn, isLogging } from '../mmu/kpop/dirty.ts';
import { joinFlush } from '../mmu/kpop/flush.ts';
import { loadDying } from '../mmu/kpop/teardown.ts';
import type { WriteLog } from '../mmu/kpop/write-log.ts';
import type { Vcpu } from '../vcpu.ts';
import type { KpopVm } from './vm.ts';

/** DIRTY of the argument page at L1's address `page`; `log`: where it is kept. */
export function* dirtyCall(
  cpu: Context,
  v: Vcpu,
  vm: KpopVm,
  log: WriteLog,
  page: number,
): Routine<void> {
  cpu.note(Event.hypercall, DIRTY_CALL, 0);
  yield* retire(cpu, v, yield* answer(cpu, vm, log, page));
}

function* answer(cpu: Context, vm: KpopVm, log: WriteLog, page: number): Routine<number> {
  const { space } = vm;
  if (page % FRAME_BYTES !== 0) return Status.invalid;
  if (num(yield loadDying(cpu, space)) !== 0) return Status.stale;
  const at = yield* addressOf(cpu, vm, page);
  if (at < 0) return Status.fault;
  const flags = cpu.read(at + ListHeader.flags);
  const join = cpu.read(at + ListHeader.join);
  const range = rangeAt(cpu, vm, at);
  const isLast = (flags & FLAG_MORE) === 0;
  switch (flags - (isLast ? 0 : FLAG_MORE)) {
    case DirtyMode.on:
      if (range === undefined) return Status.invalid;
      return yield* begin(cpu, vm, log, range, { join, isLast });
    case DirtyMode.off:
      yield* dirtyOff(cpu, log);
      return Status.ok;
    case DirtyMode.collect:
      if (range === undefined || !isLast || !(yield* isLogging(cpu, log))) return Status.invalid;
      return yield* collect(cpu, vm, log, range, page);
    default:
      return Status.invalid;
  }
}

/** ON of a range, which may be one of a series as UNMAP has them: one flush for all. */
function* begin(
  cpu: Context,
  { space }: KpopVm,
  log: WriteLog,
  range: PageRange,
  { join, isLast }: { readonly join: number; readonly isLast: boolean },
): Routine<number> {
  if (!(join >= 0) || join > num(yield cpu.load(space.gen, 'kpop.call.gen')) + 1) {
    return Status.invalid;
  }
  const label = Math.max(join, yield* dirtyOn(cpu, space, log, range));
  if (!isLast) return packAnswer(Status.ok, label);
  yield* joinFlush(cpu, space, label);
  return Status.ok;
}

function* collect(
  cpu: Context,
  vm: KpopVm,
  log: WriteLog,
  range: PageRange,
  page: number,
): Routine<number> {
  const pages = yield* dirtyCollect(cpu, vm.space, log, range);
  const into = yield* addressOf(cpu, vm, page);
  if (into < 0) {
    // Nobody will see the bits: they are the next call's.
    yield* log.putBack(cpu, pages);
    return Status.fault;
  }
  const words = new Array<number>(Math.ceil((range.end - range.first) / DIRTY_PER_WORD)).fill(0);
  for (const gfn of pages) {
    const bit = gfn - range.first;
    words[Math.floor(bit / DIRTY_PER_WORD)]! += 2 ** (bit % DIRTY_PER_WORD);
  }
  for (const [i, word] of words.entries()) cpu.write(into + i * 8, word);
  return packAnswer(Status.ok, pages.length);
}

/** The one element of the list; `undefined` if L2 has no such pages, or they are too many. */
function rangeAt(cpu: Context, { l2Pages }: KpopVm, at: number): PageRange | undefined {
  if (cpu.read(at + ListHeader.count) !== 1) return undefined;
  const first = cpu.read(at + LIST_HEADER_BYTES);
  const count = cpu.read(at + LIST_HEADER_BYTES + LIST_ELEMENT_BYTES / 2);
  const isInside = count >= 1 && count <= DIRTY_LIMIT && first + count <= l2Pages;
  return isInside ? { first, end: first + count } : undefined;
}

/** Where a page of L1 lies now; -1 if it is none. */
function* addressOf(cpu: Context, { space }: KpopVm, page: number): Routine<number> {
  const frame = frameOf(yield* space.l1Memory.find(cpu, page / FRAME_BYTES));
  return frame < 0 ? -1 : frame * FRAME_BYTES;
}
