/** A book in parts with locks of their own: one per GiB of L2's memory. Pure. */
import type { PageRange } from '../../../hypervisor/mmu/common.ts';

export type Shards = '1' | 'gib';

const GIB_PAGES = 2 ** 18;
/** Parts when sharded: GiBs beyond share by number. */
const SHARD_LIMIT = 512;

export function shardCount(l2Pages: number, shards: Shards): number {
  return shards === '1' ? 1 : Math.min(Math.ceil(l2Pages / GIB_PAGES), SHARD_LIMIT);
}

export function shardOf(l2gfn: number, count: number): number {
  return Math.floor(l2gfn / GIB_PAGES) % count;
}

/** The range in pieces that lie in one part each. */
export function* pieces({ first, end }: PageRange, count: number): Generator<PageRange> {
  let from = first;
  while (from < end) {
    const next = count === 1 ? end : Math.min(end, (Math.floor(from / GIB_PAGES) + 1) * GIB_PAGES);
    yield { first: from, end: next };
    from = next;
  }
}
