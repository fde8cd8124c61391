/**
 * Reads the text of `valgrind --tool=lackey --trace-mem=yes` (valgrind 3.x) as it streams by and
 * keeps the page-run trace of it.
 *
 *   I  04001000,3        an instruction fetch: address in hex, size in bytes
 *    L 1ffeffe7e0,8      a load;   S a store;   M a load and store of the same place
 *   ==123== ...          valgrind's own words, also --123-- and **123**: skipped
 *
 * M counts as a write. An access that crosses a page boundary touches both pages, low one first.
 * Any other line is an error. Limits: one process per file (a forked child writes into the same
 * log, and its pages are not its parent's); threads are not told apart; system calls move memory
 * without a line.
 */

import { LruFilter } from './filter.ts';
import {
  FETCH,
  PAGE_LIMIT,
  type PageTrace,
  READ,
  TraceBuilder,
  TraceError,
  WRITE,
} from './page-trace.ts';
import { shorten } from './text.ts';

export interface LackeyOptions {
  /** The program's name if the text has no line "Command: …" (valgrind -q leaves it out). */
  readonly program: string;
  /** Pages in the LRU list (filter.ts); 16 if absent. */
  readonly filter?: number;
}

const PAGE_BITS = 12;
const PAGE_BYTES = 2 ** PAGE_BITS;
/** What one unit of an address's upper 32-bit half is worth in pages. */
const UPPER_SCALE = 2 ** (32 - PAGE_BITS);
const LARGEST_FILTER = 0xffff;
const NEWLINE = 10;
const RETURN = 13;
const SPACE = 32;
const COMMA = 44;
/** Valgrind echoes the traced command in one line; everything else is far shorter. */
const LONGEST_LINE = 1 << 18;
const LARGEST_ACCESS = 1 << 10;

/** The letters of a reference, and what each does to its page. */
const LETTERS = 'ILSM';
const KIND_OF = Uint8Array.of(FETCH, READ, WRITE, WRITE);
/** Letter to its place in LETTERS; -1 for every other byte. */
const ACCESS = new Int8Array(256).fill(-1);
for (let access = 0; access < LETTERS.length; access++) ACCESS[LETTERS.charCodeAt(access)] = access;
/** Hex digit to value; -1 for every other byte. */
const DIGIT = new Int8Array(256).fill(-1);
for (let value = 0; value < 16; value++) {
  const digit = value.toString(16);
  DIGIT[digit.charCodeAt(0)] = value;
  DIGIT[digit.toUpperCase().charCodeAt(0)] = value;
}

export class LackeyReader {
  readonly #program: string;
  readonly #filter: LruFilter;
  readonly #builder: TraceBuilder;
  /** References by letter, in the order of LETTERS. */
  readonly #counts = new Float64Array(4);
  /** The unfinished line at the end of the last chunk. */
  #rest = new Uint8Array(0);
  #lines = 0;
  /** Instructions begun since the last line of the trace. */
  #run = 0;
  #command: string | null = null;
  #process: string | null = null;

  constructor(options: LackeyOptions) {
    const filter = options.filter ?? 16;
    if (!Number.isInteger(filter) || filter < 1 || filter > LARGEST_FILTER) {
      throw new TraceError(`a filter of ${filter} pages, not 1 to ${LARGEST_FILTER}`);
    }
    this.#program = options.program;
    this.#filter = new LruFilter(filter);
    this.#builder = new TraceBuilder(PAGE_BITS, filter);
  }

  /** References read so far, for whoever shows progress. */
  get references(): number {
    return this.#counts[0] + this.#counts[1] + this.#counts[2] + this.#counts[3];
  }

  /** Reads the next bytes of the text. They are not kept. */
  push(chunk: Uint8Array): void {
    let start = 0;
    if (this.#rest.length > 0) {
      start = chunk.indexOf(NEWLINE) + 1;
      const joined = join(this.#rest, start > 0 ? chunk.subarray(0, start) : chunk);
      this.#rest = joined;
      if (start > 0) {
        this.#rest = new Uint8Array(0);
        this.#parse(joined, 0, joined.length);
      }
    }
    if (this.#rest.length === 0) {
      const end = chunk.lastIndexOf(NEWLINE) + 1;
      if (end > start) this.#parse(chunk, start, end);
      this.#rest = chunk.slice(Math.max(start, end));
    }
    if (this.#rest.length > LONGEST_LINE) throw foreign(this.#lines + 1, this.#rest);
  }

  /** The trace of all that was pushed. */
  finish(): PageTrace {
    if (this.#rest.length > 0) {
      this.#parse(join(this.#rest, Uint8Array.of(NEWLINE)), 0, this.#rest.length + 1);
      this.#rest = new Uint8Array(0);
    }
    if (this.references === 0) {
      throw new TraceError(
        `${this.#lines} lines without a memory reference: was lackey run with --trace-mem=yes?`,
      );
    }
    const [fetched, loaded, stored, modified] = this.#counts;
    return this.#builder.finish({
      program: this.#command === null ? this.#program : programOf(this.#command),
      command: this.#command,
      references: this.references,
      instructions: fetched,
      loads: loaded,
      stores: stored,
      modifies: modified,
    });
  }

  /**
   * Parses whole lines: bytes[start .. end) ends with a newline, so every inner loop stops at one
   * without a bound check. What is not a plain reference goes to #otherLine.
   */
  #parse(bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    while (at < end) {
      const lineAt = at;
      while (bytes[at] === SPACE) at++;
      const access = ACCESS[bytes[at++]];
      if (access < 0 || bytes[at++] !== SPACE) {
        at = this.#otherLine(bytes, lineAt);
        continue;
      }
      while (bytes[at] === SPACE) at++;
      // The address as two 32-bit halves: shifts stay integers, and 16 digits always fit.
      const firstDigit = at;
      let upper = 0;
      let lower = 0;
      let digit = DIGIT[bytes[at]];
      while (digit >= 0) {
        upper = (upper << 4) | (lower >>> 28);
        lower = (lower << 4) | digit;
        digit = DIGIT[bytes[++at]];
      }
      const digits = at - firstDigit;
      if (digits === 0 || digits > 16 || bytes[at++] !== COMMA) {
        at = this.#otherLine(bytes, lineAt);
        continue;
      }
      let size = 0;
      let decimal = bytes[at] - 48;
      while (decimal >= 0 && decimal <= 9 && size <= LARGEST_ACCESS) {
        size = size * 10 + decimal;
        decimal = bytes[++at] - 48;
      }
      if (bytes[at] === RETURN) at++;
      if (size === 0 || size > LARGEST_ACCESS || bytes[at] !== NEWLINE) {
        at = this.#otherLine(bytes, lineAt);
        continue;
      }
      at++;
      this.#lines++;
      this.#counts[access]++;
      if (access === 0) this.#run++;
      const page = (upper >>> 0) * UPPER_SCALE + (lower >>> PAGE_BITS);
      this.#touch(KIND_OF[access], page);
      if ((lower & (PAGE_BYTES - 1)) + size > PAGE_BYTES) this.#touchNext(KIND_OF[access], page);
    }
  }

  #touch(kind: number, page: number): void {
    if (this.#filter.passes(kind, page)) {
      this.#builder.append(kind, page, this.#run);
      this.#run = 0;
    }
  }

  /** The second page of an access that crosses into it; the last page of all wraps to page 0. */
  #touchNext(kind: number, page: number): void {
    this.#touch(kind, page + 1 === PAGE_LIMIT ? 0 : page + 1);
  }

  /** A line that is no reference: skips valgrind's own, throws on any other; returns its end. */
  #otherLine(bytes: Uint8Array, start: number): number {
    const end = bytes.indexOf(NEWLINE, start);
    this.#lines++;
    let stop = end;
    if (stop > start && bytes[stop - 1] === RETURN) stop--;
    const line = bytes.subarray(start, stop);
    if (line.length === 0) return end + 1;
    const words = new TextDecoder().decode(line.subarray(0, LONGEST_LINE));
    const own = /^(==|--|\*\*)(?:[\d:.]+ )?(\d+)\1(?: (.*))?$/s.exec(words);
    if (own === null) throw foreign(this.#lines, line);
    this.#process ??= own[2];
    if (own[2] !== this.#process) {
      throw new TraceError(
        `line ${this.#lines}: process ${own[2]} writes into the trace of process ` +
          `${this.#process}; record each in its own file with --log-file=name.%p`,
      );
    }
    if (own[3]?.startsWith('Command: ')) this.#command ??= own[3].slice('Command: '.length);
    return end + 1;
  }
}

/** The program's file name in a command line. */
function programOf(command: string): string {
  const [path] = command.split(' ', 1);
  return path.slice(path.lastIndexOf('/') + 1);
}

function foreign(lineNumber: number, line: Uint8Array): TraceError {
  return new TraceError(`line ${lineNumber}: not valgrind lackey text: ${shorten(line)}`);
}

function join(head: Uint8Array, tail: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(head.length + tail.length);
  joined.set(head);
  joined.set(tail, head.length);
  return joined;
}
