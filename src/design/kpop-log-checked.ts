/**
 * Who reads logs of what L2 writes, under exploration: L1, which copies all pages once its log is
 * on and after each COLLECT those that it names; and the host, which does the same with the pages
 * of L1. Copies and what was missed are words, for promises to look at.
 */
import { defect } from '../base/assert.ts';
import type { PageRange } from '../hypervisor/mmu/common.ts';
import {
  dirtyCollect,
  dirtyOff,
  dirtyOn,
  hostLogCollect,
  hostLogOn,
} from '../hypervisor/mmu/kpop/dirty.ts';
import { joinFlush } from '../hypervisor/mmu/kpop/flush.ts';
import type { Space } from '../hypervisor/mmu/kpop/space.ts';
import type { WriteLog } from '../hypervisor/mmu/kpop/write-log.ts';
import { FRAME_BYTES } from '../machine/memory.ts';
import { num, type Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import type { Operation } from './system.ts';

/** Words of what the readers have, one per page. */
export interface Copies {
  /** L1's copy of a page of L2, which lies on the page of L1 of the same number. */
  ofL2(page: number): number;
  /** The host's copy of a page of L1. */
  ofL1(page: number): number;
  /** 1 once a page was written to before a COLLECT and not named by it. */
  missed(page: number): number;
  /** Words: 1 while L1, or the host, counts on its log. */
  readonly l1Reads: number;
  readonly hostReads: number;
}

export function copiesOf({ platform, log }: Space): Copies | undefined {
  if (log === undefined) return undefined;
  const { arena } = platform;
  const [l2, missed] = [arena.take(log.l2Pages * 8), arena.take(log.l2Pages * 8)];
  const l1 = arena.take(log.l1Pages * 8);
  return {
    ofL2: (page) => l2 + page * 8,
    ofL1: (page) => l1 + page * 8,
    missed: (page) => missed + page * 8,
    l1Reads: arena.take(8),
    hostReads: arena.take(8),
  };
}

/** Operations of both readers; `isStrict`: whether COLLECT is to name all that came before it. */
export function logOperations(
  space: Space,
  copies: Copies | undefined,
  isStrict: () => boolean,
): Record<string, Operation> {
  const given = (): { log: WriteLog; to: Copies } => {
    const { log } = space;
    if (log === undefined || copies === undefined) return defect('logOperations', 'no log');
    return { log, to: copies };
  };
  return {
    *'log-start'(cpu, range): Routine<void> {
      const { log, to } = given();
      yield* joinFlush(cpu, space, yield* dirtyOn(cpu, space, log, range));
      for (let page = range.first; page < range.end; page++) {
        yield* copyPage(cpu, space, page, to.ofL2(page));
      }
      yield cpu.store(to.l1Reads, 1, 'copy.reads');
    },
    *'log-harvest'(cpu, range): Routine<void> {
      const { log, to } = given();
      const before = isStrict() ? yield* writtenTo(cpu, space, range, to) : [];
      const pages = yield* dirtyCollect(cpu, space, log, range);
      for (const page of pages) yield* copyPage(cpu, space, page, to.ofL2(page));
      for (const page of before) {
        if (!pages.includes(page)) yield cpu.store(to.missed(page), 1, 'copy.missed');
      }
    },
    *'log-stop'(cpu): Routine<void> {
      const { log, to } = given();
      yield cpu.store(to.l1Reads, 0, 'copy.reads');
      yield* dirtyOff(cpu, log);
    },
    *'host-log-start'(cpu): Routine<void> {
      const { log, to } = given();
      yield* hostLogOn(cpu, space, log);
      for (let l1gfn = 0; l1gfn < log.l1Pages; l1gfn++) {
        yield* copyPage(cpu, space, l1gfn, to.ofL1(l1gfn));
      }
      yield cpu.store(to.hostReads, 1, 'copy.reads');
    },
    *'host-log-harvest'(cpu): Routine<void> {
      const { log, to } = given();
      for (const l1gfn of yield* hostLogCollect(cpu, space, log)) {
        yield* copyPage(cpu, space, l1gfn, to.ofL1(l1gfn));
      }
    },
  };
}

/** A page that is not resident has never been written to. */
function* copyPage(cpu: Context, space: Space, l1gfn: number, into: number): Routine<void> {
  cpu.attempt('copy');
  const frame = yield* space.l1Memory.resident(cpu, l1gfn);
  if (frame >= 0) {
    const content = num(yield cpu.load(frame * FRAME_BYTES, 'copy.read'));
    yield cpu.store(into, content, 'copy.write');
  }
  cpu.conclude('copy', 0);
}

/** Pages that differ from their copies. */
function* writtenTo(
  cpu: Context,
  space: Space,
  { first, end }: PageRange,
  to: Copies,
): Routine<readonly number[]> {
  const pages: number[] = [];
  for (let page = first; page < end; page++) {
    cpu.attempt('copy.compare');
    const frame = yield* space.l1Memory.resident(cpu, page);
    const content = frame < 0 ? 0 : num(yield cpu.load(frame * FRAME_BYTES, 'copy.compare'));
    const copy = num(yield cpu.load(to.ofL2(page), 'copy.compare'));
    const isWritten = frame >= 0 && content !== copy;
    cpu.conclude('copy.compare', isWritten ? 1 : 0);
    if (isWritten) pages.push(page);
  }
  return pages;
}
