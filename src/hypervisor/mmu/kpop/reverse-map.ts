/**
 * From an L1 page to the entries that map it, because the host's invalidations arrive by L1 page.
 * One list head per L1 page; a spinlock and the invalidation counters per bucket of 2 MiB.
 *
 * The counters and the list form a store/load pair: the mapper adds its item and then reads the
 * counters, the invalidator raises a counter and then reads the lists (primer/x86.md 6.3, M4/N1).
 */
import { Slab } from '../../../alloc/slab.ts';
import type { Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { atomic, atomicLine, layout, plain, plainLine } from '../../../runtime/layout.ts';
import { lock, type Spinlock, spinlock, unlock } from '../../../sync/spinlock.ts';
import type { Platform } from '../../platform.ts';

const BUCKET_PAGES = 512;

export const BucketWords = layout('kpop.bucket', {
  lock: atomicLine,
  inProgress: atomic,
  seq: atomic,
});

const ItemWords = layout('kpop.item', { next: plainLine, table: plain, index: plain });

/** An entry that maps an L1 page: its table page's header and its index there. */
export interface Mapping {
  readonly table: number;
  readonly index: number;
}

export class ReverseMap {
  readonly #buckets: number;
  readonly #heads: number;
  readonly #items: Slab;
  readonly #pages: number;

  constructor(platform: Platform, l1Pages: number) {
    const { arena } = platform;
    this.#pages = l1Pages;
    this.#buckets = arena.take(Math.ceil(l1Pages / BUCKET_PAGES) * BucketWords.bytes);
    this.#heads = arena.take(l1Pages * 8);
    this.#items = new Slab(arena, platform.frames, ItemWords.bytes, platform.cpus);
  }

  has(l1gfn: number): boolean {
    return l1gfn >= 0 && l1gfn < this.#pages;
  }

  /** An item for later use, taken while allocation is allowed. */
  prepare(cpu: Context): Routine<number> {
    return this.#items.take(cpu);
  }

  /** Gives an unused item back. */
  discard(cpu: Context, item: number): void {
    this.#items.give(cpu, item);
  }

  *add(cpu: Context, l1gfn: number, item: number, mapping: Mapping): Routine<void> {
    const bucket = this.#lockOf(l1gfn);
    const head = this.#heads + l1gfn * 8;
    yield* lock(cpu, bucket, 'kpop.rmap.lock');
    cpu.write(item + ItemWords.at.table, mapping.table);
    cpu.write(item + ItemWords.at.index, mapping.index);
    cpu.write(item + ItemWords.at.next, cpu.read(head));
    cpu.write(head, item);
    yield* unlock(cpu, bucket, 'kpop.rmap.unlock');
  }

  *remove(cpu: Context, l1gfn: number, mapping: Mapping): Routine<void> {
    const bucket = this.#lockOf(l1gfn);
    yield* lock(cpu, bucket, 'kpop.rmap.lock');
    let link = this.#heads + l1gfn * 8;
    let item = cpu.read(link);
    while (item !== 0 && !this.#is(cpu, item, mapping)) {
      link = item + ItemWords.at.next;
      item = cpu.read(link);
    }
    if (item !== 0) {
      cpu.write(link, cpu.read(item + ItemWords.at.next));
      cpu.write(item + ItemWords.at.table, 0);
      cpu.write(item + ItemWords.at.index, 0);
    }
    yield* unlock(cpu, bucket, 'kpop.rmap.unlock');
    if (item !== 0) this.#items.give(cpu, item);
  }

  /** Copies the mappings of one page; the list may change as soon as this returns. */
  *collect(cpu: Context, l1gfn: number): Routine<Mapping[]> {
    const bucket = this.#lockOf(l1gfn);
    const found: Mapping[] = [];
    yield* lock(cpu, bucket, 'kpop.rmap.lock');
    let item = cpu.read(this.#heads + l1gfn * 8);
    while (item !== 0) {
      found.push({
        table: cpu.read(item + ItemWords.at.table),
        index: cpu.read(item + ItemWords.at.index),
      });
      item = cpu.read(item + ItemWords.at.next);
    }
    yield* unlock(cpu, bucket, 'kpop.rmap.unlock');
    return found;
  }

  inProgress(l1gfn: number): number {
    return this.#bucket(l1gfn) + BucketWords.at.inProgress;
  }

  seq(l1gfn: number): number {
    return this.#bucket(l1gfn) + BucketWords.at.seq;
  }

  /** Bytes of items in use and of the fixed arrays. */
  bytes(peek: (at: number) => number): number {
    const buckets = Math.ceil(this.#pages / BUCKET_PAGES) * BucketWords.bytes;
    return this.#items.bytesInUse(peek) + this.#pages * 8 + buckets;
  }

  #is(cpu: Context, item: number, mapping: Mapping): boolean {
    return (
      cpu.read(item + ItemWords.at.table) === mapping.table &&
      cpu.read(item + ItemWords.at.index) === mapping.index
    );
  }

  #lockOf(l1gfn: number): Spinlock {
    return spinlock(this.#bucket(l1gfn) + BucketWords.at.lock, 'kpop.rmap');
  }

  #bucket(l1gfn: number): number {
    return this.#buckets + Math.floor(l1gfn / BUCKET_PAGES) * BucketWords.bytes;
  }
}
