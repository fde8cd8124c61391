/**
 * Memory under exploration: every frame has a fixed place, so that all copies of a system agree on
 * what an index means, and once `attach`ed every read and write of a half-word goes through a tape.
 * Reads are caught at the array itself: there is no accessor that could be forgotten.
 */
import { defect } from '../../base/assert.ts';
import { high, join } from '../../base/bits.ts';
import type { Tape } from '../../runtime/hart.ts';
import { FlatMemory } from '../flat-memory.ts';

export class TapeMemory extends FlatMemory {
  #tape: Tape | undefined;

  get tape(): Tape {
    return this.#tape ?? defect('TapeMemory', 'nothing is attached');
  }

  /** From now on the words are those of the tape. */
  attach(tape: Tape): void {
    this.#tape = tape;
    this.words = observed(tape);
  }

  /** From now on the words are those of `words`, unobserved: for onlookers. */
  show(words: Int32Array): void {
    this.words = words;
  }

  // The two doors by which code reaches words (`runtime/touches.ts`).

  override valueAt(at: number): number {
    const tape = this.#tape;
    if (tape === undefined) return super.valueAt(at);
    // As by the array, without the detour by a proxy: these two are most of what code does.
    this.#enter('plain');
    const lo = tape.read(at);
    const hi = tape.read(at + 1);
    this.#leave();
    return join(lo, hi);
  }

  override setValueAt(at: number, value: number): void {
    const tape = this.#tape;
    if (tape === undefined) {
      super.setValueAt(at, value);
      return;
    }
    this.#enter('plain');
    tape.write(at, value | 0);
    tape.write(at + 1, high(value));
    this.#leave();
  }

  /** What `peek` reads: for wait predicates, and for the holder of a lock. */
  override read(pa: number): number {
    this.#enter('glance');
    const value = super.read(pa);
    this.#leave();
    return value;
  }

  /** Only while code runs (`heard`): hardware uses the same accessors. */
  #enter(door: 'plain' | 'glance'): void {
    if (this.#tape?.heard !== undefined) this.#tape.touches.door = door;
  }

  #leave(): void {
    if (this.#tape !== undefined) this.#tape.touches.door = 'none';
  }

  override zeroFrame(pfn: number): void {
    if (this.#tape === undefined) super.zeroFrame(pfn);
    else this.#tape.zero(pfn);
  }
}

/** An array whose elements are what the tape answers, and whose stores go to the tape. */
function observed(tape: Tape): Int32Array {
  return new Proxy(tape.words, {
    get(words, property): unknown {
      if (typeof property === 'string') {
        const index = Number(property);
        if (index >= 0) return tape.read(index);
      }
      return Reflect.get(words, property, words);
    },
    set(_words, property, value: number): boolean {
      tape.write(Number(property), value | 0);
      return true;
    },
  });
}
