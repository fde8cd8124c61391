/**
 * The areas of an address space, ascending words in its frame; who changes them holds the space's
 * lock for writing, who reads them holds it.
 *
 * Leaves out: a tree (Linux keeps areas in one; here a search halves an array), rights beyond
 * write, areas that grow.
 */
import { defect } from '../../base/assert.ts';
import type { Context } from '../../runtime/context.ts';
import type { Area } from '../common/process.ts';
import { AREA_WORDS, MOST_AREAS, SpaceWords } from './space.ts';

const STRIDE = AREA_WORDS * 8;
/** First page that `gapFor` looks at. */
const MAP_BASE = 0x400000;

/** Pages of an area, and what is behind them. */
export interface MappedArea extends Area {
  /** The file; -1: anonymous memory, writable, copied on write after a fork. */
  readonly file: number;
  /** Page of the file at `first`. */
  readonly offset: number;
  /** Of a file: whether writes go to the file's pages (MAP_SHARED) or are forbidden (text). */
  readonly write: boolean;
}

/** Anonymous is 0; a file is twice its number and 2, and 1 more if it may be written. */
function packBacking({ file, write }: MappedArea): number {
  return file < 0 ? 0 : 2 * file + 2 + (write ? 1 : 0);
}

function countAt(space: number): number {
  return space + SpaceWords.at.count;
}

function areaAt(space: number, index: number): number {
  return space + SpaceWords.at.areas + index * STRIDE;
}

function readArea(cpu: Context, space: number, index: number): MappedArea {
  const at = areaAt(space, index);
  const backing = cpu.read(at + 16);
  return {
    first: cpu.read(at),
    end: cpu.read(at + 8),
    file: backing === 0 ? -1 : Math.floor(backing / 2) - 1,
    write: backing === 0 || backing % 2 === 1,
    offset: cpu.read(at + 24),
  };
}

function writeArea(cpu: Context, space: number, index: number, area: MappedArea): void {
  const at = areaAt(space, index);
  cpu.write(at, area.first);
  cpu.write(at + 8, area.end);
  cpu.write(at + 16, packBacking(area));
  cpu.write(at + 24, area.offset);
}

export function areasOf(cpu: Context, space: number): MappedArea[] {
  return Array.from({ length: cpu.read(countAt(space)) }, (_, i) => readArea(cpu, space, i));
}

/** Index of the first area that ends behind `page`. */
function search(cpu: Context, space: number, page: number): number {
  let low = 0;
  let high = cpu.read(countAt(space));
  while (low < high) {
    const middle = (low + high) >> 1;
    if (cpu.read(areaAt(space, middle) + 8) > page) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The area that a page lies in. */
export function areaOf(cpu: Context, space: number, page: number): MappedArea | undefined {
  const index = search(cpu, space, page);
  if (index === cpu.read(countAt(space))) return undefined;
  const area = readArea(cpu, space, index);
  return area.first <= page ? area : undefined;
}

/** The pages around `page`, which is in no area, that are in none either. */
export function holeAround(cpu: Context, space: number, page: number): Area {
  const index = search(cpu, space, page);
  const isLast = index === cpu.read(countAt(space));
  return {
    first: index === 0 ? 0 : cpu.read(areaAt(space, index - 1) + 8),
    end: isLast ? Number.POSITIVE_INFINITY : cpu.read(areaAt(space, index)),
  };
}

/** First page of the lowest gap of `pages` pages: addresses are used again as soon as they can. */
export function gapFor(cpu: Context, space: number, pages: number): number {
  let first = MAP_BASE;
  for (let i = search(cpu, space, first); i < cpu.read(countAt(space)); i++) {
    const at = areaAt(space, i);
    if (cpu.read(at) >= first + pages) return first;
    first = cpu.read(at + 8);
  }
  return first;
}

/** Adds an area where none is. */
export function insertArea(cpu: Context, space: number, area: MappedArea): void {
  const count = cpu.read(countAt(space));
  if (count === MOST_AREAS) defect('insertArea', `a process has ${MOST_AREAS} areas at most`);
  const index = search(cpu, space, area.first);
  for (let i = count; i > index; i--) writeArea(cpu, space, i, readArea(cpu, space, i - 1));
  writeArea(cpu, space, index, area);
  cpu.write(countAt(space), count + 1);
}

/** Removes pages [first, end) from whatever areas they lie in. */
export function removeRange(cpu: Context, space: number, first: number, end: number): void {
  for (;;) {
    const index = search(cpu, space, first);
    const count = cpu.read(countAt(space));
    if (index === count) return;
    const area = readArea(cpu, space, index);
    if (area.first >= end) return;
    for (let i = index; i < count - 1; i++) writeArea(cpu, space, i, readArea(cpu, space, i + 1));
    cpu.write(countAt(space), count - 1);
    if (area.first < first) insertArea(cpu, space, { ...area, end: first });
    if (area.end > end) {
      const offset = area.offset + end - area.first;
      insertArea(cpu, space, { ...area, first: end, offset });
    }
  }
}
