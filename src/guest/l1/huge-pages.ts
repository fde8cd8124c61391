/**
 * L1's huge pages behind L2, where it has them: each is one MAP and one word in a book of its own,
 * by the number of the huge page. An invalidation of a part lets that word stay: it says that
 * pages of the huge one may be mapped, and L0 alone knows which. What is mapped afterwards in that
 * part is mapped page by page, for L1's huge page is split, and is noted in the book of pages.
 */
import type { PageRange } from '../../hypervisor/mmu/common.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import type { Book, Rule, Taken } from './book/book.ts';
import { makeBook } from './book/kinds.ts';
import { SlotState, stateOf } from './book/slot.ts';
import type { KpopGuestOptions } from './kpop.ts';

export interface HugePages {
  /** Of a huge page: it has 2^order pages. */
  readonly order: number;
  /** Words by number of the huge page. */
  readonly book: Book;
}

/** Whether anything is said of a huge page, which stays. */
const LOOK: Rule = { next: (word) => word, look: 'l1.scan.part', take: 'l1.scan.part' };

/** Who kills a word empties it once its UNMAP has returned. */
const KILL: Rule = {
  next: (word) => word - stateOf(word) + SlotState.killed,
  look: 'l1.scan.huge-look',
  take: 'l1.scan.huge-take',
};

/** Undefined where L1 has small pages only. */
export function hugePages(options: KpopGuestOptions): HugePages | undefined {
  const { platform, backing, memory, book } = options;
  if (backing.huge === undefined) return undefined;
  const { pages } = backing.huge;
  const numbers = memory.map(({ first, end }) => numbersOf({ first, end }, pages));
  return { order: Math.log2(pages), book: makeBook(platform, numbers, book) };
}

/** Numbers of the huge pages that a range meets. */
function numbersOf({ first, end }: PageRange, pages: number): PageRange {
  return { first: Math.floor(first / pages), end: Math.ceil(end / pages) };
}

/**
 * Before a range is unmapped: kills the words of the huge pages that it covers, and lists them;
 * whether any page of it may be mapped by a huge one.
 */
export function* sweepHuge(
  cpu: Context,
  { order, book }: HugePages,
  range: PageRange,
  killed: Taken[],
): Routine<boolean> {
  const pages = 2 ** order;
  const met = numbersOf(range, pages);
  const first = Math.ceil(range.first / pages);
  const end = Math.max(first, Math.floor(range.end / pages));
  let any = yield* book.sweep(cpu, { first, end }, KILL, killed);
  const parts = [
    { first: met.first, end: Math.min(first, met.end) },
    { first: Math.max(end, met.first), end: met.end },
  ];
  for (const part of parts) {
    if (part.end > part.first && (yield* book.sweep(cpu, part, LOOK, []))) any = true;
  }
  return any;
}
