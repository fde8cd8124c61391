/**
 * A migration of L2 as the user space of L1 begins it: which pages are written to, asked of L0 by
 * DIRTY, slot by slot and so many pages a call as one answer holds. L1 keeps no bits of its own.
 */
import {
  answerDetail,
  answerStatus,
  FLAG_MORE,
  LIST_HEADER_BYTES,
  ListHeader,
  Status,
} from '../../abi/kpop.ts';
import { DIRTY_CALL, DIRTY_LIMIT, DIRTY_PER_WORD, DirtyMode } from '../../abi/kpop-dirty.ts';
import { defect } from '../../base/assert.ts';
import type { PageRange } from '../../hypervisor/mmu/common.ts';
import type { Platform } from '../../hypervisor/platform.ts';
import { vmcall } from '../../machine/instruction.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { Unit } from '../../machine/preset/price.ts';
import { num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';

export class KpopLog {
  readonly #page: number;
  readonly #pieces: readonly PageRange[];

  /** `memory`: L2's slots. */
  constructor(platform: Platform, memory: readonly PageRange[]) {
    this.#page = platform.arena.frames(1) * FRAME_BYTES;
    this.#pieces = memory.flatMap(piecesOf);
  }

  /** Every write of L2 that comes after the return is in the log. One flush for all slots. */
  *start(cpu: Context): Routine<void> {
    let join = 0;
    for (const [i, piece] of this.#pieces.entries()) {
      const isLast = i === this.#pieces.length - 1;
      const flags = DirtyMode.on + (isLast ? 0 : FLAG_MORE);
      join = Math.max(join, yield* this.#call(cpu, flags, piece, join));
    }
  }

  /** How many pages were written to since it was asked last. */
  *harvest(cpu: Context): Routine<number> {
    let pages = 0;
    for (const piece of this.#pieces) {
      pages += yield* this.#call(cpu, DirtyMode.collect, piece);
      // The bits themselves are read by whoever copies the pages.
      cpu.spend(Unit.listElement, Math.ceil((piece.end - piece.first) / DIRTY_PER_WORD));
    }
    return pages;
  }

  *stop(cpu: Context): Routine<void> {
    yield* this.#call(cpu, DirtyMode.off, this.#pieces[0]!);
  }

  /** The answer's detail. */
  *#call(cpu: Context, flags: number, { first, end }: PageRange, join = 0): Routine<number> {
    const page = this.#page;
    cpu.spend(Unit.listElement, 1);
    cpu.write(page + ListHeader.count, 1);
    cpu.write(page + ListHeader.flags, flags);
    cpu.write(page + ListHeader.join, join);
    cpu.write(page + LIST_HEADER_BYTES, first);
    cpu.write(page + LIST_HEADER_BYTES + 8, end - first);
    const answer = num(yield vmcall(cpu, DIRTY_CALL, [page], 'l1.dirty'));
    const status = answerStatus(answer);
    if (status !== Status.ok) defect('KpopLog', `DIRTY answered ${status}`);
    return answerDetail(answer);
  }
}

/** A range in pieces that one call may name. */
function piecesOf({ first, end }: PageRange): PageRange[] {
  const pieces: PageRange[] = [];
  for (let from = first; from < end; from += DIRTY_LIMIT) {
    pieces.push({ first: from, end: Math.min(end, from + DIRTY_LIMIT) });
  }
  return pieces;
}
