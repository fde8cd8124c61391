/**
 * Where a guest's pages lie in its physical memory. The kernel's own pages come first; each vCPU's
 * data pages lie in a GiB of their own, as when every vCPU's memory is a node or a slot of its own
 * (KVM's selftests partition it so). With a stride beyond one page they lie far apart instead, in
 * pairs, so that every pair needs second-stage tables of its own.
 */
import type { Arena } from '../alloc/arena.ts';
import { Frames } from '../alloc/frames.ts';
import { defect } from '../base/assert.ts';
import type { PageSource } from '../guest/kernel/kernel.ts';
import type { PageRange } from '../hypervisor/mmu/common.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import type { Demand } from './system.ts';

export const GIB_PAGES = 2 ** 18;

export interface DataPages extends PageSource {
  /** The guest page ranges that data pages come from, ascending. */
  readonly ranges: readonly PageRange[];
}

export function dataPages(arena: Arena, after: number, demand: Demand): DataPages {
  return demand.stride === 1 ? new OwnGib(arena, after, demand) : new FarApart(after, demand);
}

/** Boot words that `dataPages` takes from the arena, in bytes. */
export function dataWords(demand: Demand): number {
  const { vcpus, pagesPerVcpu, stride } = demand;
  return stride === 1 ? vcpus * (pagesPerVcpu * 8 + (vcpus + 2) * 64) : 0;
}

/** A frame pool for each vCPU, at the start of a GiB. */
class OwnGib implements DataPages {
  readonly ranges: readonly PageRange[];
  readonly #pools: readonly Frames[];
  readonly #firstGib: number;
  readonly #gibs: number;

  constructor(arena: Arena, after: number, demand: Demand) {
    this.#firstGib = Math.ceil(after / GIB_PAGES);
    this.#gibs = Math.ceil(demand.pagesPerVcpu / GIB_PAGES);
    this.ranges = Array.from({ length: demand.vcpus }, (_, i) => {
      const first = (this.#firstGib + i * this.#gibs) * GIB_PAGES;
      return { first, end: first + demand.pagesPerVcpu };
    });
    this.#pools = this.ranges.map(
      ({ first, end }) => new Frames(arena, { base: first, limit: end }, demand.vcpus),
    );
  }

  take(cpu: Context): Routine<number> {
    return this.#pools[cpu.seat]!.take(cpu);
  }

  give(cpu: Context, frame: number): boolean {
    const pool = this.#pools[this.#ownerOf(frame)];
    if (pool === undefined) return false;
    pool.give(cpu, frame);
    return true;
  }

  indexOf(frame: number): number {
    const owner = this.#ownerOf(frame);
    const range = this.ranges[owner];
    return range === undefined ? -1 : owner * (range.end - range.first) + frame - range.first;
  }

  /** vCPU whose pool a frame is of; none has that number if it is of no pool. */
  #ownerOf(frame: number): number {
    return (Math.floor(frame / GIB_PAGES) - this.#firstGib) / this.#gibs;
  }
}

/**
 * Pairs of pages at a distance. Each vCPU takes the first page of all its pairs, then the second of
 * all: so the second can be touched when the tables for the first have come and gone.
 */
class FarApart implements DataPages {
  readonly ranges: readonly PageRange[];
  readonly #pairs: number;
  readonly #used: number[]; // by each vCPU: private to its context

  constructor(after: number, demand: Demand) {
    const { stride, vcpus, pagesPerVcpu } = demand;
    const first = (Math.floor(after / stride) + 1) * stride;
    this.#pairs = pagesPerVcpu;
    this.#used = new Array<number>(vcpus).fill(0);
    this.ranges = Array.from({ length: vcpus * pagesPerVcpu }, (_, i) => {
      return { first: first + i * stride, end: first + i * stride + 2 };
    });
  }

  *take(cpu: Context): Routine<number> {
    const used = this.#used[cpu.seat]!;
    this.#used[cpu.seat] = used + 1;
    if (used >= 2 * this.#pairs) defect('FarApart.take', 'the workload asked for too few pages');
    const pair = this.ranges[cpu.seat * this.#pairs + (used % this.#pairs)]!;
    return pair.first + Math.floor(used / this.#pairs);
  }

  give(_cpu: Context, frame: number): boolean {
    return frame >= this.ranges[0]!.first; // never reused
  }

  indexOf(): number {
    return -1; // processes with areas are not run on such memory
  }
}
