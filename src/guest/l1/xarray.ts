/**
 * An XArray in L1's memory: a radix tree of nodes with 64 slots, read without a lock, stored to
 * under one spinlock per array. Slots are atomic words; what they mean is the business of the book.
 *
 * Source: lib/xarray.c of Linux (facts). Leaves out: marks, multi-index entries, shrinking (nodes
 * stay once they exist), a height that grows (it is fixed by the largest index).
 */
import type { Arena } from '../../alloc/arena.ts';
import type { Slab } from '../../alloc/slab.ts';
import { bitsAt } from '../../base/bits.ts';
import { Unit } from '../../machine/preset/price.ts';
import { num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { lock, type Spinlock, spinlock, unlock } from '../../sync/spinlock.ts';

const SLOT_BITS = 6;
const SLOTS = 1 << SLOT_BITS;
/** A node: a header of one line, then its slots. */
export const NODE_BYTES = 64 + SLOTS * 8;
const SLOTS_AT = 64;

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

  /** Stores `value` at `index` if the slot is empty; the slot's address either way. */
  *insert(cpu: Context, index: number, value: number): Routine<number> {
    const spare = yield* this.#spares(cpu, index); // allocation comes before the lock
    yield* lock(cpu, this.#lock, 'xarray.insert.lock');
    let node = this.#root;
    for (let level = this.#height - 1; level > 0; level--) {
      cpu.spend(Unit.levelWalked, 1);
      const slot = slotAt(node, index, level);
      node = num(yield cpu.load(slot, 'xarray.insert.walk'));
      if (node !== 0) continue;
      node = spare.pop()!;
      yield cpu.store(slot, node, 'xarray.insert.link');
    }
    const slot = slotAt(node, index, 0);
    if (num(yield cpu.load(slot, 'xarray.insert.look')) === 0) {
      yield cpu.store(slot, value, 'xarray.insert.store');
    }
    yield* unlock(cpu, this.#lock, 'xarray.insert.unlock');
    for (const unused of spare) this.#nodes.give(cpu, unused);
    return slot;
  }

  /** As many nodes as the path to `index` lacks now. */
  *#spares(cpu: Context, index: number): Routine<number[]> {
    let node = this.#root;
    for (let level = this.#height - 1; level > 0; level--) {
      node = num(yield cpu.load(slotAt(node, index, level), 'xarray.insert.prepare'));
      if (node !== 0) continue;
      const spares: number[] = [];
      for (let i = 0; i < level; i++) spares.push(yield* this.#nodes.take(cpu));
      return spares;
    }
    return [];
  }
}

function slotAt(node: number, index: number, level: number): number {
  return node + SLOTS_AT + bitsAt(index, SLOT_BITS * level, SLOTS - 1) * 8;
}
