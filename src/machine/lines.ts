/**
 * Cache-line ownership: which CPU wrote a line last, who shares it, and when it is free to move
 * again. A line that several CPUs modify moves from one to the next, one transfer after the other:
 * this serialisation, not a number written down anywhere, is what bounds a contended lock word.
 *
 * Leaves out: capacity misses, false sharing within plain data of one CPU, prefetch, directory and
 * mesh contention. Sources of the distances: the machine preset (NUMBERS.md A6).
 */
import type { Memory } from './memory.ts';

export interface LinePrices {
  readonly l1: number;
  readonly rmw: number;
  readonly llc: number;
  /** Cycles to move a dirty line between two CPUs. */
  transfer(from: number, to: number): number;
}

/** What a CPU finds of a line; a CPU is -1 where there is none. */
export interface LineState {
  readonly line: number;
  /** It may read, or modify, without asking anybody. */
  readonly isHere: boolean;
  readonly isAlone: boolean;
  readonly owner: number;
  /** From whom a modification fetches it. */
  readonly holder: number;
  /** Cycle from which it may move. */
  readonly free: number;
}

const HALVES_SHIFT_LINE = 4; // 16 halves of 32 bit in 64 bytes
const LINE_HALVES = 1 << HALVES_SHIFT_LINE;

/** Whether the half-word before that at `index` lies in the same line. */
export function isWithinLine(index: number): boolean {
  return (index & (LINE_HALVES - 1)) !== 0;
}

export class Lines {
  readonly #prices: LinePrices;
  readonly #l1: number;
  readonly #rmw: number;
  readonly #stride: number; // 32-bit words of the sharer set per line
  #owner = new Int16Array(0); // CPU + 1 of the last writer; 0 = nobody
  #free = new Float64Array(0); // cycle from which the line may move again
  /** CPU + 1 of the last writer while nobody else has read the line since; else 0. */
  #alone = new Int16Array(0);
  #sharers = new Int32Array(0);

  constructor(memory: Memory, cpus: number, prices: LinePrices) {
    this.#prices = prices;
    this.#l1 = prices.l1;
    this.#rmw = prices.rmw;
    this.#stride = Math.ceil(cpus / 32);
    memory.onGrow((halves) => this.#grow(halves >> HALVES_SHIFT_LINE));
  }

  /** Cycles that a load or a store takes right after one of the same kind to the same line. */
  again(_cpu: number, _now: number): number {
    return this.#l1;
  }

  /** Cycles that a load at `index` (of Memory.words) takes for `cpu` at `now`. */
  read(cpu: number, index: number, now: number): number {
    const line = index >> HALVES_SHIFT_LINE;
    const at = line * this.#stride + (cpu >> 5);
    const bit = 1 << (cpu & 31);
    if ((this.#sharers[at]! & bit) !== 0) return this.#l1;
    this.#sharers[at] = this.#sharers[at]! | bit;
    this.#alone[line] = 0;
    const owner = this.#owner[line]! - 1;
    if (owner < 0) return this.#prices.llc;
    return Math.max(0, this.#free[line]! - now) + this.#prices.transfer(owner, cpu);
  }

  /** Cycles that a store or a locked operation takes. */
  modify(cpu: number, index: number, now: number, locked: boolean): number {
    const line = index >> HALVES_SHIFT_LINE;
    const local = locked ? this.#rmw : this.#l1;
    return this.#alone[line] === cpu + 1 ? local : this.#fetch(cpu, line, now) + local;
  }

  /** Cycles until a line that others may have is this CPU's alone. */
  #fetch(cpu: number, line: number, now: number): number {
    const owner = this.#owner[line]! - 1;
    const far = this.#farthestOther(line, cpu);
    const move = far >= 0 ? this.#prices.transfer(far, cpu) : this.#moveFrom(owner, cpu);
    const start = Math.max(now, this.#free[line]!);
    this.#free[line] = start + move;
    this.#take(line, cpu);
    return start - now + move;
  }

  /** Where the line of `index` is, as `cpu` finds it. */
  protected state(cpu: number, index: number): LineState {
    const line = index >> HALVES_SHIFT_LINE;
    const owner = this.#owner[line]! - 1;
    const far = this.#farthestOther(line, cpu);
    return {
      line,
      isHere: (this.#sharers[line * this.#stride + (cpu >> 5)]! & (1 << (cpu & 31))) !== 0,
      isAlone: this.#alone[line] === cpu + 1,
      owner,
      holder: far >= 0 ? far : owner,
      free: this.#free[line]!,
    };
  }

  protected freeAt(line: number): number {
    return this.#free[line]!;
  }

  /** All lines of a range now belong to `cpu`: it has just zeroed them. */
  own(cpu: number, index: number, halves: number): void {
    const last = (index + halves - 1) >> HALVES_SHIFT_LINE;
    for (let line = index >> HALVES_SHIFT_LINE; line <= last; line++) this.#take(line, cpu);
  }

  #moveFrom(owner: number, cpu: number): number {
    if (owner < 0) return this.#prices.llc;
    return owner === cpu ? 0 : this.#prices.transfer(owner, cpu);
  }

  /** A sharer other than `cpu`, the farthest one; -1 if there is none. */
  #farthestOther(line: number, cpu: number): number {
    let far = -1;
    let worst = -1;
    for (let w = 0; w < this.#stride; w++) {
      let bits = this.#sharers[line * this.#stride + w]!;
      if (w === cpu >> 5) bits &= ~(1 << (cpu & 31));
      if (bits === 0) continue;
      // The lowest and the highest sharer of a word bound its distance: CPUs are numbered by
      // socket.
      const highest = w * 32 + 31 - Math.clz32(bits);
      const lowest = w * 32 + 31 - Math.clz32(bits & -bits);
      const fromHighest = this.#prices.transfer(highest, cpu);
      if (fromHighest > worst) {
        worst = fromHighest;
        far = highest;
      }
      const fromLowest = this.#prices.transfer(lowest, cpu);
      if (fromLowest > worst) {
        worst = fromLowest;
        far = lowest;
      }
    }
    return far;
  }

  #take(line: number, cpu: number): void {
    this.#owner[line] = cpu + 1;
    this.#alone[line] = cpu + 1;
    const at = line * this.#stride;
    if (this.#stride > 1) this.#sharers.fill(0, at, at + this.#stride);
    this.#sharers[at + (cpu >> 5)] = 1 << (cpu & 31);
  }

  #grow(lines: number): void {
    const owner = new Int16Array(lines);
    const alone = new Int16Array(lines);
    const free = new Float64Array(lines);
    const sharers = new Int32Array(lines * this.#stride);
    owner.set(this.#owner);
    alone.set(this.#alone);
    free.set(this.#free);
    sharers.set(this.#sharers);
    this.#owner = owner;
    this.#alone = alone;
    this.#free = free;
    this.#sharers = sharers;
  }
}
