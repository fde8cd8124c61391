/**
 * kpop's trace file, version 1. All numbers are little-endian; varints as in varint.ts.
 *
 *   0   magic       4 bytes  'K' 'P' 'T' 0x1a
 *   4   version     u8       1
 *   5   page bits   u8       12 for 4 KiB
 *   6   filter      u16      pages in the LRU filter the lines went through; 0: first touches only
 *   8   header size u32
 *   12  header      JSON, UTF-8: a TraceHeader
 *       page table  per page, in order of first touch: signed varint, difference of page numbers
 *       lines       per line: varint 4 * page index + kind, varint instructions since the last line
 *       check       u32      CRC-32 of everything before
 *
 * Lines carry the page's index rather than its number: that packs about as well, and a reader
 * gets dense indices without a hash table, which is what lets it run at memory-like speed.
 * Limits: fewer than 2^30 pages, fewer than 2^32 instructions between two lines. On disk the file
 * is gzipped as a whole; that is the business of whoever reads and writes files.
 */

import { crc32 } from './crc32.ts';
import {
  countWritten,
  PAGE_LIMIT,
  type PageTrace,
  TraceError,
  type TraceHeader,
} from './page-trace.ts';
import { foldSign, readVarint, unfoldSign, varintLength, writeVarint } from './varint.ts';

export const MAGIC = Uint8Array.of(0x4b, 0x50, 0x54, 0x1a);
export const VERSION = 1;
const FIXED_BYTES = 12;
const CHECK_BYTES = 4;

export function isTraceFile(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, at) => bytes[at] === byte);
}

export function encodeTrace(trace: PageTrace): Uint8Array {
  const header = new TextEncoder().encode(JSON.stringify(trace.header));
  const size = FIXED_BYTES + header.length + bodyLength(trace) + CHECK_BYTES;
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  bytes[4] = VERSION;
  bytes[5] = trace.pageBits;
  view.setUint16(6, trace.filter, true);
  view.setUint32(8, header.length, true);
  bytes.set(header, FIXED_BYTES);
  let at = FIXED_BYTES + header.length;
  let previous = 0;
  for (const page of trace.pageOf) {
    at = writeVarint(bytes, at, foldSign(page - previous));
    previous = page;
  }
  for (let line = 0; line < trace.kinds.length; line++) {
    at = writeVarint(bytes, at, trace.pages[line] * 4 + trace.kinds[line]);
    at = writeVarint(bytes, at, trace.instructions[line]);
  }
  view.setUint32(at, crc32(bytes, at), true);
  return bytes;
}

function bodyLength(trace: PageTrace): number {
  let length = 0;
  let previous = 0;
  for (const page of trace.pageOf) {
    length += varintLength(foldSign(page - previous));
    previous = page;
  }
  for (let line = 0; line < trace.kinds.length; line++) {
    length += varintLength(trace.pages[line] * 4 + trace.kinds[line]);
    length += varintLength(trace.instructions[line]);
  }
  return length;
}

/** The trace in `bytes` (already unzipped); throws TraceError naming the offset or line. */
export function decodeTrace(bytes: Uint8Array): PageTrace {
  if (bytes.length < FIXED_BYTES + CHECK_BYTES) {
    throw new TraceError(
      isTraceFile(bytes)
        ? `the trace ends at byte ${bytes.length}, within its fixed header`
        : 'byte 0: not a kpop trace (the first four bytes are not KPT\\x1a)',
    );
  }
  if (!isTraceFile(bytes)) {
    throw new TraceError('byte 0: not a kpop trace (the first four bytes are not KPT\\x1a)');
  }
  if (bytes[4] !== VERSION) {
    throw new TraceError(`byte 4: trace version ${bytes[4]}, but this kpop reads ${VERSION}`);
  }
  const pageBits = bytes[5];
  if (pageBits < 12 || pageBits > 30) {
    throw new TraceError(`byte 5: a page of 2^${pageBits} bytes, not 2^12 to 2^30`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length - CHECK_BYTES;
  const tableAt = FIXED_BYTES + view.getUint32(8, true);
  if (tableAt > end) {
    throw new TraceError(
      `the trace ends at byte ${bytes.length}, but its header alone reaches to byte ${tableAt}`,
    );
  }
  const header = decodeHeader(bytes.subarray(FIXED_BYTES, tableAt), end - tableAt);
  const table = decodePages(bytes, tableAt, end, header.pages);
  const lines = decodeLines(bytes, table.next, end, header);
  const check = view.getUint32(end, true);
  const actual = crc32(bytes, end);
  if (check !== actual) {
    throw new TraceError(
      `byte ${end}: the checksum says ${hex(check)}, but the bytes before give ${hex(actual)}`,
    );
  }
  const writtenPages = countWritten(lines.kinds, lines.pages, header.pages);
  if (writtenPages !== header.writtenPages) {
    throw new TraceError(
      `the header says ${header.writtenPages} written pages, but the lines write ${writtenPages}`,
    );
  }
  return { header, pageBits, filter: view.getUint16(6, true), ...lines, pageOf: table.pageOf };
}

const COUNTS = ['instructions', 'pages', 'writtenPages', 'lines'] as const;
const OPTIONAL_COUNTS = ['references', 'loads', 'stores', 'modifies'] as const;

function decodeHeader(bytes: Uint8Array, bodyBytes: number): TraceHeader {
  const at = `byte ${FIXED_BYTES}: the trace header`;
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new TraceError(`${at} is not JSON`);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new TraceError(`${at} is not a JSON object`);
  }
  const fields = parsed as Record<string, unknown>;
  const count = (name: string, optional: boolean): void => {
    const value = fields[name];
    if (optional && value === null) return;
    if (!Number.isSafeInteger(value) || (value as number) < 0) {
      throw new TraceError(`${at} has no count "${name}"`);
    }
  };
  for (const name of COUNTS) count(name, false);
  for (const name of OPTIONAL_COUNTS) count(name, true);
  if (typeof fields.program !== 'string') throw new TraceError(`${at} has no text "program"`);
  if (fields.command !== null && typeof fields.command !== 'string') {
    throw new TraceError(`${at} has no text "command"`);
  }
  const header = parsed as TraceHeader;
  // A page takes at least one byte and a line two, so these bounds also bound what is allocated.
  if (header.pages + 2 * header.lines > bodyBytes) {
    throw new TraceError(
      `${at} announces ${header.pages} pages and ${header.lines} lines, ` +
        `more than the ${bodyBytes} bytes after it can hold (truncated?)`,
    );
  }
  return header;
}

function decodePages(
  bytes: Uint8Array,
  start: number,
  end: number,
  count: number,
): { pageOf: Float64Array; next: number } {
  const pageOf = new Float64Array(count);
  const known = new Set<number>();
  let at = start;
  let page = 0;
  for (let index = 0; index < count; index++) {
    const difference = readVarint(bytes, at, end);
    if (difference === null) {
      throw new TraceError(`byte ${at}: page ${index} of ${count} has no end (truncated?)`);
    }
    page += unfoldSign(difference.value);
    if (page < 0 || page >= PAGE_LIMIT) {
      throw new TraceError(`byte ${at}: page ${index} has a number outside 0 to 2^52`);
    }
    if (known.has(page)) {
      throw new TraceError(`byte ${at}: page 0x${page.toString(16)} stands twice in the table`);
    }
    known.add(page);
    pageOf[index] = page;
    at = difference.next;
  }
  return { pageOf, next: at };
}

/** The hot loop of loading: both varints are read in place, with one bound check per line. */
function decodeLines(
  bytes: Uint8Array,
  start: number,
  end: number,
  header: TraceHeader,
): Pick<PageTrace, 'kinds' | 'pages' | 'instructions'> {
  const count = header.lines;
  const kinds = new Uint8Array(count);
  const pages = new Int32Array(count);
  const instructions = new Uint32Array(count);
  let known = 0;
  let sum = 0;
  let at = start;
  for (let line = 0; line < count; line++) {
    const lineAt = at;
    if (at >= end) throw brokenLine(line, count, lineAt, 'is missing (truncated?)');
    let word = bytes[at++];
    if (word > 127) {
      word &= 127;
      let byte = 128;
      for (let shift = 7; byte > 127 && shift < 35; shift += 7) {
        byte = at < end ? bytes[at++] : 0;
        word |= (byte & 127) << shift;
      }
      if (byte > 127) throw brokenLine(line, count, lineAt, 'has a page index of over 5 bytes');
    }
    if (at >= end) throw brokenLine(line, count, lineAt, 'has no end (truncated?)');
    let run = bytes[at++];
    if (run > 127) {
      run &= 127;
      let byte = 128;
      for (let shift = 7; byte > 127 && shift < 35; shift += 7) {
        byte = at < end ? bytes[at++] : 128;
        run |= (byte & 127) << shift;
      }
      if (byte > 127) throw brokenLine(line, count, lineAt, 'has no end (truncated?)');
    }
    const page = word >>> 2;
    const kind = word & 3;
    if (kind === 3) throw brokenLine(line, count, lineAt, 'has the unknown kind 3');
    if (page > known) {
      throw brokenLine(line, count, lineAt, `jumps to page ${page}, but ${known} is next`);
    }
    if (page === known) known++;
    kinds[line] = kind;
    pages[line] = page;
    instructions[line] = run;
    sum += run >>> 0;
  }
  if (at !== end)
    throw new TraceError(`byte ${at}: ${end - at} bytes too many after the last line`);
  if (known !== header.pages) {
    throw new TraceError(`the header says ${header.pages} pages, but the lines touch ${known}`);
  }
  if (sum > header.instructions) {
    throw new TraceError(`the header says ${header.instructions} instructions, the lines ${sum}`);
  }
  return { kinds, pages, instructions };
}

function brokenLine(line: number, count: number, at: number, what: string): TraceError {
  return new TraceError(`byte ${at}: line ${line + 1} of ${count} ${what}`);
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}
