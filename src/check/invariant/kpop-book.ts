/**
 * L1's book and L0's intents agree at quiescence: a valid slot is a valid intent of the same L1
 * page and the other way round, and no slot is pending or killed.
 */
import type { PageRange } from '../../hypervisor/mmu/common.ts';
import type { Space } from '../../hypervisor/mmu/kpop/space.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { kpopTree } from './kpop-tree.ts';
import { hex, Onlooker, type View } from './view.ts';

/** L1's book as far as a checker needs it: the word of an L2 page, 0 if it has none. */
export interface SlotBook {
  wordOf(cpu: Context, l2gfn: number): Routine<number>;
}

/** What a slot's word says: its L1 page, or that there is none. */
export interface SlotCodec {
  l1gfn(word: number): number;
  isValid(word: number): boolean;
  /** L2 may not write to the page, and L0 knows. */
  isReadOnly(word: number): boolean;
}

export function kpopBook(
  views: { readonly host: View; readonly l1: View },
  space: Space,
  book: SlotBook & SlotCodec,
  l2Memory: readonly PageRange[],
): string[] {
  const intents = new Map<number, number>();
  for (const { table, page, intent } of kpopTree(views.host, space).places) {
    if (table.level === 0 && intent.state === 'valid') intents.set(page, intent.payload);
  }
  const onlooker = new Onlooker(views.l1);
  const wrong: string[] = [];
  for (const { first, end } of l2Memory) {
    for (let page = first; page < end; page++) {
      const word = onlooker.run((me) => book.wordOf(me, page)) ?? 0;
      const intent = intents.get(page) ?? -1;
      intents.delete(page);
      const noted = word === 0 ? -1 : book.l1gfn(word);
      if (word !== 0 && !book.isValid(word)) {
        wrong.push(`L2 page ${hex(page)}: its slot ${hex(word)} is not settled`);
      } else if (noted !== intent) {
        wrong.push(`L2 page ${hex(page)}: the book says ${hex(noted)}, the intent ${hex(intent)}`);
      }
    }
  }
  for (const [page, l1gfn] of intents) {
    wrong.push(`L2 page ${hex(page)}: intent of ${hex(l1gfn)}, the page is no memory of L2`);
  }
  return wrong;
}
