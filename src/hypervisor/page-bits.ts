/**
 * One bit per page, set by whoever finds the page written to and taken by whoever reads the log.
 * Words hold 32 pages: so many that a word of an answer, which is a number, holds as many.
 */
import { num, type Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import type { PageRange } from './mmu/common.ts';
import type { Platform } from './platform.ts';

/** Pages whose bits one word holds. */
export const PAGES_PER_WORD = 32;

export class PageBits {
  readonly #at: number;

  constructor({ arena }: Platform, pages: number) {
    this.#at = arena.take(Math.ceil(pages / PAGES_PER_WORD) * 8);
  }

  /** Sets the bits of a range: one locked operation per word. */
  *mark(cpu: Context, range: PageRange, label: string): Routine<void> {
    for (let word = wordOf(range.first); word <= wordOf(range.end - 1); word++) {
      yield cpu.or(this.#at + word * 8, maskOf(word, range), label);
    }
  }

  /** Pages of a range whose bits were set, ascending; the bits are clear from then on. */
  *take(cpu: Context, range: PageRange, label: string): Routine<number[]> {
    const pages: number[] = [];
    for (let word = wordOf(range.first); word <= wordOf(range.end - 1); word++) {
      const at = this.#at + word * 8;
      const mask = maskOf(word, range);
      cpu.attempt('bits.take');
      const isSet = (num(yield cpu.load(at, 'bits.look')) & mask) !== 0;
      if (isSet) {
        pushPages(pages, word, num(yield cpu.and(at, ~mask, -1, label)) & mask);
      } else cpu.conclude('bits.take', 0);
    }
    return pages;
  }

  /** Pages of a range whose bits are set, ascending; they stay set. */
  *look(cpu: Context, range: PageRange): Routine<number[]> {
    const pages: number[] = [];
    for (let word = wordOf(range.first); word <= wordOf(range.end - 1); word++) {
      const bits = num(yield cpu.load(this.#at + word * 8, 'bits.look-only'));
      pushPages(pages, word, bits & maskOf(word, range));
    }
    return pages;
  }

  /** For onlookers. */
  isMarked(view: { read(at: number): number }, page: number): boolean {
    const bits = view.read(this.#at + wordOf(page) * 8);
    return (bits & maskOf(wordOf(page), { first: page, end: page + 1 })) !== 0;
  }
}

function wordOf(page: number): number {
  return Math.floor(page / PAGES_PER_WORD);
}

/** Bits of a word that belong to pages of the range. */
function maskOf(word: number, { first, end }: PageRange): number {
  const base = word * PAGES_PER_WORD;
  const from = Math.max(0, first - base);
  const to = Math.min(PAGES_PER_WORD, end - base);
  return 2 ** to - 2 ** from;
}

function pushPages(pages: number[], word: number, bits: number): void {
  for (let left = bits; left !== 0; left &= left - 1) {
    pages.push(word * PAGES_PER_WORD + 31 - Math.clz32(left & -left));
  }
}
