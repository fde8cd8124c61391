/**
 * L1's book of what it has mapped for L2: per L2 page nothing, pending (a vCPU's MAP is under
 * way), valid, or killed (an invalidation is unmapping it). Kept in one XArray, or in one per GiB
 * of L2 memory.
 *
 * Source: primer/x86.md 6.6 (proposal).
 */
import type { Arena } from '../../alloc/arena.ts';
import { Slab } from '../../alloc/slab.ts';
import type { Platform } from '../../hypervisor/platform.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { type Inserted, NODE_BYTES, XArray } from './xarray.ts';

export type Shards = '1' | 'gib';

const GIB_PAGES = 2 ** 18;
/** Arrays when sharded: GiBs beyond share by number. */
const SHARD_LIMIT = 512;

export const SlotState = { pending: 1, valid: 2, killed: 3 } as const;

/** vCPUs that may hold a reservation. */
const OWNERS = 512;

/**
 * A slot's word. A reservation names the vCPU that made it, so that only that one settles or
 * withdraws it: vCPUs that share a reservation lose each other's mapping (ARCHITECTURE.md).
 */
export function slotWord(l1gfn: number, state: number, owner = 0): number {
  return (l1gfn * OWNERS + owner) * 4 + state;
}

export function stateOf(word: number): number {
  return word % 4;
}

export function l1gfnOf(word: number): number {
  return Math.floor(word / (4 * OWNERS));
}

export class Book {
  readonly #arrays: readonly XArray[];
  readonly #nodes: Slab;

  constructor(arena: Arena, platform: Platform, l2Pages: number, shards: Shards) {
    this.#nodes = new Slab(arena, platform.frames, NODE_BYTES, platform.cpus);
    const gibs = Math.ceil(l2Pages / GIB_PAGES);
    const count = shards === '1' ? 1 : Math.min(gibs, SHARD_LIMIT);
    this.#arrays = Array.from({ length: count }, () => new XArray(arena, this.#nodes, l2Pages));
  }

  /** Address of the page's slot if it exists, else 0. */
  find(cpu: Context, l2gfn: number): Routine<number> {
    return this.#of(l2gfn).find(cpu, l2gfn);
  }

  /** Puts `word` into the page's slot if that is empty. */
  insert(cpu: Context, l2gfn: number, word: number): Routine<Inserted> {
    return this.#of(l2gfn).insert(cpu, l2gfn, word);
  }

  bytes(peek: (at: number) => number): number {
    return this.#nodes.bytesInUse(peek) + this.#arrays.length * NODE_BYTES;
  }

  #of(l2gfn: number): XArray {
    return this.#arrays[Math.floor(l2gfn / GIB_PAGES) % this.#arrays.length]!;
  }
}
