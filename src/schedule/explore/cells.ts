/**
 * Numbers in rows of one width, all zero at first, with what it takes to go back: for each step the
 * cells that it changed, as they were before.
 */
import { enlarged } from './arrays.ts';

export class Cells {
  readonly width: number;
  #values = new Int32Array(1 << 10);
  #rows = 0;
  #log = new Int32Array(1 << 10); // (cell, old value) pairs
  #length = 0;
  #from = new Int32Array(1 << 8); // per step: where its pairs begin
  #steps = 0;

  constructor(width: number) {
    this.width = width;
  }

  /** First cell of `count` new rows; they stay when steps are taken back, and are zero again. */
  add(count: number): number {
    const first = this.#rows * this.width;
    this.#rows += count;
    const end = this.#rows * this.width;
    if (end > this.#values.length) this.#values = enlarged(this.#values, 2 * end);
    return first;
  }

  /** All cells, to be read; another array after `add`. */
  get values(): Int32Array {
    return this.#values;
  }

  at(cell: number): number {
    return this.#values[cell]!;
  }

  set(cell: number, value: number): void {
    const old = this.#values[cell]!;
    if (old === value) return;
    if (this.#length + 2 > this.#log.length) this.#log = enlarged(this.#log, 2 * this.#log.length);
    this.#log[this.#length++] = cell;
    this.#log[this.#length++] = old;
    this.#values[cell] = value;
  }

  begin(): void {
    if (this.#steps === this.#from.length) this.#from = enlarged(this.#from, 2 * this.#steps);
    this.#from[this.#steps++] = this.#length;
  }

  back(): void {
    const from = this.#from[--this.#steps]!;
    while (this.#length > from) {
      const old = this.#log[--this.#length]!;
      this.#values[this.#log[--this.#length]!] = old;
    }
  }

  // --- rows as clocks --------------------------------------------------------------------------

  row(first: number): Int32Array {
    return this.#values.slice(first, first + this.width);
  }

  copy(to: number, from: number): void {
    for (let i = 0; i < this.width; i++) this.set(to + i, this.#values[from + i]!);
  }

  /** Each cell of row `to` becomes the larger one. */
  join(to: number, from: number): void {
    for (let i = 0; i < this.width; i++) {
      if (this.#values[from + i]! > this.#values[to + i]!)
        this.set(to + i, this.#values[from + i]!);
    }
  }

  joinRow(to: number, row: Int32Array): void {
    for (let i = 0; i < this.width; i++) if (row[i]! > this.at(to + i)) this.set(to + i, row[i]!);
  }

  put(to: number, row: Int32Array): void {
    for (let i = 0; i < this.width; i++) this.set(to + i, row[i]!);
  }
}
