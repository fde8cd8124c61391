/**
 * Reads page traces written as text, one line per event, `#` before a remark.
 *
 *   .pg   kind page instructions      I 401a 1     kind I fetch, R read, W write; page in hex;
 *                                                  instructions since the previous line
 *   .ft   instruction kind page       19 W 4033    first touches only: the number of the
 *                                                  instruction; w: the first write of a page that
 *                                                  was first fetched or read
 *
 * A .pg file says in a remark through how many pages it was filtered ("16-page LRU filter").
 * Such files count no references, so the header of the result leaves those counts null, and its
 * instructions end with the last line.
 */

import { FETCH, type PageTrace, READ, TraceBuilder, TraceError, WRITE } from './page-trace.ts';
import { shorten } from './text.ts';

const NEWLINE = 10;
const KIND_OF = new Map([
  ['I', FETCH],
  ['R', READ],
  ['W', WRITE],
]);

/** The trace in the text of a .pg file. */
export function readPageRuns(bytes: Uint8Array, program: string): PageTrace {
  let builder: TraceBuilder | null = null;
  eachLine(bytes, (text, fail) => {
    if (text.startsWith('#')) {
      const filter = /(\d+)-page LRU filter/.exec(text);
      if (filter === null) return;
      const size = Number(filter[1]);
      if (builder !== null) fail('a second filter size');
      if (size < 1 || size > 0xffff) fail(`a filter of ${size} pages, not 1 to 65535`);
      builder = new TraceBuilder(12, size);
      return;
    }
    if (builder === null) {
      return fail('an event before the remark that says "# … N-page LRU filter"');
    }
    const fields = /^([IRW]) ([0-9a-fA-F]{1,13}) (\d{1,15})$/.exec(text);
    if (fields === null) return fail('not "I|R|W page instructions"');
    builder.append(
      KIND_OF.get(fields[1]) as number,
      Number.parseInt(fields[2], 16),
      Number(fields[3]),
    );
  });
  return finish(builder, program);
}

/** The trace in the text of an .ft file: a PageTrace with filter 0. */
export function readFirstTouches(bytes: Uint8Array, program: string): PageTrace {
  const builder = new TraceBuilder(12, 0);
  const written = new Map<number, boolean>();
  let last = 0;
  eachLine(bytes, (text, fail) => {
    if (text.startsWith('#')) return;
    const fields = /^(\d{1,15}) ([IRWw]) ([0-9a-fA-F]{1,13})$/.exec(text);
    if (fields === null) return fail('not "instruction I|R|W|w page"');
    const instruction = Number(fields[1]);
    const page = Number.parseInt(fields[3], 16);
    const again = fields[2] === 'w';
    if (instruction < last) fail(`instruction ${instruction} after instruction ${last}`);
    if (again !== written.has(page))
      fail(again ? 'w on an untouched page' : 'a page touched before');
    if (again && written.get(page) === true) fail('w on a page written before');
    const kind = again ? WRITE : (KIND_OF.get(fields[2]) as number);
    written.set(page, kind === WRITE);
    builder.append(kind, page, instruction - last);
    last = instruction;
  });
  return finish(builder, program);
}

function finish(builder: TraceBuilder | null, program: string): PageTrace {
  if (builder === null || builder.lines === 0) throw new TraceError('no event in the page list');
  const unknown = { references: null, loads: null, stores: null, modifies: null };
  return builder.finish({ program, command: null, ...unknown });
}

/** Calls `use` with each line that is not empty; its second argument throws with the line. */
function eachLine(
  bytes: Uint8Array,
  use: (text: string, fail: (what: string) => void) => void,
): void {
  const decoder = new TextDecoder('latin1');
  let number = 0;
  let line = bytes;
  const fail = (what: string): never => {
    throw new TraceError(`line ${number}: ${what}: ${shorten(line)}`);
  };
  for (let at = 0; at < bytes.length; ) {
    number++;
    const newline = bytes.indexOf(NEWLINE, at);
    const end = newline < 0 ? bytes.length : newline;
    line = bytes.subarray(at, end);
    if (line.length > 4096) fail('a line of over 4096 bytes');
    const text = decoder.decode(line).trimEnd();
    if (text.length > 0) use(text, fail);
    at = end + 1;
  }
}
