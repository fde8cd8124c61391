/**
 * `kpop import`: turns a recording into a kpop trace file. Takes valgrind lackey text, .pg and .ft
 * page lists and kpop traces, each gzipped or not, from a file, a pipe or (as `-`) standard input;
 * which one it is shows in the first bytes. Lackey text is converted as it streams by and never
 * held; the others are read whole.
 */

import { basename } from 'node:path';
import { looksLikeFtrace } from '../measure/ftrace.ts';
import { decodeTrace } from '../workload/trace/format.ts';
import { LackeyReader } from '../workload/trace/lackey.ts';
import type { PageTrace } from '../workload/trace/page-trace.ts';
import { readFirstTouches, readPageRuns } from '../workload/trace/pagelist.ts';
import { sniffTrace, type TraceKind } from '../workload/trace/sniff.ts';
import { shorten } from '../workload/trace/text.ts';
import { UsageError } from './errors.ts';
import { importFtrace, wholeText } from './import-ftrace.ts';
import { readInput, startingWith, takeBytes } from './input.ts';
import { inFile, saveTrace } from './trace-file.ts';

export interface ImportOptions {
  /** The trace file to write; `<name>.kpt.gz` in the current folder if absent. */
  readonly out?: string | undefined;
  /** Print one JSON document instead of a sentence. */
  readonly json?: boolean | undefined;
  /** Pages of the LRU list that lackey text is filtered through; 16 if absent. */
  readonly filter?: number | undefined;
  /** A design that ftrace text is held against. */
  readonly against?: string | undefined;
}

const HEAD_BYTES = 4096;
const PROGRESS_BYTES = 64 << 20;
const INTERRUPTED = 130;

/** Converts `file`; returns the exit status: 0, or 130 after Ctrl-C (nothing is written then). */
export async function runImport(file: string, options: ImportOptions): Promise<number> {
  const out = options.against === undefined ? (options.out ?? defaultOut(file)) : '';
  // With a handler in place the signal waits for the event loop, so it never splits saveTrace.
  const stop = new AbortController();
  const interrupt = (): void => stop.abort();
  process.once('SIGINT', interrupt);
  try {
    const input = readInput(file, stop.signal);
    const head = await takeBytes(input, HEAD_BYTES);
    if (looksLikeFtrace(new TextDecoder('latin1').decode(head))) {
      const text = await wholeText(startingWith(head, input));
      return stop.signal.aborted ? INTERRUPTED : importFtrace(file, text, options);
    }
    if (options.against !== undefined) {
      throw new UsageError(`${file}: --against needs ftrace text, a recording of KVM's events`);
    }
    const whole = startingWith(head, input);
    const trace = await readRecording(file, head, whole, options.filter ?? 16, stop.signal);
    if (trace === null) return INTERRUPTED;
    const bytes = saveTrace(out, trace);
    process.stdout.write(options.json === true ? json(out, bytes, trace) : text(out, bytes, trace));
    return 0;
  } finally {
    process.off('SIGINT', interrupt);
  }
}

function defaultOut(file: string): string {
  if (file === '-') throw new UsageError('import -: name the trace file with --out');
  return `${programName(file)}.kpt.gz`;
}

/** The file's name without folder and without the endings of the formats read here. */
function programName(file: string): string {
  if (file === '-') return 'stdin';
  const name = basename(file).replace(/\.gz$/, '');
  return name.replace(/\.(kpt|pg|ft|lackey|txt|log|trace)$/, '') || name;
}

/** The trace in `file`, or null if `signal` came first. */
async function readRecording(
  file: string,
  head: Uint8Array,
  whole: AsyncIterable<Uint8Array>,
  filter: number,
  signal: AbortSignal,
): Promise<PageTrace | null> {
  const progress = new Progress();
  try {
    const kind = sniffTrace(head);
    if (kind === null && !signal.aborted) throw foreign(file, head);
    const reader =
      kind === 'lackey'
        ? new LackeyReader({ program: programName(file), filter })
        : new WholeReader(kind ?? 'trace', programName(file));
    for await (const chunk of whole) {
      reader.push(chunk);
      progress.add(chunk.length, reader.references);
    }
    return signal.aborted ? null : reader.finish();
  } catch (error) {
    throw inFile(file, error);
  } finally {
    progress.end();
  }
}

function foreign(file: string, head: Uint8Array): UsageError {
  const begin = head.length === 0 ? 'it is empty' : `it begins with ${shorten(head)}`;
  return new UsageError(
    `${file}: neither valgrind lackey text, ftrace text, a .pg or .ft page list, ` +
      `nor a kpop trace: ${begin}`,
  );
}

/** The formats that are parsed in one piece, behind the two calls of a LackeyReader. */
class WholeReader {
  readonly references = null;
  readonly #kind: Exclude<TraceKind, 'lackey'>;
  readonly #program: string;
  readonly #chunks: Uint8Array[] = [];

  constructor(kind: Exclude<TraceKind, 'lackey'>, program: string) {
    this.#kind = kind;
    this.#program = program;
  }

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
  }

  finish(): PageTrace {
    const bytes = Buffer.concat(this.#chunks);
    if (this.#kind === 'trace') return decodeTrace(bytes);
    const read = this.#kind === 'page runs' ? readPageRuns : readFirstTouches;
    return read(bytes, this.#program);
  }
}

/** One line on stderr, rewritten as the input streams by; silent unless stderr is a terminal. */
class Progress {
  #bytes = 0;
  #shown = 0;

  add(bytes: number, references: number | null): void {
    this.#bytes += bytes;
    if (!process.stderr.isTTY || this.#bytes - this.#shown < PROGRESS_BYTES) return;
    this.#shown = this.#bytes;
    const read = `${(this.#bytes / 1e6).toFixed(0)} MB`;
    const counted = references === null ? '' : `, ${(references / 1e6).toFixed(1)} M references`;
    process.stderr.write(`\r\x1b[Kread ${read}${counted}`);
  }

  end(): void {
    if (this.#shown > 0) process.stderr.write('\r\x1b[K');
  }
}

function json(out: string, bytes: number, trace: PageTrace): string {
  const { header, pageBits, filter } = trace;
  const document = { schema: 'kpop.import/1', out, bytes, pageBits, filter, header };
  return `${JSON.stringify(document)}\n`;
}

function text(out: string, bytes: number, trace: PageTrace): string {
  const { header, filter } = trace;
  const count = (value: number): string => value.toLocaleString('en-US');
  const references = header.references === null ? '' : ` of ${count(header.references)} references`;
  const form = filter === 0 ? 'first touches' : `lines behind a ${filter}-page filter`;
  return (
    `${out}: ${count(header.lines)} ${form}${references}, ${count(header.instructions)} ` +
    `instructions, ${count(header.pages)} pages (${count(header.writtenPages)} written), ` +
    `${count(bytes)} bytes\n`
  );
}
