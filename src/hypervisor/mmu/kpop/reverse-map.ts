/**
 * From an L1 page to the entries that map it, because the host's invalidations arrive by L1 page.
 * One list head per L1 page, whose lowest bit locks the list; invalidation counters per bucket of
 * 2 MiB, which faults only read. (The proposal has one spinlock per bucket: CPUs whose pages were
 * allocated from the same 2 MiB then meet there; measured, and given up for the bit.)
 *
 * An entry maps one L1 page at most, so its item is a word of its own table page (a third frame
 * beside hardware entries and intents): the map never allocates, and nothing can fail under the
 * entry lock.
 *
 * Beside each list head stands the label of the flush that finishes the removals from it: an UNMAP
 * that has emptied its entry is still flushing, and the host must not free the page before that.
 *
 * The counters and the list form a store/load pair: the mapper adds its item and then reads the
 * counters, the invalidator raises a counter and then reads the lists (primer/x86.md 6.3, M4/N1).
 *
 * A huge entry is in the list of its first L1 page. Where the host has huge pages an invalidation
 * therefore looks into the list of each block that a huge entry could serve, the largest first, and
 * the page's own last (`kpopInvalidate`). What is larger than a bucket has counters of its own.
 */
import { type Act, num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { atomic, atomicLine, layout } from '../../../runtime/layout.ts';
import { Event } from '../../../runtime/trace.ts';
import { lockClass } from '../../../sync/lock-class.ts';
import type { Platform } from '../../platform.ts';
import type { Place } from './entry.ts';

const BUCKET_PAGES = 512;
/** L1 pages that share counters where huge entries are larger than a bucket. */
const WIDE_PAGES = BUCKET_PAGES * BUCKET_PAGES;
/** Headers start cache lines, so a link has room for an index below a header's address. */
const HEADER_BYTES = 64;
const INDEXES = 512;

export const BucketWords = layout('kpop.bucket', { inProgress: atomicLine, seq: atomic });

const CLASS = lockClass('kpop.rmap');
const LOCKED = 1;

/** An entry that maps an L1 page: its table page's header and its index there. */
export interface Mapping {
  readonly table: number;
  readonly index: number;
}

export class ReverseMap {
  readonly #buckets: number;
  readonly #heads: number;
  readonly #labels: number; // per page: largest label of an entry that was taken off its list
  readonly #pages: number;
  readonly #wide: number; // buckets of WIDE_PAGES; 0 where there are none
  /** Where the item of an entry lies. */
  readonly #itemOf: (cpu: Context, mapping: Mapping) => number;

  /** `largest`: pages of the largest huge entry that there can be; 1 if none. */
  constructor(
    platform: Platform,
    l1Pages: number,
    largest: number,
    itemOf: (cpu: Context, mapping: Mapping) => number,
  ) {
    const { arena } = platform;
    this.#pages = l1Pages;
    this.#itemOf = itemOf;
    const wide = largest > BUCKET_PAGES ? Math.ceil(l1Pages / WIDE_PAGES) : 0;
    this.#wide = wide === 0 ? 0 : arena.take(wide * BucketWords.bytes);
    this.#buckets = arena.take(Math.ceil(l1Pages / BUCKET_PAGES) * BucketWords.bytes);
    this.#heads = arena.take(l1Pages * 8);
    this.#labels = arena.take(l1Pages * 8);
  }

  has(l1gfn: number): boolean {
    return l1gfn >= 0 && l1gfn < this.#pages;
  }

  *add(cpu: Context, l1gfn: number, place: Place): Routine<void> {
    const first = yield* this.#lock(cpu, l1gfn);
    cpu.write(place.item, first);
    yield this.#unlock(cpu, l1gfn, linkTo(place));
  }

  /** `label`: of the flush after which no CPU uses the entry any more; 0 if none ever did. */
  *remove(cpu: Context, l1gfn: number, place: Place, label: number): Routine<void> {
    const wanted = linkTo(place);
    const first = yield* this.#lock(cpu, l1gfn);
    const labelAt = this.#labels + l1gfn * 8;
    if (label > 0 && label > cpu.read(labelAt)) cpu.write(labelAt, label);
    const next = cpu.read(place.item);
    if (first === wanted) {
      yield this.#unlock(cpu, l1gfn, next);
      return;
    }
    for (let link = first; link !== 0; ) {
      const at = this.#itemOf(cpu, mappingOf(link));
      link = cpu.read(at);
      if (link !== wanted) continue;
      cpu.write(at, next);
      break;
    }
    yield this.#unlock(cpu, l1gfn, first);
  }

  /**
   * Copies the mappings of one page, and the label of what was taken off its list: both may change
   * as soon as this returns.
   */
  *collect(
    cpu: Context,
    l1gfn: number,
  ): Routine<{ readonly mappings: readonly Mapping[]; readonly label: number }> {
    const found: Mapping[] = [];
    const first = yield* this.#lock(cpu, l1gfn);
    for (let link = first; link !== 0; ) {
      const mapping = mappingOf(link);
      found.push(mapping);
      link = cpu.read(this.#itemOf(cpu, mapping));
    }
    const label = cpu.read(this.#labels + l1gfn * 8);
    yield this.#unlock(cpu, l1gfn, first);
    return { mappings: found, label };
  }

  /** `pages`: of the entry that is to be installed. */
  inProgress(l1gfn: number, pages = 1): number {
    return this.#bucket(l1gfn, pages) + BucketWords.at.inProgress;
  }

  seq(l1gfn: number, pages = 1): number {
    return this.#bucket(l1gfn, pages) + BucketWords.at.seq;
  }

  /** An invalidation of a page is to be seen by whoever installs an entry that maps it. */
  *begin(cpu: Context, l1gfn: number): Routine<void> {
    if (this.#wide > 0) {
      yield cpu.add(this.inProgress(l1gfn, WIDE_PAGES), 1, 'kpop.notify.begin-wide');
    }
    yield cpu.add(this.inProgress(l1gfn), 1, 'kpop.notify.begin');
  }

  /** It is over: whoever has looked the page up before looks again. */
  *end(cpu: Context, l1gfn: number): Routine<void> {
    yield cpu.add(this.seq(l1gfn), 1, 'kpop.notify.seq');
    yield cpu.add(this.inProgress(l1gfn), -1, 'kpop.notify.end');
    if (this.#wide === 0) return;
    yield cpu.add(this.seq(l1gfn, WIDE_PAGES), 1, 'kpop.notify.seq-wide');
    yield cpu.add(this.inProgress(l1gfn, WIDE_PAGES), -1, 'kpop.notify.end-wide');
  }

  /** Bytes of the fixed arrays; items are part of their table pages. */
  get bytes(): number {
    const wide = this.#wide === 0 ? 0 : Math.ceil(this.#pages / WIDE_PAGES);
    return this.#pages * 16 + (Math.ceil(this.#pages / BUCKET_PAGES) + wide) * BucketWords.bytes;
  }

  /** Takes the list's bit; the list's first link. */
  *#lock(cpu: Context, l1gfn: number): Routine<number> {
    const head = this.#heads + l1gfn * 8;
    cpu.note(Event.want, CLASS, 0);
    let free = true;
    cpu.attempt('kpop.rmap.locked');
    for (;;) {
      const seen = num(yield cpu.or(head, LOCKED, 'kpop.rmap.locked'));
      if ((seen & LOCKED) === 0) {
        cpu.note(Event.acquire, CLASS, free ? 0 : 1);
        return seen / 2;
      }
      free = false;
      yield cpu.wait([head], () => (cpu.peek(head) & LOCKED) === 0, 'kpop.rmap.locked');
      cpu.again('kpop.rmap.locked');
    }
  }

  /** Publishes the first link and drops the bit. */
  #unlock(cpu: Context, l1gfn: number, first: number): Act {
    cpu.note(Event.release, CLASS, 0);
    return cpu.store(this.#heads + l1gfn * 8, first * 2, 'kpop.rmap.unlock');
  }

  #bucket(l1gfn: number, pages: number): number {
    if (pages > BUCKET_PAGES)
      return this.#wide + Math.floor(l1gfn / WIDE_PAGES) * BucketWords.bytes;
    return this.#buckets + Math.floor(l1gfn / BUCKET_PAGES) * BucketWords.bytes;
  }
}

function linkTo(mapping: Mapping): number {
  return (mapping.table / HEADER_BYTES) * INDEXES + mapping.index;
}

function mappingOf(link: number): Mapping {
  return { table: Math.floor(link / INDEXES) * HEADER_BYTES, index: link & (INDEXES - 1) };
}
