/**
 * How L1 calls L0: lists in an argument page of the calling vCPU, operations that travel with the
 * next RUN in its state page, and the answers.
 */
import {
  answerDetail,
  answerStatus,
  FLAG_MORE,
  FUSED_RECORD_BYTES,
  KpopCall,
  LIST_ELEMENT_BYTES,
  LIST_HEADER_BYTES,
  LIST_LIMIT,
  ListHeader,
  PROT_ALL,
  type Progress,
  packCount,
  packPage,
  packTarget,
  StatePage,
  Status,
  unpackProgress,
} from '../../abi/kpop.ts';
import { defect } from '../../base/assert.ts';
import type { PageRange } from '../../hypervisor/mmu/common.ts';
import type { Platform } from '../../hypervisor/platform.ts';
import { vmcall } from '../../machine/instruction.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { Unit } from '../../machine/preset/price.ts';
import { num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';

/**
 * When a page that UNMAP took away is out of use: when the call has returned (KPOP's contract), or
 * when the flush that L1 asks for after it has (as hardware's tables have it).
 */
export type FlushContract = 'visible' | 'request';

type Elements = readonly (readonly [number, number])[];

/** A page of L2 and the page of L1 that is to be there; or a huge page of each, by its number. */
interface Mapped {
  /** Number among pages of that order. */
  readonly l2gfn: number;
  /** First L1 page. */
  readonly l1gfn: number;
  readonly order: number;
}

function packed({ l2gfn, order }: Mapped): number {
  return order === 0 ? l2gfn : packPage(l2gfn * 2 ** order, order);
}

interface Header {
  readonly epoch: number;
  readonly flags: number;
  readonly join: number;
}

export class KpopCalls {
  readonly #flush: FlushContract;
  readonly #lists: number; // one argument page per vCPU

  constructor(platform: Platform, flush: FlushContract) {
    this.#flush = flush;
    this.#lists = platform.arena.frames(platform.cpus) * FRAME_BYTES;
  }

  /** MAP as a call of its own; the status of each element. */
  *map(cpu: Context, pages: readonly Mapped[], epoch: number): Routine<readonly number[]> {
    const elements = pages.map((page) => [packed(page), packTarget(page.l1gfn, PROT_ALL)] as const);
    const answer = yield* this.#call(cpu, KpopCall.map, elements, { epoch, flags: 0, join: 0 });
    const status = answerStatus(answer);
    const done = status === Status.ok ? elements.length : answerDetail(answer);
    return elements.map((_, i) => (i < done ? Status.ok : status));
  }

  /** As many UNMAP calls as the list needs, and one flush for all. */
  *unmap(cpu: Context, ranges: readonly PageRange[], epoch: number): Routine<void> {
    const isVisible = this.#flush === 'visible';
    let join = 0;
    for (let from = 0; from < ranges.length; from += LIST_LIMIT) {
      const elements = ranges
        .slice(from, from + LIST_LIMIT)
        .map((r): [number, number] => [r.first, r.end - r.first]);
      const isLast = from + LIST_LIMIT >= ranges.length;
      const flags = isVisible && isLast ? 0 : FLAG_MORE;
      const header = { epoch, flags, join };
      const answer = yield* this.#callOn(cpu, KpopCall.unmap, elements, header);
      mustBeOk(answerStatus(answer), 'UNMAP');
      join = Math.max(join, answerDetail(answer));
    }
    if (isVisible || join === 0) return; // nothing was in use
    mustBeOk(num(yield vmcall(cpu, KpopCall.flush, [join], 'l1.flush')), 'FLUSH');
  }

  /** Takes rights from pages; they are out of use when it returns. */
  *protect(cpu: Context, ranges: readonly PageRange[], prot: number): Routine<void> {
    for (let from = 0; from < ranges.length; from += LIST_LIMIT) {
      const elements = ranges
        .slice(from, from + LIST_LIMIT)
        .map((r): [number, number] => [packTarget(r.first, prot), r.end - r.first]);
      const header = { epoch: 0, flags: 0, join: 0 }; // it opposes nothing that L1 has asked for
      mustBeOk(yield* this.#callOn(cpu, KpopCall.protect, elements, header), 'PROTECT');
    }
  }

  /** A PROTECT that the next RUN applies: all rights for one page. */
  fuseAllow(cpu: Context, state: number, l2gfn: number, epoch: number): void {
    const at = state + StatePage.fused;
    cpu.spend(Unit.listElement, 1);
    cpu.write(at, KpopCall.protect);
    cpu.write(at + 8, packTarget(l2gfn, PROT_ALL));
    cpu.write(at + 16, 1);
    cpu.write(at + FUSED_RECORD_BYTES - 8, epoch);
    cpu.write(state + StatePage.fusedCount, 1);
  }

  /** MAPs that the next RUN applies before it enters L2. */
  fuse(cpu: Context, state: number, pages: readonly Mapped[], epoch: number): void {
    let at = state + StatePage.fused;
    for (const page of pages) {
      cpu.spend(Unit.listElement, 1);
      cpu.write(at, KpopCall.map);
      cpu.write(at + 8, packed(page));
      cpu.write(at + 16, packTarget(page.l1gfn, PROT_ALL));
      cpu.write(at + FUSED_RECORD_BYTES - 8, epoch);
      at += FUSED_RECORD_BYTES;
    }
    cpu.write(state + StatePage.fusedCount, pages.length);
  }

  /** After a RUN: one status per record; those that were not reached keep their operation. */
  fusedStatuses(cpu: Context, state: number): readonly number[] | undefined {
    const count = cpu.read(state + StatePage.fusedCount);
    if (count === 0) return undefined;
    cpu.write(state + StatePage.fusedCount, 0);
    const statuses: number[] = [];
    for (let i = 0; i < count; i++) {
      statuses.push(cpu.read(state + StatePage.fused + i * FUSED_RECORD_BYTES));
    }
    return statuses;
  }

  /** The same call again and again until nothing of its list is left over. */
  *#callOn(cpu: Context, call: number, elements: Elements, header: Header): Routine<number> {
    let answer = yield* this.#call(cpu, call, elements, header);
    while (answerStatus(answer) === Status.continue) {
      const progress = unpackProgress(answerDetail(answer));
      answer = yield* this.#call(cpu, call, elements, header, progress);
    }
    return answer;
  }

  *#call(
    cpu: Context,
    call: number,
    elements: Elements,
    header: Header,
    progress?: Progress,
  ): Routine<number> {
    const page = this.#lists + cpu.seat * FRAME_BYTES;
    cpu.write(page + ListHeader.count, packCount(elements.length, progress));
    cpu.write(page + ListHeader.epoch, header.epoch);
    cpu.write(page + ListHeader.flags, header.flags);
    cpu.write(page + ListHeader.join, header.join);
    elements.forEach(([first, second], i) => {
      cpu.spend(Unit.listElement, 1);
      cpu.write(page + LIST_HEADER_BYTES + i * LIST_ELEMENT_BYTES, first);
      cpu.write(page + LIST_HEADER_BYTES + i * LIST_ELEMENT_BYTES + 8, second);
    });
    return num(yield vmcall(cpu, call, [page], 'l1.call'));
  }
}

function mustBeOk(status: number, call: string): void {
  if (status !== Status.ok) defect('KpopGuest', `${call} answered ${status}`);
}
