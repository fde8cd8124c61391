/** Second-stage tables as words: every used entry, and the leaf of one page. */
import type { Entry, TableFormat } from '../../machine/format/format.ts';
import { indexAt, pagesAt } from '../../machine/format/format.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import type { View } from './view.ts';

/** One entry that is not empty. */
export interface Found {
  /** Frame of the table that holds it, and its address. */
  readonly table: number;
  readonly at: number;
  readonly level: number;
  /** First page that it serves. */
  readonly page: number;
  readonly entry: Entry;
}

export function usedEntries(view: View, format: TableFormat, root: number): readonly Found[] {
  const found: Found[] = [];
  const visit = (table: number, level: number, first: number): void => {
    for (let index = 0; index < 1 << format.geometry.indexBits; index++) {
      const at = table * FRAME_BYTES + index * 8;
      const word = view.word(at);
      if (word.lo === 0 && word.hi === 0) continue;
      const entry = format.decode(word, level);
      if (entry.kind === 'empty') continue;
      const page = first + index * pagesAt(format.geometry, level);
      found.push({ table, at, level, page, entry });
      if (entry.kind === 'table') visit(entry.pfn, level - 1, page);
    }
  };
  visit(root, format.geometry.levels - 1, 0);
  return found;
}

/** Frames of the tables below and including the root. */
export function tableFrames(view: View, format: TableFormat, root: number): number[] {
  const below = usedEntries(view, format, root).filter(({ entry }) => entry.kind === 'table');
  return [root, ...below.map(({ entry }) => entry.pfn)];
}

/** The leaf of a page, or the entry that lacks it, and where it lies; undefined without a table. */
export function leafOf(
  view: View,
  format: TableFormat,
  root: number,
  page: number,
): { readonly at: number; readonly entry: Entry } | undefined {
  const { geometry } = format;
  let table = root;
  for (let level = geometry.levels - 1; ; level--) {
    const at = table * FRAME_BYTES + indexAt(geometry, page, level) * 8;
    const entry = format.decode(view.word(at), level);
    if (level === 0 || entry.kind === 'leaf') return { at, entry };
    if (entry.kind !== 'table') return undefined;
    table = entry.pfn;
  }
}
