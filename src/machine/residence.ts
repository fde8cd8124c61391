/**
 * Where guest pages lie that are only looked at and therefore never enter a TLB: plain words of a
 * guest hypervisor. Remembered are the entries that a walk read, with their values: as long as all
 * of them still hold these, a walk would end where that one did. No part of the hardware, and no
 * time: it spares the simulator a walk for each plain word.
 */
import { indexAt } from './format/format.ts';
import type { Memory } from './memory.ts';
import type { Walker } from './walk.ts';

const PLACES = 1 << 10;
/** Entries of one walk, at most. */
const DEPTH = 5;

export class Residence {
  readonly #memory: Memory;
  readonly #page = new Float64Array(PLACES).fill(-1);
  readonly #root = new Float64Array(PLACES);
  readonly #access = new Uint8Array(PLACES);
  readonly #frame = new Float64Array(PLACES);
  readonly #entries = new Uint8Array(PLACES);
  /** Index of each entry's low half in the memory's words, and its two halves. */
  readonly #at = new Int32Array(PLACES * DEPTH);
  readonly #lo = new Int32Array(PLACES * DEPTH);
  readonly #hi = new Int32Array(PLACES * DEPTH);

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  /** Frame of a page under the tables at `root` if the walk is remembered and still good; or -1. */
  find(root: number, page: number, access: number): number {
    const place = placeOf(root, page, access);
    const isKnown = this.#page[place] === page && this.#root[place] === root;
    if (!isKnown || this.#access[place] !== access) return -1;
    const { words } = this.#memory;
    const end = place * DEPTH + this.#entries[place]!;
    for (let i = place * DEPTH; i < end; i++) {
      const at = this.#at[i]!;
      if (words[at] !== this.#lo[i] || words[at + 1] !== this.#hi[i]) return -1;
    }
    return this.#frame[place]!;
  }

  /** Remembers the walk from `root` that has just succeeded. */
  keep(root: number, page: number, access: number, walker: Walker): void {
    const { geometry } = walker.format;
    const { words } = this.#memory;
    const place = placeOf(root, page, access);
    let i = place * DEPTH;
    for (let level = geometry.levels - 1; level >= walker.level; level--) {
      const at = this.#memory.base(walker.tables[level]!) + 2 * indexAt(geometry, page, level);
      this.#at[i] = at;
      this.#lo[i] = words[at]!;
      this.#hi[i] = words[at + 1]!;
      i++;
    }
    this.#entries[place] = geometry.levels - walker.level;
    this.#page[place] = page;
    this.#root[place] = root;
    this.#access[place] = access;
    this.#frame[place] = walker.pfn;
  }
}

function placeOf(root: number, page: number, access: number): number {
  return (page ^ Math.imul(root, 0x9e5) ^ (access << 9)) & (PLACES - 1);
}
