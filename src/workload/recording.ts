/**
 * A recorded program ready to be replayed: its lines as the machine's accesses, seen through a
 * larger filter than the one they were recorded with, where speed asks for it.
 *
 * Widening keeps a line unless its page is among the `filter` pages referenced last and was
 * referenced in the same way since it came among them. A page that comes back so soon has its
 * translation, with the right it needs, in any LRU TLB with as many entries; a TLB fed with the
 * kept lines alone does not see the references that keep such pages recent, so it should have at
 * least twice as many. Whatever the TLB, the first access of each kind to each page is kept, so
 * page faults, second-stage faults and dirty bits are those of all lines; what can differ is how
 * often a TLB walks again. Measured with 1536 entries, 12 ways, round robin: 64 pages lose 2 to 3 %
 * of the misses of sort and gzip (394 of 401, 302 of 310), 128 pages 5 % of redis' (47,712 of
 * 50,318).
 */
import type { Area } from '../guest/program/recorded.ts';
import { ACCESS, type AccessLines } from '../guest/program/replay.ts';
import { FETCH, type PageTrace, READ, WRITE } from './trace/page-trace.ts';

const NOWHERE = -1;
const MOST_INSTRUCTIONS = 2 ** 32 - 1;
/** The machine's access by the trace's kind. */
const ACCESS_OF: readonly number[] = byKind();
/** Pages of a 48-bit address space: what page tables of four levels tell apart. */
const SPACE_PAGES = 2 ** 36;
/** Pages between two touched ones that are taken to be mapped as well. */
const GAP = 16;

export interface Recording {
  readonly program: string;
  readonly lines: AccessLines;
  /** Lines of the file: accesses as they were recorded. */
  readonly accesses: number;
  readonly pages: number;
  /** Runs of its pages, ascending: what a kernel would keep as its mapped areas. */
  readonly areas: readonly Area[];
}

/** `filter`: pages of the LRU list; no larger than the recording's own leaves it as it is. */
export function recordingOf(trace: PageTrace, filter: number): Recording {
  const kept = filter > trace.filter && trace.filter > 0 ? widen(trace, filter) : everyLine(trace);
  return {
    program: trace.header.program,
    lines: linesOf(trace, kept),
    accesses: trace.kinds.length,
    pages: trace.pageOf.length,
    areas: areasOf(trace.pageOf),
  };
}

/** Numbers of the lines that pass, in order. */
function widen(trace: PageTrace, filter: number): Int32Array {
  const { kinds, pages } = trace;
  const recent = new RecentPages(trace.pageOf.length, filter);
  const kept = new Int32Array(kinds.length);
  let count = 0;
  for (let line = 0; line < kinds.length; line++) {
    if (recent.isNews(pages[line]!, 1 << kinds[line]!)) kept[count++] = line;
  }
  return kept.subarray(0, count);
}

function everyLine(trace: PageTrace): Int32Array {
  const lines = new Int32Array(trace.kinds.length);
  for (let line = 0; line < lines.length; line++) lines[line] = line;
  return lines;
}

/**
 * The `size` pages referenced last, the most recent first, as a list linked through two arrays: the
 * LruFilter of trace/filter.ts with page indices in place of numbers, so that nothing is searched.
 */
class RecentPages {
  readonly #size: number;
  readonly #newer: Int32Array;
  readonly #older: Int32Array;
  /** Per page: in which ways it was referenced during its stay; 0 = not in the list. */
  readonly #ways: Uint8Array;
  #newest = NOWHERE;
  #oldest = NOWHERE;
  #count = 0;

  constructor(pages: number, size: number) {
    this.#size = size;
    this.#newer = new Int32Array(pages).fill(NOWHERE);
    this.#older = new Int32Array(pages).fill(NOWHERE);
    this.#ways = new Uint8Array(pages);
  }

  /** Makes the page the most recent one; false if it was here and was referenced this way. */
  isNews(page: number, way: number): boolean {
    const before = this.#ways[page]!;
    this.#ways[page] = before | way;
    if (page !== this.#newest) {
      if (before !== 0) this.#unlink(page);
      else if (this.#count === this.#size) this.#drop(this.#oldest);
      else this.#count++;
      this.#putFirst(page);
    }
    return (before & way) === 0;
  }

  #drop(page: number): void {
    this.#ways[page] = 0;
    this.#unlink(page);
  }

  #unlink(page: number): void {
    const newer = this.#newer[page]!;
    const older = this.#older[page]!;
    if (newer === NOWHERE) this.#newest = older;
    else this.#older[newer] = older;
    if (older === NOWHERE) this.#oldest = newer;
    else this.#newer[older] = newer;
  }

  #putFirst(page: number): void {
    this.#older[page] = this.#newest;
    this.#newer[page] = NOWHERE;
    if (this.#newest === NOWHERE) this.#oldest = page;
    else this.#newer[this.#newest] = page;
    this.#newest = page;
  }
}

/**
 * The kept lines, in memory that threads share. Instructions of the others go to the next one kept;
 * those after the last go to one more access to its page, which hits.
 */
function linesOf(trace: PageTrace, kept: Int32Array): AccessLines {
  const end = kept.length;
  const pageOf = new Float64Array(new SharedArrayBuffer(trace.pageOf.length * 8));
  pageOf.set(trace.pageOf);
  const pages = new Int32Array(new SharedArrayBuffer((end + 1) * 4));
  const kinds = new Uint8Array(new SharedArrayBuffer(end + 1));
  const instructions = new Uint32Array(new SharedArrayBuffer((end + 1) * 4));
  let line = 0;
  let all = 0;
  for (let i = 0; i < end; i++) {
    const own = kept[i]!;
    let sum = 0;
    while (line <= own) sum += trace.instructions[line++]!;
    pages[i] = trace.pages[own]!;
    kinds[i] = ACCESS_OF[trace.kinds[own]!]!;
    instructions[i] = Math.min(sum, MOST_INSTRUCTIONS);
    all += sum;
  }
  const tail = trace.header.instructions - all;
  if (end === 0 || tail <= 0) return firstLines({ pageOf, pages, kinds, instructions }, end);
  pages[end] = pages[end - 1]!;
  kinds[end] = kinds[end - 1]!;
  instructions[end] = Math.min(tail, MOST_INSTRUCTIONS);
  return { pageOf, pages, kinds, instructions };
}

function firstLines({ pageOf, pages, kinds, instructions }: AccessLines, end: number): AccessLines {
  return {
    pageOf,
    pages: pages.subarray(0, end),
    kinds: kinds.subarray(0, end),
    instructions: instructions.subarray(0, end),
  };
}

function byKind(): number[] {
  const access: number[] = [];
  access[FETCH] = ACCESS.execute;
  access[READ] = ACCESS.read;
  access[WRITE] = ACCESS.write;
  return access;
}

function areasOf(pageOf: Float64Array): Area[] {
  const areas: { first: number; end: number }[] = [];
  for (const page of Float64Array.from(pageOf, (each) => each % SPACE_PAGES).sort()) {
    const last = areas.at(-1);
    if (last !== undefined && page <= last.end + GAP) last.end = page + 1;
    else areas.push({ first: page, end: page + 1 });
  }
  return areas;
}
