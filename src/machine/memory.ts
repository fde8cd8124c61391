/**
 * Physical memory: the one place where shared state lives (DESIGN.md law 1). Words are 64 bit, held
 * as two 32-bit halves in one Int32Array, low half first. Frames are 4 KiB and materialise on the
 * first write, so that a machine with millions of data frames costs only its tables, locks and
 * books.
 *
 * Leaves out: byte accesses, memory types, ECC. A frame that nobody wrote reads as zero, or, for a
 * dump of a real machine (`holes: 'absent'`), is a hole.
 */
import { defect } from '../base/assert.ts';
import { high, join } from '../base/bits.ts';

export const FRAME_SHIFT = 12;
export const FRAME_BYTES = 4096;
const HALVES_SHIFT = 10; // 1024 halves of 32 bit in a frame
const BYTES = 4096;
const PER_BYTE = 1 / BYTES;
/** Frame numbers below this are indexes of an array; those beyond are keys of a map. */
const NEAR_FRAMES = 1 << 26;
const NEAR_END = NEAR_FRAMES * BYTES;

/** Where the low half of the word at a physical address lies; negative: a hole. */
export class Memory {
  /** All materialised frames. Replaced by a larger array when it grows: never keep a copy. */
  words: Int32Array;
  readonly #holes: 'zero' | 'absent';
  #slots: Int32Array; // frame number -> frame of `words`; 0 = not materialised
  readonly #far = new Map<number, number>(); // the same for frame numbers past #slots' limit
  #used = 1; // frame 0 of `words` stays zero: it is what absent frames read as
  readonly #whenGrown: ((halves: number) => void)[] = [];

  constructor(options: { holes?: 'zero' | 'absent'; frames?: number; slots?: number } = {}) {
    this.#holes = options.holes ?? 'zero';
    this.words = new Int32Array((options.frames ?? 256) << HALVES_SHIFT);
    this.#slots = new Int32Array(options.slots ?? 1 << 12);
  }

  /** Number of frames that there are; only explored memory has an end. */
  get frameLimit(): number {
    return Number.POSITIVE_INFINITY;
  }

  /** Tells every `hook` the number of halves whenever the backing array is replaced, and now. */
  onGrow(hook: (halves: number) => void): void {
    this.#whenGrown.push(hook);
    hook(this.words.length);
  }

  /** Index of the word's low half, for reading; the shared zero frame where nothing was written. */
  indexOf(pa: number): number {
    const slot = this.#slotOf(pa);
    if (slot === 0 && this.#holes === 'absent') return -1;
    return (slot << HALVES_SHIFT) | ((pa & 0xff8) >> 2);
  }

  /** Index of the word's low half, for writing: materialises the frame. */
  place(pa: number): number {
    const known = this.#slotOf(pa);
    const slot = known === 0 ? this.#materialise(Math.floor(pa / BYTES)) : known;
    return (slot << HALVES_SHIFT) | ((pa & 0xff8) >> 2);
  }

  /**
   * Index of a frame's first half, for reading; word i lies 2 * i further. In a hole both are
   * negative.
   */
  base(pfn: number): number {
    const slot = pfn < this.#slots.length ? this.#slots[pfn]! : (this.#far.get(pfn) ?? 0);
    return slot === 0 && this.#holes === 'absent' ? -(1 << HALVES_SHIFT) : slot << HALVES_SHIFT;
  }

  /** The same for writing: materialises the frame. */
  placeFrame(pfn: number): number {
    const slot = pfn < this.#slots.length ? this.#slots[pfn]! : (this.#far.get(pfn) ?? 0);
    return (slot === 0 ? this.#materialise(pfn) : slot) << HALVES_SHIFT;
  }

  /** The word whose low half lies at index `at`, as a number below 2^53. */
  valueAt(at: number): number {
    return join(this.words[at]!, this.words[at + 1]!);
  }

  setValueAt(at: number, value: number): void {
    this.words[at] = value | 0;
    this.words[at + 1] = high(value);
  }

  /** The word at `pa` as a number below 2^53. */
  read(pa: number): number {
    const at = this.indexOf(pa);
    if (at < 0) defect('Memory.read', `hole at 0x${pa.toString(16)}`);
    return join(this.words[at]!, this.words[at + 1]!);
  }

  write(pa: number, value: number): void {
    const at = this.place(pa);
    this.words[at] = value | 0;
    this.words[at + 1] = high(value);
  }

  writeHalves(pa: number, lo: number, hi: number): void {
    const at = this.place(pa);
    this.words[at] = lo;
    this.words[at + 1] = hi;
  }

  /**
   * Sets bits of the half-word that a walk read as `seen`; false if it holds something else by now.
   */
  setFlags(at: number, _seen: number, bits: number): boolean {
    this.words[at] = this.words[at]! | bits;
    return true;
  }

  isMaterialised(pfn: number): boolean {
    return (pfn < this.#slots.length ? this.#slots[pfn]! : (this.#far.get(pfn) ?? 0)) !== 0;
  }

  /** Sets every word of a frame to zero; free if nobody ever wrote to it. */
  zeroFrame(pfn: number): void {
    if (!this.isMaterialised(pfn)) return;
    const at = this.place(pfn * FRAME_BYTES);
    this.words.fill(0, at, at + (1 << HALVES_SHIFT));
  }

  /** Gives every word of frame `to` the value it has in `from`; a frame nobody wrote is zero. */
  copyFrame(from: number, to: number): void {
    if (!this.isMaterialised(from)) {
      this.zeroFrame(to);
      return;
    }
    const target = this.placeFrame(to);
    const source = this.base(from);
    this.words.copyWithin(target, source, source + (1 << HALVES_SHIFT));
  }

  /** Materialised frame numbers in ascending order. */
  frames(): number[] {
    const near: number[] = [];
    for (let pfn = 0; pfn < this.#slots.length; pfn++) if (this.#slots[pfn] !== 0) near.push(pfn);
    return near.concat([...this.#far.keys()].sort((a, b) => a - b));
  }

  /** Frame of `words` in which a physical address lies; 0 if its frame is not materialised. */
  #slotOf(pa: number): number {
    if (pa < NEAR_END) {
      const pfn = (pa * PER_BYTE) | 0;
      return pfn < this.#slots.length ? this.#slots[pfn]! : 0;
    }
    return this.#far.get(Math.floor(pa / BYTES)) ?? 0;
  }

  #materialise(pfn: number): number {
    const slot = this.#used++;
    if ((slot + 1) << HALVES_SHIFT > this.words.length) this.#growWords();
    if (pfn < NEAR_FRAMES) {
      if (pfn >= this.#slots.length) this.#growSlots(pfn);
      this.#slots[pfn] = slot;
    } else {
      this.#far.set(pfn, slot);
    }
    return slot;
  }

  #growWords(): void {
    const larger = new Int32Array(this.words.length * 2);
    larger.set(this.words);
    this.words = larger;
    for (const hook of this.#whenGrown) hook(larger.length);
  }

  #growSlots(pfn: number): void {
    let length = this.#slots.length;
    while (length <= pfn) length *= 2;
    const larger = new Int32Array(length);
    larger.set(this.#slots);
    this.#slots = larger;
  }
}
