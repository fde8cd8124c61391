/**
 * Who waits for which word. A wait is one act with a predicate over words; the memory tells this
 * list of every store to a line that somebody watches, and the list wakes those whose predicate now
 * holds. Nobody spins, so a waiter costs nothing until it is woken.
 */

import type { Cpu } from './cpu.ts';
import type { Memory } from './memory.ts';

interface Waiter {
  readonly cpu: Cpu;
  readonly lines: readonly number[];
  readonly ready: () => boolean;
}

export class Waiters {
  readonly #memory: Memory;
  #watched = new Uint16Array(0); // waiters per line; nothing until somebody waits
  #list: Waiter[] = [];

  constructor(memory: Memory) {
    this.#memory = memory;
    memory.onGrow((halves) => {
      if (this.#watched.length !== 0) this.#grow(halves);
    });
  }

  /** `indices`: of the words that `ready` reads. */
  add(cpu: Cpu, indices: readonly number[], ready: () => boolean): void {
    if (this.#watched.length === 0) this.#grow(this.#memory.words.length);
    const lines = indices.map((index) => index >> 4);
    for (const line of lines) this.#watched[line] = this.#watched[line]! + 1;
    this.#list.push({ cpu, lines, ready });
  }

  #grow(halves: number): void {
    const larger = new Uint16Array(halves >> 4);
    larger.set(this.#watched);
    this.#watched = larger;
  }

  /** Forgets the wait of `cpu`, if it has one. */
  remove(cpu: Cpu): void {
    if (this.#list.length === 0) return;
    const found = this.#list.find((w) => w.cpu === cpu);
    if (found === undefined) return;
    for (const line of found.lines) this.#watched[line] = this.#watched[line]! - 1;
    this.#list = this.#list.filter((w) => w !== found);
  }

  isWatched(index: number): boolean {
    return this.#list.length !== 0 && this.#watched[index >> 4] !== 0;
  }

  /** CPUs, in the order they began to wait, that a store to the line of `index` sets free. */
  freedBy(index: number): Cpu[] {
    const line = index >> 4;
    return this.#list.filter((w) => w.lines.includes(line) && w.ready()).map((w) => w.cpu);
  }
}
