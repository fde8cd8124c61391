/**
 * What a walk leaves behind besides its result: the accessed and dirty bits that it has to write,
 * and, when somebody asks, every entry that it read. Both are preallocated and reused.
 *
 * Source: Intel SDM vol. 3, 4.8 and 28.3.5: the flags are set by locked read-modify-writes; here
 * the writes of one translation that succeeded are made together at its end, as one act.
 * Leaves out: flags set by a translation that faults, which manuals allow and do not require.
 */
import { defect } from '../base/assert.ts';
import type { Memory } from './memory.ts';

/** Most entries that one walk reads: five guest levels over five nested ones. */
const MOST_ENTRIES = 64;

/** Accessed and dirty bits to be set by one walk; each word appears once. */
export class Changes {
  count = 0;
  /** Whether something was added that is not yet in memory. */
  pending = false;
  /** Cleared by those who only ask what a walk would write. */
  applied = true;
  readonly pa = new Float64Array(MOST_ENTRIES);
  /** Bits of the low half that the walk sets. */
  readonly bits = new Int32Array(MOST_ENTRIES);
  readonly #at = new Int32Array(MOST_ENTRIES);
  readonly #seen = new Int32Array(MOST_ENTRIES);

  /** Notes `bits` for the word whose low half lies at index `at` and was read as `seen`. */
  add(at: number, pa: number, bits: number, seen: number): void {
    this.pending = true;
    for (let i = 0; i < this.count; i++) {
      if (this.#at[i] === at) {
        this.bits[i] |= bits;
        return;
      }
    }
    if (this.count === MOST_ENTRIES) defect('Changes.add', `more than ${MOST_ENTRIES} entries`);
    this.#at[this.count] = at;
    this.pa[this.count] = pa;
    this.bits[this.count] = bits;
    this.#seen[this.count] = seen;
    this.count++;
  }

  clear(): void {
    this.count = 0;
    this.pending = false;
  }

  /** Whether a word gets a bit of `mask` that it has not. */
  sets(mask: number): boolean {
    for (let i = 0; i < this.count; i++) {
      if ((this.bits[i]! & mask & ~this.#seen[i]!) !== 0) return true;
    }
    return false;
  }

  /**
   * Sets the bits in memory; setting them twice does no harm. False if an entry is no more what the
   * walk read, as only other threads can bring about: the walk is to be made again.
   */
  apply(memory: Memory): boolean {
    this.pending = false;
    if (!this.applied) return true;
    for (let i = 0; i < this.count; i++) {
      if (!memory.setFlags(this.#at[i], this.#seen[i], this.bits[i])) return false;
    }
    return true;
  }
}

/** Where hardware notes pages whose dirty bit it sets (page-modification logging). */
export interface PageLog {
  /** Notes a page, before the bit is set; false if there is no room: then nothing is done. */
  take(page: number): boolean;
}

/** Every entry read by one walk, in order. */
export class WalkTrace {
  count = 0;
  /** 1: the only stage, or the guest's tables; 2: the second stage. */
  readonly stage = new Uint8Array(MOST_ENTRIES);
  readonly level = new Uint8Array(MOST_ENTRIES);
  readonly index = new Int32Array(MOST_ENTRIES);
  readonly pa = new Float64Array(MOST_ENTRIES);
  readonly lo = new Int32Array(MOST_ENTRIES);
  readonly hi = new Int32Array(MOST_ENTRIES);
  readonly verdict = new Int8Array(MOST_ENTRIES);

  add(
    stage: number,
    level: number,
    index: number,
    pa: number,
    lo: number,
    hi: number,
    verdict: number,
  ): void {
    const i = this.count++;
    this.stage[i] = stage;
    this.level[i] = level;
    this.index[i] = index;
    this.pa[i] = pa;
    this.lo[i] = lo;
    this.hi[i] = hi;
    this.verdict[i] = verdict;
  }
}
