/**
 * Books in which every page has a word of its own that never moves: a change is one
 * compare-and-swap and takes no lock. Two kinds: XArrays, whose insertions take the array's lock,
 * and a flat array for each memory slot, which takes none and is there from the start.
 */
import type { Arena } from '../../../alloc/arena.ts';
import { Slab } from '../../../alloc/slab.ts';
import { defect } from '../../../base/assert.ts';
import type { PageRange } from '../../../hypervisor/mmu/common.ts';
import type { Platform } from '../../../hypervisor/platform.ts';
import { type Act, num, type Routine, won } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import type { Book, Inserted, Place, Rule, Taken } from './book.ts';
import { shardOf } from './shards.ts';
import { NODE_BYTES, XArray } from './xarray.ts';

abstract class Slots implements Book {
  readonly keeps = true;
  readonly canWait = true;

  abstract insert(cpu: Context, l2gfn: number, word: number): Routine<Inserted>;
  abstract readonly slabs: Book['slabs'];
  abstract bytes(peek: (at: number) => number): number;
  /** Address of the page's word if there is one, else 0. */
  protected abstract find(cpu: Context, l2gfn: number): Routine<number>;

  change(cpu: Context, { slot }: Place, from: number, to: number, label: string): Act {
    return cpu.cas(slot, from, to, label);
  }

  *sweep(cpu: Context, range: PageRange, rule: Rule, taken: Taken[]): Routine<boolean> {
    let any = false;
    for (let gfn = range.first; gfn < range.end; gfn++) {
      const slot = yield* this.find(cpu, gfn);
      if (slot === 0) continue;
      for (;;) {
        const seen = num(yield cpu.load(slot, rule.look));
        if (seen === 0) break;
        any = true;
        if (rule.waits?.until(seen) === false) {
          const { until, label } = rule.waits;
          yield cpu.wait([slot], () => until(cpu.peek(slot)), label);
          continue;
        }
        const next = rule.next(seen);
        if (next === seen) break;
        if (!won(yield cpu.cas(slot, seen, next, rule.take))) continue;
        taken.push({ first: gfn, end: gfn + 1, slot });
        break;
      }
    }
    return any;
  }

  empty(cpu: Context, { slot }: Taken): Act {
    return cpu.store(slot, 0, 'l1.invalidate.emptied');
  }

  *wordOf(cpu: Context, l2gfn: number): Routine<number> {
    const slot = yield* this.find(cpu, l2gfn);
    return slot === 0 ? 0 : cpu.peek(slot);
  }
}

export class XArrayBook extends Slots {
  readonly #arrays: readonly XArray[];
  readonly #nodes: Slab;

  constructor(platform: Platform, l2Pages: number, shards: number) {
    super();
    const { arena } = platform;
    this.#nodes = new Slab(arena, platform.frames, NODE_BYTES, platform.cpus);
    const make = (): XArray => new XArray(arena, this.#nodes, l2Pages);
    this.#arrays = Array.from({ length: shards }, make);
  }

  insert(cpu: Context, l2gfn: number, word: number): Routine<Inserted> {
    return this.#of(l2gfn).insert(cpu, l2gfn, word);
  }

  get slabs(): Book['slabs'] {
    return [{ slab: this.#nodes, bytes: NODE_BYTES }];
  }

  bytes(peek: (at: number) => number): number {
    return this.#nodes.bytesInUse(peek) + this.#arrays.length * NODE_BYTES;
  }

  protected find(cpu: Context, l2gfn: number): Routine<number> {
    return this.#of(l2gfn).find(cpu, l2gfn);
  }

  #of(l2gfn: number): XArray {
    return this.#arrays[shardOf(l2gfn, this.#arrays.length)]!;
  }
}

/** A word per page of each memory slot, as KVM keeps its rmap heads. */
export class FlatBook extends Slots {
  readonly #slots: readonly (PageRange & { readonly words: number })[];

  constructor(arena: Arena, memory: readonly PageRange[]) {
    super();
    this.#slots = memory.map(({ first, end }) => {
      return { first, end, words: arena.take((end - first) * 8) };
    });
  }

  *insert(cpu: Context, l2gfn: number, word: number): Routine<Inserted> {
    const slot = this.#wordAt(l2gfn) || defect('FlatBook.insert', `page ${l2gfn} is no memory`);
    const won_ = won(yield cpu.cas(slot, 0, word, 'flat.insert'));
    return { slot, seen: won_ ? 0 : num(yield cpu.load(slot, 'flat.seen')) };
  }

  readonly slabs = [];

  bytes(): number {
    return this.#slots.reduce((sum, { first, end }) => sum + (end - first) * 8, 0);
  }

  protected *find(_cpu: Context, l2gfn: number): Routine<number> {
    return this.#wordAt(l2gfn);
  }

  #wordAt(l2gfn: number): number {
    const slot = this.#slots.find(({ first, end }) => l2gfn >= first && l2gfn < end);
    return slot === undefined ? 0 : slot.words + (l2gfn - slot.first) * 8;
  }
}
