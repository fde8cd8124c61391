import { describe, expect, it } from 'vitest';
import { Random } from '../base/random.ts';
import { ACCESS } from '../guest/program/replay.ts';
import { recordingOf } from './recording.ts';
import { LruFilter } from './trace/filter.ts';
import { FETCH, type PageTrace, READ, TraceBuilder, WRITE } from './trace/page-trace.ts';

/** A recording behind a filter of 4 pages, with some locality. */
function sample(lines: number, tail = 0): PageTrace {
  const random = new Random(3);
  const filter = new LruFilter(4);
  const builder = new TraceBuilder(12, 4);
  let skipped = 0;
  for (let i = 0; i < lines; i++) {
    const page = 1000 + random.below(8) + (random.below(10) === 0 ? random.below(200) : 0);
    const kind = [FETCH, READ, WRITE][random.below(3)]!;
    skipped += 5;
    if (!filter.passes(kind, page)) continue;
    builder.append(kind, page, skipped);
    skipped = 0;
  }
  const trace = builder.finish({
    program: 'sample',
    command: null,
    references: null,
    loads: null,
    stores: null,
    modifies: null,
  });
  const instructions = trace.header.instructions + tail;
  return { ...trace, header: { ...trace.header, instructions } };
}

const sum = (values: Iterable<number>): number => [...values].reduce((a, b) => a + b, 0);

describe('recording: lines as accesses', () => {
  it('as recorded: every line, kinds in the numbers of the machine', () => {
    const trace = sample(500);
    const { lines, accesses, pages } = recordingOf(trace, 0);
    expect(lines.pages).toEqual(trace.pages);
    expect(accesses).toBe(trace.kinds.length);
    expect(pages).toBe(trace.pageOf.length);
    const table = [ACCESS.execute, ACCESS.read, ACCESS.write]; // fetch, read, write
    expect([...lines.kinds]).toEqual([...trace.kinds].map((kind) => table[kind]));
  });

  it('a filter no larger than the recording’s own changes nothing', () => {
    const trace = sample(500);
    expect(recordingOf(trace, 4).lines.pages.length).toBe(trace.pages.length);
  });

  it.each([5, 16, 64, 768])('widened to %i: the lines that trace/filter.ts lets pass', (size) => {
    const trace = sample(4000);
    const filter = new LruFilter(size);
    const passing = [...trace.kinds.keys()].filter((line) =>
      filter.passes(trace.kinds[line]!, trace.pageOf[trace.pages[line]!]!),
    );
    const { lines } = recordingOf(trace, size);
    expect([...lines.pages].slice(0, passing.length)).toEqual(
      passing.map((line) => trace.pages[line]),
    );
    expect(lines.pages.length - passing.length).toBeLessThanOrEqual(1); // the tail
  });

  it('keeps all instructions, and the first access of each kind to each page', () => {
    const trace = sample(4000, 12_345);
    const { lines } = recordingOf(trace, 64);
    expect(sum(lines.instructions)).toBe(trace.header.instructions);
    const firsts = (pages: Int32Array, kinds: Uint8Array): Set<string> =>
      new Set([...pages].map((page, i) => `${page} ${kinds[i]}`));
    const whole = recordingOf(trace, 0).lines;
    expect(firsts(lines.pages, lines.kinds)).toEqual(firsts(whole.pages, whole.kinds));
  });

  it('areas cover every page, ascending and apart', () => {
    const trace = sample(4000);
    const { areas } = recordingOf(trace, 0);
    for (const page of trace.pageOf) {
      expect(areas.filter(({ first, end }) => page >= first && page < end).length).toBe(1);
    }
    areas.slice(1).forEach((area, i) => {
      expect(area.first).toBeGreaterThan(areas[i]!.end);
    });
  });
});
