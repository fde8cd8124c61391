/**
 * Memory dumps for `kpop walk`: JSON (`{"memory": [{"pa", "words"}], …}`) or raw bytes, gzipped or
 * not. Words that a dump does not hold are holes; a walk that needs one is told so by `holds`.
 * Every malformed dump is a UsageError that names the file and the place in it.
 *
 * Leaves out: ELF and kdump files; big-endian dumps.
 */

import { FRAME_BYTES, Memory } from '../machine/memory.ts';
import { UsageError } from './errors.ts';
import { readInput } from './input.ts';

const WORD_BYTES = 8;
const ADDRESS_LIMIT = 2 ** 52;
const HEX = /^(0x)?([0-9a-f]{1,16})$/i;

/** A JSON object read from a dump, whose members still have to be looked at. */
export type Fields = Readonly<Record<string, unknown>>;

interface Range {
  readonly start: number;
  readonly end: number;
  /** Where in the file: for messages. */
  readonly place: string;
}

export class Dump {
  readonly file: string;
  readonly memory = new Memory({ holes: 'absent' });
  /** The JSON document around the memory; empty for a raw dump. */
  readonly fields: Fields;
  #ranges: Range[] = [];

  constructor(file: string, fields: Fields) {
    this.file = file;
    this.fields = fields;
  }

  /** Whether the word at `pa` was given. */
  holds(pa: number): boolean {
    let from = 0;
    let to = this.#ranges.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      const range = this.#ranges[middle];
      if (pa < range.start) to = middle;
      else if (pa >= range.end) from = middle + 1;
      else return true;
    }
    return false;
  }

  addRange(start: number, words: number, place: string): void {
    const end = start + words * WORD_BYTES;
    if (start % WORD_BYTES !== 0) {
      throw new UsageError(`${place}: ${hex(start)} is not a multiple of ${WORD_BYTES}`);
    }
    if (end > ADDRESS_LIMIT) {
      throw new UsageError(`${place}: ${hex(start)} and its words leave the 52 bits of an address`);
    }
    if (words > 0) this.#ranges.push({ start, end, place });
  }

  /** To be called when all ranges are known: no word may be given twice. */
  seal(): void {
    this.#ranges.sort((a, b) => a.start - b.start);
    for (let i = 1; i < this.#ranges.length; i++) {
      const [before, after] = [this.#ranges[i - 1], this.#ranges[i]];
      if (after.start < before.end) {
        throw new UsageError(
          `${after.place}: the range from ${hex(after.start)} overlaps the one from ` +
            `${hex(before.start)} to ${hex(before.end)}`,
        );
      }
    }
  }
}

export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

/** Reads `file`; with `base` it holds raw little-endian words from that address on. */
export async function readDump(file: string, base: number | undefined): Promise<Dump> {
  const bytes = await readWhole(file);
  return base === undefined ? parseDump(file, bytes.toString('utf8')) : rawDump(file, bytes, base);
}

async function readWhole(file: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of readInput(file, new AbortController().signal)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Any JSON file of this verb. */
export async function readJson(file: string): Promise<unknown> {
  return parseJson(file, (await readWhole(file)).toString('utf8'));
}

function parseJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    const raw = text.trimStart().startsWith('{') ? '' : ' (a raw dump needs --base)';
    throw new UsageError(`${file}: not JSON: ${(error as Error).message}${raw}`);
  }
}

export function parseDump(file: string, text: string): Dump {
  const document = fieldsOf(parseJson(file, text), file);
  const { memory } = document;
  if (!Array.isArray(memory)) throw new UsageError(`${file}: no array "memory"`);
  const dump = new Dump(file, document);
  memory.forEach((entry, i) => {
    readRange(dump, `${file}: memory[${i}]`, entry);
  });
  dump.seal();
  return dump;
}

function readRange(dump: Dump, place: string, entry: unknown): void {
  const { pa, words } = fieldsOf(entry, place);
  if (!Array.isArray(words)) throw new UsageError(`${place}: no array "words"`);
  const start = parsePhysical(pa, `${place}.pa`);
  dump.addRange(start, words.length, place);
  words.forEach((word: unknown, i) => {
    const value = parseHex64(word, `${place}.words[${i}]`);
    const { lo, hi } = halves(value);
    dump.memory.writeHalves(start + i * WORD_BYTES, lo, hi);
  });
}

function rawDump(file: string, bytes: Buffer, base: number): Dump {
  if (bytes.length === 0) throw new UsageError(`${file}: the dump is empty`);
  if (bytes.length % WORD_BYTES !== 0) {
    throw new UsageError(`${file}: ${bytes.length} bytes are no whole number of 64-bit words`);
  }
  const dump = new Dump(file, {});
  dump.addRange(base, bytes.length / WORD_BYTES, `${file} at --base`);
  for (let at = 0; at < bytes.length; at += WORD_BYTES) {
    dump.memory.writeHalves(base + at, bytes.readInt32LE(at), bytes.readInt32LE(at + 4));
  }
  return dump;
}

export function halves(value: bigint): { lo: number; hi: number } {
  return {
    lo: Number(BigInt.asIntN(32, value)),
    hi: Number(BigInt.asIntN(32, value >> 32n)),
  };
}

export function word64(lo: number, hi: number): bigint {
  return (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
}

/** The value as a JSON object. */
export function fieldsOf(value: unknown, place: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UsageError(`${place}: not an object but ${describe(value)}`);
  }
  return value as Fields;
}

/** A 64-bit number in hexadecimal, with or without 0x. */
export function parseHex64(value: unknown, place: string): bigint {
  const match = typeof value === 'string' ? HEX.exec(value.trim()) : null;
  if (match === null) {
    throw new UsageError(`${place}: not a hexadecimal 64-bit number: ${describe(value)}`);
  }
  return BigInt(`0x${match[2]}`);
}

/** A physical address of at most 52 bits. */
export function parsePhysical(value: unknown, place: string): number {
  const address = parseHex64(value, place);
  if (address >= BigInt(ADDRESS_LIMIT)) {
    throw new UsageError(`${place}: ${describe(value)} is no physical address of 52 bits`);
  }
  return Number(address);
}

/** The frame of a table at `value`. */
export function parseTable(value: unknown, place: string): number {
  const pa = parsePhysical(value, place);
  if (pa % FRAME_BYTES !== 0) {
    throw new UsageError(`${place}: ${hex(pa)} is not a multiple of ${FRAME_BYTES}`);
  }
  return pa / FRAME_BYTES;
}

export function describe(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 40 ? `${text.slice(0, 37)}…` : text;
}
