/**
 * An XArray in L1's memory: a radix tree of nodes with 64 slots, read without a lock, stored to
 * under one spinlock per array. Slots are atomic words; what they mean is the business of the book.
 *
 * Source: lib/xarray.c of Linux (facts). Leaves out: marks, multi-index entries, shrinking (nodes
 * stay once they exist), a height that grows (it is fixed by the largest index).
 */
import type { Arena } from '../../../alloc/arena.ts';
import type { Slab } from '../../../alloc/slab.ts';
import { bitsAt } from '../../../base/bits.ts';
import { Unit } from '../../../machine/preset/price.ts';
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { lock, type Spinlock, spinlock, unlock } from '../../../sync/spinlock.ts';

const SLOT_BITS = 6;
const SLOTS = 1 << SLOT_BITS;
/** A node: a header of one line, then its slots. */
export const NODE_BYTES = 64 + SLOTS * 8;
const SLOTS_AT = 64;

/** A slot's address, and what was in it before: 0 if the value was stored. */
export interface Inserted {
  readonly slot: number;
  readonly seen: number;
}

export class XArray {
  readonly #height: number;
  readonly #root: number; // the root node, made at boot
  readonly #nodes: Slab;
  readonly #lock: Spinlock;

  constructor(arena: Arena, nodes: Slab, limit: number) {
    this.#nodes = nodes;
    this.#lock = spinlock(arena.take(64), 'l1.book');
    this.#root = arena.take(NODE_BYTES);
    let height = 1;
    while (SLOTS ** height < limit) height++;
    this.#height = height;
  }

  /** Address of the slot of `index`, or 0 if a node is missing; no lock. */
  *find(cpu: Context, index: number): Routine<number> {
    let node = this.#root;
    for (let level = this.#height - 1; level > 0; level--) {
      cpu.spend(Unit.levelWalked, 1);
      node = num(yield cpu.load(slotAt(node, index, level), 'xarray.walk'));
      if (node === 0) return 0;
    }
    return slotAt(node, index, 0);
  }

  /**
   * Stores `value` at `index` if the slot is empty. Walks and stores under the lock; where a node
   * is missing it drops the lock, allocates, and begins again, as xa_store does with xas_nomem.
   */
  *insert(cpu: Context, index: number, value: number): Routine<Inserted> {
    const spare: number[] = [];
    for (;;) {
      yield* lock(cpu, this.#lock, 'xarray.insert.lock');
      const node = yield* this.#leaf(cpu, index, spare);
      if (node === 0) {
        yield* unlock(cpu, this.#lock, 'xarray.insert.nomem');
        for (let i = spare.length; i < this.#height - 1; i++) {
          spare.push(yield* this.#nodes.take(cpu));
        }
        continue;
      }
      const slot = slotAt(node, index, 0);
      const seen = num(yield cpu.load(slot, 'xarray.insert.look'));
      if (seen === 0) yield cpu.store(slot, value, 'xarray.insert.store');
      yield* unlock(cpu, this.#lock, 'xarray.insert.unlock');
      for (const unused of spare) this.#nodes.give(cpu, unused);
      return { slot, seen };
    }
  }

  /** Under the lock: the leaf node of `index`, linked from `spare` as far as that goes; else 0. */
  *#leaf(cpu: Context, index: number, spare: number[]): Routine<number> {
    let node = this.#root;
    for (let level = this.#height - 1; level > 0; level--) {
      cpu.spend(Unit.levelWalked, 1);
      const slot = slotAt(node, index, level);
      node = num(yield cpu.load(slot, 'xarray.insert.walk'));
      if (node !== 0) continue;
      const made = spare.pop();
      if (made === undefined) return 0;
      yield cpu.store(slot, made, 'xarray.insert.link');
      node = made;
    }
    return node;
  }
}

function slotAt(node: number, index: number, level: number): number {
  return node + SLOTS_AT + bitsAt(index, SLOT_BITS * level, SLOTS - 1) * 8;
}
