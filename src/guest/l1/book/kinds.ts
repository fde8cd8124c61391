/** The kinds of book, by the name of the axis. */
import { badInput } from '../../../base/bad-input.ts';
import type { PageRange } from '../../../hypervisor/mmu/common.ts';
import type { Platform } from '../../../hypervisor/platform.ts';
import type { Book } from './book.ts';
import { NoBook } from './none.ts';
import { type Shards, shardCount } from './shards.ts';
import { FlatBook, XArrayBook } from './slots.ts';
import { TreeBook } from './trees.ts';

export const BOOK_KINDS = ['xarray', 'rbtree', 'interval', 'flat', 'none'] as const;
export type BookKind = (typeof BOOK_KINDS)[number];

export interface BookOptions {
  readonly kind: BookKind;
  readonly shards: Shards;
}

/** `memory`: L2's memory slots, ascending. */
export function makeBook(
  platform: Platform,
  memory: readonly PageRange[],
  { kind, shards }: BookOptions,
): Book {
  const l2Pages = memory.at(-1)?.end ?? badInput('a guest hypervisor needs memory for its guest');
  const count = shardCount(l2Pages, shards);
  switch (kind) {
    case 'xarray':
      return new XArrayBook(platform, l2Pages, count);
    case 'rbtree':
      return new TreeBook(platform, count, 'page');
    case 'interval':
      return new TreeBook(platform, count, 'run');
    case 'flat':
      return new FlatBook(platform.arena, memory);
    case 'none':
      return new NoBook();
  }
}
