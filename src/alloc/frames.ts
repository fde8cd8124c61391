/**
 * Frames of one level's memory: a list per CPU, refilled in batches from a region, as the per-CPU
 * page lists of a kernel. Freed frames go to the list of the CPU that frees them, last in first
 * out.
 *
 * Leaves out: the zone lock behind the per-CPU lists and its contention (one atomic counter stands
 * for it), NUMA nodes, reclaim, merging of free frames into blocks: a block is handed out once and
 * given back frame by frame. A frame costs the same in every design.
 */
import { defect } from '../base/assert.ts';
import { Unit } from '../machine/preset/price.ts';
import { num, type Routine, won } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { atomicLine, layout } from '../runtime/layout.ts';
import type { Arena } from './arena.ts';

/** Frames that a CPU takes from the region at once, unless the region says otherwise. */
const BATCH = 32;
const LINE_BYTES = 64;

const Pool = layout('frames.pool', { used: atomicLine });

/** The frames that a pool manages: `base` .. `limit - 1`. */
export interface Region {
  readonly base: number;
  readonly limit: number;
  /** Frames that a CPU takes at once: small where all memory is small. */
  readonly batch?: number;
}

/** Words of one level's memory while nobody runs. */
export interface BootMemory {
  read(at: number): number;
  write(at: number, value: number): void;
}

export class Frames {
  readonly #pool: number; // address of the Pool structure: frames handed out so far
  readonly #lists: number; // one line per CPU: head of its list, 0 = empty
  readonly #links: number; // one word per frame of the region: next in list
  readonly #base: number;
  readonly #limit: number;
  readonly #batch: number;
  readonly #cpus: number;

  /**
   * Manages the frames of `region`; its words are taken from `arena` and need no formatting: all
   * zero means that nothing was handed out.
   */
  constructor(arena: Arena, region: Region, cpus: number) {
    this.#base = region.base;
    this.#limit = region.limit;
    this.#batch = region.batch ?? BATCH;
    this.#cpus = cpus;
    this.#pool = arena.place(Pool);
    this.#lists = arena.take(cpus * LINE_BYTES);
    this.#links = arena.take((region.limit - region.base) * 8);
  }

  /** Takes a frame; its content is whatever it was. */
  *take(cpu: Context): Routine<number> {
    const listed = this.takeListed(cpu);
    return listed !== 0 ? listed : yield* this.refill(cpu);
  }

  /** The first frame of this CPU's list; 0: there is none, and `refill` has to be asked for one. */
  takeListed(cpu: Context): number {
    cpu.spend(Unit.pageAllocated, 1);
    const list = this.#lists + cpu.seat * LINE_BYTES;
    const head = cpu.read(list);
    if (head !== 0) cpu.write(list, cpu.read(this.#link(head)));
    return head;
  }

  /** Puts a batch of frames into this CPU's empty list, and takes one more. */
  *refill(cpu: Context): Routine<number> {
    const batch = this.#batch;
    const first =
      this.#base + num(yield cpu.add(this.#pool + Pool.at.used, batch, 'frames.refill'));
    if (first + batch > this.#limit) defect('Frames.take', 'the memory of this level is exhausted');
    for (let i = batch - 1; i > 0; i--) this.give(cpu, first + i);
    return first;
  }

  /**
   * The first of `count` consecutive frames, aligned to `count`, a power of two: a huge page. What
   * lies before it goes to this CPU's list.
   */
  *takeBlock(cpu: Context, count: number): Routine<number> {
    cpu.spend(Unit.pageAllocated, 1);
    cpu.attempt('frames.block');
    for (;;) {
      const used = num(yield cpu.load(this.#pool + Pool.at.used, 'frames.block-look'));
      const first = alignUp(this.#base + used, count);
      const next = first + count - this.#base;
      if (first + count > this.#limit) defect('Frames.takeBlock', 'the memory is exhausted');
      if (won(yield cpu.cas(this.#pool + Pool.at.used, used, next, 'frames.block-take'))) {
        cpu.conclude('frames.block', first);
        for (let frame = first - 1; frame >= this.#base + used; frame--) this.give(cpu, frame);
        return first;
      }
      cpu.again('frames.block');
    }
  }

  /** Before anybody runs: the first of `count` consecutive frames, through boot-time access. */
  reserve(memory: BootMemory, count: number): number {
    const at = this.#pool + Pool.at.used;
    const first = this.#base + memory.read(at);
    if (first + count > this.#limit) defect('Frames.reserve', 'the memory is exhausted');
    memory.write(at, first + count - this.#base);
    return first;
  }

  /** The same for a block aligned to `count`; what lies before it goes to the list of CPU 0. */
  reserveBlock(memory: BootMemory, count: number): number {
    const next = this.#base + memory.read(this.#pool + Pool.at.used);
    const skipped = alignUp(next, count) - next;
    const first = this.reserve(memory, skipped);
    for (let frame = first + skipped - 1; frame >= first; frame--) {
      memory.write(this.#link(frame), memory.read(this.#lists));
      memory.write(this.#lists, frame);
    }
    return this.reserve(memory, count);
  }

  /** Gives a frame back to this CPU's list. */
  give(cpu: Context, pfn: number): void {
    const list = this.#lists + cpu.seat * LINE_BYTES;
    cpu.write(this.#link(pfn), cpu.read(list));
    cpu.write(list, pfn);
  }

  /** First and last frame number + 1. */
  get region(): { readonly base: number; readonly limit: number } {
    return { base: this.#base, limit: this.#limit };
  }

  /** Whether a frame belongs to this pool. */
  covers(pfn: number): boolean {
    return pfn >= this.#base && pfn < this.#limit;
  }

  /** Where the word lies that links a frame into a list; written whenever it is given back. */
  linkAt(pfn: number): number {
    return this.#link(pfn);
  }

  /** For onlookers: whether a frame is in the list of a CPU, or was never handed out. */
  isFree(memory: { read(at: number): number }, pfn: number): boolean {
    if (pfn >= this.#base + memory.read(this.#pool + Pool.at.used)) return true;
    for (let cpu = 0; cpu < this.#cpus; cpu++) {
      const list = this.#lists + cpu * LINE_BYTES;
      for (let at = memory.read(list); at !== 0; at = memory.read(this.#link(at))) {
        if (at === pfn) return true;
      }
    }
    return false;
  }

  #link(pfn: number): number {
    if (pfn < this.#base || pfn >= this.#limit)
      defect('Frames', `frame ${pfn} is not of this pool`);
    return this.#links + (pfn - this.#base) * 8;
  }
}

function alignUp(frame: number, count: number): number {
  return Math.ceil(frame / count) * count;
}
