/**
 * What moves touched, one record each, in typed arrays. Records form a stack: an engine that has
 * gone on from a state and comes back drops those that were made since.
 *
 * Words get small numbers of their own when they are first met, so that engines can keep arrays
 * by word.
 */
import { enlarged } from './arrays.ts';
import type { Footprint } from './system.ts';

export class Records {
  /** Records kept; the next one gets this number. */
  count = 0;
  #accesses = new Int32Array(1 << 10); // word * 2, plus 1 if the word was written
  #ends = new Int32Array(1 << 8); // into accesses, per record
  readonly #numbers = new Map<number, number>();

  /** Words met so far. */
  get words(): number {
    return this.#numbers.size;
  }

  keep(touched: Footprint): number {
    const record = this.count++;
    if (this.count === this.#ends.length) this.#ends = enlarged(this.#ends, 2 * this.count);
    let at = this.from(record);
    const { length } = touched;
    while (at + length > this.#accesses.length) {
      this.#accesses = enlarged(this.#accesses, 2 * this.#accesses.length);
    }
    for (let i = 0; i < length; i++) {
      this.#accesses[at++] = this.#numberOf(touched.wordAt(i)) * 2 + (touched.wroteAt(i) ? 1 : 0);
    }
    this.#ends[record] = at;
    return record;
  }

  /** Forgets the records from number `count` on. */
  drop(count: number): void {
    this.count = count;
  }

  /** First access of a record, and the end of them. */
  from(record: number): number {
    return record === 0 ? 0 : this.#ends[record - 1]!;
  }

  end(record: number): number {
    return this.#ends[record]!;
  }

  wordAt(access: number): number {
    return this.#accesses[access]! >>> 1;
  }

  wroteAt(access: number): boolean {
    return (this.#accesses[access]! & 1) === 1;
  }

  /** Whether both touched a word that one of them wrote. */
  conflict(one: number, other: number): boolean {
    const accesses = this.#accesses;
    const from = this.from(other);
    const end = this.end(other);
    for (let i = this.from(one); i < this.end(one); i++) {
      const access = accesses[i]!;
      for (let j = from; j < end; j++) {
        const both = accesses[j]!;
        if (access >>> 1 === both >>> 1 && ((access | both) & 1) === 1) return true;
      }
    }
    return false;
  }

  /**
   * Whether all that conflicts with `part` conflicts with `whole` or touches what `writer` wrote.
   */
  covers(whole: number, part: number, writer: number): boolean {
    for (let i = this.from(part); i < this.end(part); i++) {
      const access = this.#accesses[i]!;
      if (!this.#holds(whole, access) && !this.#holds(writer, access | 1)) return false;
    }
    return true;
  }

  /** Whether a record wrote the word of an access, or read it if the access only read. */
  #holds(record: number, access: number): boolean {
    for (let i = this.from(record); i < this.end(record); i++) {
      if (this.#accesses[i] === access || this.#accesses[i] === (access | 1)) return true;
    }
    return false;
  }

  #numberOf(word: number): number {
    const known = this.#numbers.get(word);
    if (known !== undefined) return known;
    this.#numbers.set(word, this.#numbers.size);
    return this.#numbers.size - 1;
  }
}
