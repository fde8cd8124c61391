/**
 * Memory of so many frames, each where its number says: all copies of a system agree on what an
 * index means. The last frame holds the bells of the exam.
 */
import { defect } from '../base/assert.ts';
import { FRAME_HALVES } from '../runtime/hart.ts';
import { BELLS } from './instruction.ts';
import { FRAME_BYTES, Memory } from './memory.ts';

export class FlatMemory extends Memory {
  readonly #frames: number;

  /** `words`: of all frames, zero. */
  constructor(words: Int32Array) {
    super({ frames: 0, slots: 0 }); // it has words of its own, and looks no frame up
    this.words = words;
    this.#frames = words.length / FRAME_HALVES;
  }

  override get frameLimit(): number {
    return this.#frames - 1;
  }

  override indexOf(pa: number): number {
    const pfn = pa >= BELLS ? this.#frames - 1 : Math.floor(pa / FRAME_BYTES);
    return this.base(pfn) | ((pa & 0xff8) >> 2);
  }

  override place(pa: number): number {
    return this.indexOf(pa);
  }

  override base(pfn: number): number {
    if (pfn >= this.#frames) defect('FlatMemory', `frame ${pfn} is past the ${this.#frames}`);
    return pfn * FRAME_HALVES;
  }

  override placeFrame(pfn: number): number {
    return this.base(pfn);
  }

  override isMaterialised(pfn: number): boolean {
    return pfn < this.#frames;
  }

  override zeroFrame(pfn: number): void {
    this.words.fill(0, this.base(pfn), this.base(pfn) + FRAME_HALVES);
  }

  override frames(): number[] {
    return Array.from({ length: this.#frames }, (_, pfn) => pfn);
  }
}
