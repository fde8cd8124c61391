/**
 * A page trace in memory: which page a program touched in which way, line by line, and how many
 * instructions it ran in between. Also the builder that collects one.
 *
 * A line stands for the first fetch, read or write of a page since that page last entered a small
 * fully associative LRU list (filter.ts); accesses that such a list would have absorbed are gone.
 * What a trace cannot say: offsets within a page, access sizes, which thread ran, time, and
 * anything the kernel read or wrote on the program's behalf.
 */

export const FETCH = 0;
export const READ = 1;
export const WRITE = 2;

export type Kind = typeof FETCH | typeof READ | typeof WRITE;

/** Bad input: one sentence that names the line or byte offset. */
export class TraceError extends Error {
  override readonly name = 'TraceError';
}

/** What is known of a recording; a source that does not count something says null. */
export interface TraceHeader {
  readonly program: string;
  readonly command: string | null;
  readonly references: number | null;
  readonly instructions: number;
  readonly loads: number | null;
  readonly stores: number | null;
  readonly modifies: number | null;
  readonly pages: number;
  readonly writtenPages: number;
  readonly lines: number;
}

export interface PageTrace {
  readonly header: TraceHeader;
  readonly pageBits: number;
  /** Pages in the LRU list the lines were filtered through; 0 keeps only first touches. */
  readonly filter: number;
  /** Per line: FETCH, READ or WRITE. */
  readonly kinds: Uint8Array;
  /** Per line: index into `pageOf`. Pages are numbered in the order of their first touch. */
  readonly pages: Int32Array;
  /** Per line: instructions begun since the previous line, the line's own fetch included. */
  readonly instructions: Uint32Array;
  /** Page numbers (address >> pageBits), below 2^52, hence exact. */
  readonly pageOf: Float64Array;
}

/** The counts that only the source of a trace can know. */
export type Origin = Pick<
  TraceHeader,
  'program' | 'command' | 'references' | 'loads' | 'stores' | 'modifies'
> & { readonly instructions?: number };

/** Page numbers of a 64-bit address space with 4 KiB pages. */
export const PAGE_LIMIT = 2 ** 52;
const INSTRUCTION_LIMIT = 2 ** 32 - 1;
const FIRST_CAPACITY = 1 << 14;

/** Collects lines and numbers their pages. Takes 9 bytes per line, so 1 G lines fit in 9 GB. */
export class TraceBuilder {
  readonly #pageBits: number;
  readonly #filter: number;
  readonly #indexOf = new Map<number, number>();
  #kinds = new Uint8Array(FIRST_CAPACITY);
  #pages = new Int32Array(FIRST_CAPACITY);
  #instructions = new Uint32Array(FIRST_CAPACITY);
  #lines = 0;
  #instructionSum = 0;

  constructor(pageBits: number, filter: number) {
    this.#pageBits = pageBits;
    this.#filter = filter;
  }

  get lines(): number {
    return this.#lines;
  }

  append(kind: number, page: number, instructions: number): void {
    if (instructions > INSTRUCTION_LIMIT) {
      throw new TraceError(
        `line ${this.#lines + 1} of the trace would stand for ${instructions} instructions, ` +
          `more than the ${INSTRUCTION_LIMIT} a line can hold`,
      );
    }
    if (this.#lines === this.#kinds.length) this.#grow();
    let index = this.#indexOf.get(page);
    if (index === undefined) {
      index = this.#indexOf.size;
      this.#indexOf.set(page, index);
    }
    this.#kinds[this.#lines] = kind;
    this.#pages[this.#lines] = index;
    this.#instructions[this.#lines] = instructions;
    this.#lines++;
    this.#instructionSum += instructions;
  }

  finish(origin: Origin): PageTrace {
    const kinds = this.#kinds.slice(0, this.#lines);
    const pages = this.#pages.slice(0, this.#lines);
    const { program, command, references, loads, stores, modifies } = origin;
    return {
      header: {
        program,
        command,
        references,
        instructions: origin.instructions ?? this.#instructionSum,
        loads,
        stores,
        modifies,
        pages: this.#indexOf.size,
        writtenPages: countWritten(kinds, pages, this.#indexOf.size),
        lines: this.#lines,
      },
      pageBits: this.#pageBits,
      filter: this.#filter,
      kinds,
      pages,
      instructions: this.#instructions.slice(0, this.#lines),
      pageOf: Float64Array.from(this.#indexOf.keys()),
    };
  }

  #grow(): void {
    const capacity = this.#kinds.length * 2;
    const kinds = new Uint8Array(capacity);
    const pages = new Int32Array(capacity);
    const instructions = new Uint32Array(capacity);
    kinds.set(this.#kinds);
    pages.set(this.#pages);
    instructions.set(this.#instructions);
    this.#kinds = kinds;
    this.#pages = pages;
    this.#instructions = instructions;
  }
}

/** How many distinct pages the lines write. */
export function countWritten(kinds: Uint8Array, pages: Int32Array, pageCount: number): number {
  const written = new Uint8Array(pageCount);
  for (let line = 0; line < kinds.length; line++) {
    if (kinds[line] === WRITE) written[pages[line]] = 1;
  }
  let count = 0;
  for (const mark of written) count += mark;
  return count;
}
