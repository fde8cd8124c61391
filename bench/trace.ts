/**
 * How fast traces are read: lackey text against the obvious reader in the same run (readline and
 * a regular expression, same filter), and the trace file with and without a TLB behind it.
 * The text is made up (loops, stack and heap in a fixed pseudo-random order), so absorbed and
 * passing references occur in about the proportion of a real program: one line in 20.
 */

import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { LruFilter } from '../src/workload/trace/filter.ts';
import { decodeTrace, encodeTrace } from '../src/workload/trace/format.ts';
import { LackeyReader } from '../src/workload/trace/lackey.ts';
import { type PageTrace, TraceBuilder } from '../src/workload/trace/page-trace.ts';

export interface Measurement {
  readonly name: string;
  readonly perSecond: number;
  readonly unit: string;
}

const CHUNK_BYTES = 1 << 20;
const TEXT_CHUNKS = 48;
/** The reference loop is some ten times slower, so it reads a shorter part. */
const REFERENCE_CHUNKS = 8;
const LINES = 4_000_000;
const REPETITIONS = 3;

export async function benchTrace(): Promise<Measurement[]> {
  const chunks = lackeyText();
  const own = best(() => {
    const reader = new LackeyReader({ program: 'bench' });
    for (const chunk of chunks) reader.push(chunk);
    return reader.finish().header.references ?? 0;
  });
  const slow = await referenceLoop(chunks.slice(0, REFERENCE_CHUNKS));
  const ownReferences = own.count / own.seconds;
  const slowReferences = slow.count / slow.seconds;
  const bytes = encodeTrace(manyLines());
  const decode = best(() => decodeTrace(bytes).header.lines);
  const replay = best(() => replayThroughTlb(decodeTrace(bytes)));
  return [
    { name: 'lackey text', perSecond: (TEXT_CHUNKS * CHUNK_BYTES) / own.seconds / 1e6, unit: 'MB' },
    { name: 'lackey references', perSecond: ownReferences / 1e6, unit: 'M references' },
    { name: 'readline + regex', perSecond: slowReferences / 1e6, unit: 'M references' },
    { name: 'ratio of the two', perSecond: ownReferences / slowReferences, unit: 'times' },
    { name: 'trace decode', perSecond: decode.count / decode.seconds / 1e6, unit: 'M lines' },
    { name: 'trace decode + TLB', perSecond: replay.count / replay.seconds / 1e6, unit: 'M lines' },
  ];
}

interface Timing {
  readonly count: number;
  readonly seconds: number;
}

function best(work: () => number): Timing {
  let seconds = Number.POSITIVE_INFINITY;
  let count = 0;
  for (let repetition = 0; repetition < REPETITIONS; repetition++) {
    const start = performance.now();
    count = work();
    seconds = Math.min(seconds, (performance.now() - start) / 1000);
  }
  return { count, seconds };
}

async function referenceLoop(chunks: readonly Uint8Array[]): Promise<Timing> {
  const start = performance.now();
  const filter = new LruFilter(16);
  const lines = createInterface({ input: Readable.from(chunks, { objectMode: false }) });
  let count = 0;
  let passed = 0;
  for await (const line of lines) {
    const match = /^ ?([ILSM]) +([0-9a-f]+),(\d+)$/.exec(line);
    if (match === null) continue;
    count++;
    const kind = match[1] === 'I' ? 0 : match[1] === 'L' ? 1 : 2;
    if (filter.passes(kind, Math.floor(Number.parseInt(match[2], 16) / 4096))) passed++;
  }
  if (passed === 0) throw new Error('the reference loop passed no line');
  return { count, seconds: (performance.now() - start) / 1000 };
}

/** A direct-mapped TLB of 1024 entries, the least that a consumer does per line. */
function replayThroughTlb(trace: PageTrace): number {
  const { kinds, pages, instructions } = trace;
  const tags = new Int32Array(1024).fill(-1);
  let misses = 0;
  let written = 0;
  let executed = 0;
  for (let line = 0; line < kinds.length; line++) {
    const page = pages[line];
    executed += instructions[line];
    if (kinds[line] === 2) written++;
    if (tags[page & 1023] !== page) {
      tags[page & 1023] = page;
      misses++;
    }
  }
  if (misses + written + executed === 0) throw new Error('the replay saw nothing');
  return kinds.length;
}

/** The next number of a fixed sequence (a linear congruential generator), below `limit`. */
function sequence(): (limit: number) => number {
  let state = 1;
  return (limit) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >>> 8) % limit;
  };
}

function lackeyText(): Uint8Array[] {
  const next = sequence();
  const chunks: Uint8Array[] = [];
  let text = '';
  let code = 0x4000000;
  while (chunks.length < TEXT_CHUNKS) {
    code = next(40) === 0 ? 0x4000000 + next(0x40000) : code + 4;
    text += `I  ${hex(code)},4\n`;
    if (next(4) === 0) text += ` L ${hex(0x1ffeff0000 + next(4096))},8\n`;
    if (next(8) === 0) text += ` S ${hex(0x1ffeff0000 + next(4096))},8\n`;
    if (next(40) === 0) text += ` M ${hex(0x5000000 + next(0x1000000))},8\n`;
    if (text.length < CHUNK_BYTES) continue;
    chunks.push(new TextEncoder().encode(text.slice(0, CHUNK_BYTES)));
    text = text.slice(CHUNK_BYTES);
  }
  // The last line may be cut within its address; an end of line after a whole one is enough.
  const last = chunks[chunks.length - 1];
  last.fill(10, last.lastIndexOf(10));
  return chunks;
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0');
}

function manyLines(): PageTrace {
  const next = sequence();
  const builder = new TraceBuilder(12, 16);
  for (let line = 0; line < LINES; line++) {
    builder.append(next(3), 0x1000 + next(next(8) === 0 ? 20_000 : 300), next(next(20) + 1) * 9);
  }
  const unknown = { references: null, loads: null, stores: null, modifies: null };
  return builder.finish({ program: 'bench', command: null, ...unknown });
}
